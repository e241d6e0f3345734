/** Axes: which rows of a series get a label, and which values get a grid line. Pure functions. */

import * as format from "./format.js";

const GAP_PX = 14;
/** Width of a character relative to the font size; a little generous. */
const CHARACTER_WIDTH = 0.58;

/**
 * The rows that get a label, as `{index, text}`: the densest choice of which no two labels touch.
 * Labels are only at rows, so a date never appears twice and never outside the range.
 * `rows` are ISO dates, with a time for hours; `width` and `fontSize` are in pixels.
 */
export function ticks(rows, interval, { width, fontSize }) {
  for (const { picks, label } of choices(rows, interval)) {
    const indexes = rows
      .keys()
      .filter((index) => picks(rows[index], index))
      .toArray();
    const labels = indexes.map((index, position) => ({
      index,
      text: label(rows[index], position ? rows[indexes[position - 1]] : null),
    }));
    if (labels.length && fits(labels, { count: rows.length, width, fontSize })) return labels;
  }
  return rows.length ? [{ index: 0, text: format.tickDayMonth(rows[0]) }] : [];
}

export const textWidth = (text, fontSize) => text.length * fontSize * CHARACTER_WIDTH;

function fits(labels, { count, width, fontSize }) {
  const band = width / count;
  const spans = labels.map(({ index, text }) => {
    const half = textWidth(text, fontSize) / 2;
    const middle = clamp((index + 0.5) * band, half, width - half);
    return [middle - half, middle + half];
  });
  return spans.every(([left], position) => position === 0 || left - spans[position - 1][1] >= GAP_PX);
}

const clamp = (value, low, high) => Math.max(low, Math.min(high, value));

/** Choices from dense to sparse: `picks` says which rows, `label` names one, given the labelled row before. */
function* choices(rows, interval) {
  if (interval === "hour") yield* hours();
  if (interval === "day") yield* days();
  if (interval === "week") yield* everyNth(format.tickDayMonth);
  if (interval === "month") yield* months();
  const label = interval === "month" ? format.tickMonthYear : labelEnd;
  yield { picks: (_, index) => index === 0 || index === rows.length - 1, label };
}

/** "3 Jun", or "Jun 2026" where the first row has the same day and month of another year. */
const labelEnd = (row, before) =>
  before && row.slice(5, 10) === before.slice(5, 10) ? format.tickMonthYear(row) : format.tickDayMonth(row);

function* hours() {
  for (const step of [1, 2, 3, 6, 12, 24]) {
    yield { picks: (row) => hourOf(row) % step === 0, label: labelHour };
  }
}

const hourOf = (row) => Number(row.slice(11, 13));
const labelHour = (row, before) =>
  before && row.slice(0, 10) === before.slice(0, 10) ? row.slice(11, 16) : format.tickWeekday(row);

function* days() {
  yield { picks: () => true, label: labelDay };
  yield { picks: (_, index) => index % 2 === 0, label: labelDay };
  for (const weeks of [1, 2, 4]) yield { picks: isMonday(weeks), label: format.tickDayMonth };
  yield* monthStarts((row) => row.slice(8, 10) === "01");
}

/** "Mon 19", with the month where it changes. */
const labelDay = (row, before) =>
  before && row.slice(0, 7) === before.slice(0, 7) ? format.tickWeekday(row) : format.tickWeekdayMonth(row);

/** Every nth Monday, counted from the epoch, whose first Monday was 5 January 1970. */
const isMonday = (weeks) => (row) => (format.dayToSeconds(row) / 86_400 - 4) % (7 * weeks) === 0;

function* everyNth(label) {
  for (const step of [1, 2, 4, 8, 13, 26]) yield { picks: (_, index) => index % step === 0, label };
}

const months = () => monthStarts(() => true);

function* monthStarts(picksDay) {
  for (const step of [1, 2, 3, 6, 12]) {
    yield { picks: (row) => picksDay(row) && (Number(row.slice(5, 7)) - 1) % step === 0, label: labelMonth };
  }
}

/** "Oct", with the year where it changes. */
const labelMonth = (row, before) =>
  before && row.slice(0, 4) === before.slice(0, 4) ? format.tickMonth(row) : format.tickMonthYear(row);

const LINES = 4;

/** Values of grid lines from 0 up to one that is not below `largest`; whole numbers with `whole`. */
export function gridLines(largest, { whole = true } = {}) {
  if (!(largest > 0)) return [0, 1];
  const step = niceStep(largest / LINES, whole);
  const count = Math.ceil(largest / step - 1e-9);
  return Array.from({ length: count + 1 }, (_, index) => Number((index * step).toPrecision(12)));
}

/** The smallest of 1, 2, 2.5 and 5 times a power of ten that is not below `atLeast`. */
function niceStep(atLeast, whole) {
  const power = 10 ** Math.floor(Math.log10(atLeast));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((each) => each >= atLeast - 1e-9);
  if (!whole) return step;
  return Number.isInteger(step) ? step : Math.ceil(step);
}
