/** Points of a chart from rows of the API: counts, averages, the compared rows and unfinished rows. Pure functions. */

import { dayToSeconds } from "./format.js";

const DAY_SECONDS = 86_400;
const MONTH_DAYS = 30.4375;

const toDay = (seconds) => new Date(seconds * 1000).toISOString().slice(0, 10);
export const addDays = (iso, days) => toDay(dayToSeconds(iso) + days * DAY_SECONDS);
export const daysBetween = (from, to) => Math.round((dayToSeconds(to) - dayToSeconds(from)) / DAY_SECONDS);

/** First and last day of the row that begins on `date`. */
export function daysOfRow(date, interval) {
  if (interval === "week") return [date, addDays(date, 6)];
  if (interval === "month") return [date, addDays(addMonths(date, 1), -1)];
  return [date, date];
}

/**
 * Why a row does not cover its whole hour, day, week or month; null if it does. `range` is that of the
 * query, `now` the present moment as an ISO date and time in the query's zone.
 */
export function incompleteness(row, interval, { range, now }) {
  if (interval === "hour") return keyOf(row).slice(0, 13) === now.slice(0, 13) ? "so far" : null;
  const [first, last] = daysOfRow(row.date, interval);
  const today = now.slice(0, 10);
  if (first <= today && today <= last) return "so far";
  return first < range.from || last > range.to ? "only the days in the range" : null;
}

/**
 * The row to compare each of `rows` with, in `previous`; null without one. Rows are paired by the
 * distance of the two ranges, which begin on `from` and `previousFrom`: in days for hours and days, so
 * that a distance of whole weeks meets the same weekday; in whole weeks or whole months otherwise.
 */
export function pair(rows, previous, { interval, from, previousFrom }) {
  const distance = daysBetween(previousFrom, from);
  const byDate = new Map(previous.map((row) => [keyOf(row), row]));
  const shifted = SHIFTS[interval](distance);
  return rows.map((row) => byDate.get(shifted(row.date) + timeOf(row)) ?? null);
}

/** The moment at which a row begins in local time: its day, or its day and hour. */
export const keyOf = (row) => row.date + timeOf(row);
const timeOf = ({ hour }) => (hour ? hour.slice(10, 16) : "");

const byDays = (days) => (date) => addDays(date, -days);
const SHIFTS = {
  hour: byDays,
  day: byDays,
  week: (distance) => byDays(Math.round(distance / 7) * 7),
  month: (distance) => (date) => addMonths(date, -Math.round(distance / MONTH_DAYS)),
};

/** The first of the month `months` after the month of `iso`. */
function addMonths(iso, months) {
  const at = new Date(`${iso.slice(0, 7)}-01T00:00:00Z`);
  at.setUTCMonth(at.getUTCMonth() + months);
  return at.toISOString().slice(0, 10);
}

/** The earlier and the later of two ISO dates. */
export const earlierOf = (...days) => days.sort()[0];
export const laterOf = (...days) => days.sort().at(-1);

/** Change from `before` to `value` in per cent; null without a base. */
export const percentChange = (value, before) => (before ? ((value - before) / before) * 100 : null);
