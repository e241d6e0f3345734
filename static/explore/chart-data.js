/** Which chart rows allow, and its values. Pure functions. */

import { isNumeric, isTime, milliseconds, text } from "./values.js";

export const MAX_LINES = 6;
const MAX_BARS = 30;

/**
 * The chart of `rows`: `{kind: "lines", time, split, numbers}` or `{kind: "bars", category, numbers}`, whose
 * members are columns; null if they allow none. A line needs one row per time, or per time and `split`; bars
 * need one row per category. Integers by which the rows are ordered, smallest first, are categories: weekdays,
 * hours, weeks since. The first of the `numbers` differs between the lines, if one does. Rows with a text of their
 * own each that are not ordered by time are things, such as users with their last visit: they have no lines.
 */
export function chartOf({ columns, rows, order }) {
  if (rows.length < 2) return null;
  const keys = new Set(order.filter((name) => !name.startsWith("-")));
  const categories = columns
    .filter(({ name, type }) => type === "text" || (type === "integer" && keys.has(name)))
    .sort((a, b) => keys.has(b.name) - keys.has(a.name));
  const lines = isListOfThings({ columns, rows, order }) ? null : linesOf(columns, rows, categories);
  const chart = lines ?? barsOf(rows, categories);
  if (!chart) return null;
  const axes = [chart.time, chart.split, chart.category].map((column) => column?.name);
  const numbers = columns.filter(
    (column) => isNumeric(column) && !isId(column) && !keys.has(column.name) && !axes.includes(column.name),
  );
  return numbers.length ? { ...chart, numbers: withDifferentFirst(chart, rows, numbers) } : null;
}

/** Lines of a number that depends on the time alone would cover each other. */
function withDifferentFirst({ time, split }, rows, numbers) {
  if (!split) return numbers;
  const isSame = (number) => countOf(rows, [time, number]) === countOf(rows, [time]);
  return [...numbers].sort((a, b) => isSame(a) - isSame(b));
}

function isListOfThings({ columns, rows, order }) {
  const ordered = new Set(order.map((name) => name.replace(/^-/, "")));
  if (columns.some((column) => isTime(column) && ordered.has(column.name))) return false;
  return columns.some((column) => column.type === "text" && countOf(rows, [column]) === rows.length);
}

const isId = ({ name }) => name === "id" || name.endsWith("_id");

function linesOf(columns, rows, categories) {
  const time = columns.find((column) => isTime(column) && countOf(rows, [column]) > 1);
  if (!time) return null;
  const timed = rows.filter((row) => row[time.name] !== null);
  if (countOf(timed, [time]) === timed.length) return { kind: "lines", time, split: null };
  const split = categories.find((column) => countOf(timed, [time, column]) === timed.length);
  return split ? { kind: "lines", time, split } : null;
}

function barsOf(rows, categories) {
  if (rows.length > MAX_BARS) return null;
  const category = categories.find((column) => countOf(rows, [column]) === rows.length);
  return category ? { kind: "bars", category } : null;
}

/** How many different values the columns have together. */
const countOf = (rows, columns) =>
  new Set(rows.map((row) => JSON.stringify(columns.map(({ name }) => row[name])))).size;

/**
 * Lines of a column: `{lines: [{label, points: [{at, key, value}]}], count}`. Of more than MAX_LINES lines, of
 * which there are `count`, the ones with the largest sums are left.
 */
export function lineValues({ time, split }, rows, number) {
  const lines = new Map();
  for (const row of rows) {
    const key = row[time.name];
    if (key === null) continue;
    const label = split ? text(row[split.name], split, "UTC") : "";
    if (!lines.has(label)) lines.set(label, []);
    lines.get(label).push({ at: milliseconds(key), key, value: numberOf(row[number.name]) });
  }
  const found = [...lines].map(([label, points]) => ({ label, points: points.sort((a, b) => a.at - b.at) }));
  const largest = found.sort((a, b) => sumOf(b) - sumOf(a)).slice(0, MAX_LINES);
  return { lines: largest, count: found.length };
}

export const barValues = ({ category }, rows, number) =>
  rows.map((row) => ({ label: text(row[category.name], category, "UTC"), value: numberOf(row[number.name]) }));

const sumOf = ({ points }) => points.reduce((total, { value }) => total + Math.abs(value ?? 0), 0);

/** A finite number, or null. */
function numberOf(value) {
  const number = value === null ? Number.NaN : Number(value);
  return Number.isFinite(number) ? number : null;
}

const GRID_LINES = 4;

/** Round values from the smallest to the largest of `values`, with 0 among or beside them. */
export function gridOf(values) {
  const [low, high] = [Math.min(0, ...values), Math.max(0, ...values)];
  if (low === high) return [0, 1];
  const step = roundStep((high - low) / GRID_LINES);
  const first = Math.floor(low / step + 1e-9);
  const last = Math.ceil(high / step - 1e-9);
  return Array.from({ length: last - first + 1 }, (_, index) => Number(((first + index) * step).toPrecision(12)));
}

/** The smallest of 1, 2 and 5 times a power of ten that is not below `atLeast`. */
function roundStep(atLeast) {
  const power = 10 ** Math.floor(Math.log10(atLeast));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= atLeast * (1 - 1e-9));
}
