/** The view: range, options, filters and room, stored in the query string of the page's URL with the API's names. */

import { keepAddress } from "./explore/address.js";
import { addDays, daysBetween } from "./series.js";

export const PERIODS = {
  today: "Today",
  yesterday: "Yesterday",
  "7d": "7 days",
  "28d": "28 days",
  "30d": "30 days",
  "90d": "90 days",
  "91d": "91 days",
  month: "This month",
  last_month: "Last month",
  year: "Year to date",
  "12m": "12 months",
  all: "All",
};
export const INTERVALS = { hour: "Hour", day: "Day", week: "Week", month: "Month" };
export const COMPARISONS = { previous: "Previous period", year: "Year before", custom: "Own dates…", none: "Nothing" };
const ISO_DATE = /^\d{4}-\d{2}-\d{2}$/;
/** Rows of the API by hour are limited to this many days. */
const MAX_HOURLY_DAYS = 7;
/** A phone shows fewer rows, so that bars can be told apart. */
const narrow = matchMedia("(max-width: 560px)");

const DEFAULTS = {
  period: "90d",
  from: null,
  to: null,
  /** Null: chosen by the length of the range. */
  interval: null,
  tz: null,
  weekends: true,
  compare: "previous",
  compareFrom: null,
  compareTo: null,
  filter: "",
  metric: "page_views",
  series: "daily",
  room: null,
  kiosk: false,
};

/**
 * Parse a query string. Returns the view, and a note in the reader's words for each parameter that
 * was not understood and has its default.
 */
export function read(search) {
  const params = new URLSearchParams(search);
  const view = { ...DEFAULTS };
  const notes = [];
  readRange(params, view, notes);
  readChoice({ params, view, notes }, "interval", [...Object.keys(INTERVALS), "auto"], "interval");
  if (view.interval === "auto") view.interval = null;
  readComparison(params, view, notes);
  view.tz = params.get("tz") || null;
  if (view.tz && !isZone(view.tz)) {
    notes.push(`“${view.tz}” is not a time zone, so days begin in the server's.`);
    view.tz = null;
  }
  view.weekends = params.get("weekends") !== "false";
  view.filter = params.get("filter") ?? "";
  view.metric = params.get("metric") || DEFAULTS.metric;
  if (params.get("series") === "accumulated") view.series = "accumulated";
  if (/^\d{1,12}$/.test(params.get("room") ?? "")) view.room = params.get("room");
  view.kiosk = params.get("kiosk") === "true";
  return { view, notes };
}

function readRange(params, view, notes) {
  const days = { from: params.get("from"), to: params.get("to") };
  const period = params.get("period") ?? params.get("range");
  for (const [name, day] of Object.entries(days)) {
    if (day === null) continue;
    if (isDay(day)) Object.assign(view, { period: null, [name]: day });
    else notes.push(`“${day}” is not a date (${name}).`);
  }
  if (view.period === null || period === null) return;
  if (Object.hasOwn(PERIODS, period)) view.period = period;
  else notes.push(`There is no range called “${period}”: this is ${PERIODS[DEFAULTS.period]}.`);
}

function readComparison(params, view, notes) {
  const old = { no: "none", true: "previous" };
  const given = params.get("compare");
  if (given in old) params.set("compare", old[given]);
  readChoice({ params, view, notes }, "compare", Object.keys(COMPARISONS), "comparison");
  const [from, to] = [params.get("compare_from"), params.get("compare_to")];
  if (isDay(from) && isDay(to)) Object.assign(view, { compareFrom: from, compareTo: to });
  else if (view.compare === "custom") view.compare = DEFAULTS.compare;
}

function readChoice({ params, view, notes }, name, choices, words) {
  const given = params.get(name);
  if (given === null) return;
  if (choices.includes(given)) view[name] = given;
  else notes.push(`There is no ${words} called “${given}”, so it is chosen as usual.`);
}

function isDay(text) {
  return ISO_DATE.test(text ?? "") && !Number.isNaN(Date.parse(text)) && addDays(text, 0) === text;
}

export function isZone(name) {
  try {
    return Boolean(new Intl.DateTimeFormat("en", { timeZone: name }));
  } catch {
    return false;
  }
}

/** The query string of a view, without parameters that have their default. */
export function write(view) {
  const query = new URLSearchParams();
  const set = (name, value, initial = null) => {
    if (value !== initial && value !== null && value !== "") query.set(name, value);
  };
  if (view.period === null) {
    set("from", view.from);
    set("to", view.to);
  } else {
    set("period", view.period, DEFAULTS.period);
  }
  set("interval", view.interval);
  set("tz", view.tz);
  set("weekends", String(view.weekends), "true");
  set("compare", view.compare, DEFAULTS.compare);
  if (view.compare === "custom") {
    set("compare_from", view.compareFrom);
    set("compare_to", view.compareTo);
  }
  set("filter", view.filter);
  set("metric", view.metric, DEFAULTS.metric);
  set("series", view.series, DEFAULTS.series);
  set("room", view.room);
  set("kiosk", String(view.kiosk), "false");
  keepAddress(query);
  const text = query.toString();
  return text ? `?${text}` : "";
}

/** The API's parameters for the range. */
export function rangeQuery(view) {
  if (view.period !== null) return { period: view.period, tz: view.tz };
  return { from: view.from, to: view.to, tz: view.tz };
}

/** The API's parameters for the range and the filter. */
export const filterQuery = (view) => ({ ...rangeQuery(view), filter: view.filter || null });

/** The API's parameters for series: an average of a week needs rows of days. */
export function seriesQuery(view) {
  const interval = intervalOf(view);
  const average = interval === "day" ? daysPerWeek(view) : null;
  return { ...filterQuery(view), interval, weekends: view.weekends, average };
}

/** The API's parameters of a link to the view; a room is one, whoever its users are. */
export function linkQuery(view) {
  if (view.room) return { ...rangeQuery(view), room: view.room };
  return { ...filterQuery(view), ...comparisonQuery(view) };
}

/** The view of a link, with what only changes the drawing from the page's own query string. */
export function readShared(fixed, search) {
  const params = new URLSearchParams(fixed);
  const own = new URLSearchParams(search);
  for (const name of ["interval", "weekends", "metric", "series", "kiosk"]) {
    if (own.has(name)) params.set(name, own.get(name));
  }
  if (!params.has("compare")) params.set("compare", "none");
  return read(params.toString());
}

export const daysPerWeek = ({ weekends }) => (weekends ? 7 : 5);

/** The API's parameters for the comparison. */
export function comparisonQuery(view) {
  if (!compares(view)) return {};
  if (view.compare === "custom") {
    return { compare: "custom", compare_from: view.compareFrom, compare_to: view.compareTo, so_far: true };
  }
  return { compare: view.compare, match: "weekday", so_far: true };
}

/** The whole history has no earlier period to compare with. */
export const compares = (view) => view.compare !== "none" && view.period !== "all";

/** The chosen interval, or the one that suits the length of the range. */
export function intervalOf(view) {
  const days = lengthOf(view);
  if (view.interval && (view.interval !== "hour" || days <= MAX_HOURLY_DAYS)) return view.interval;
  if (days <= 2) return "hour";
  if (days <= (narrow.matches ? 31 : 100)) return "day";
  return days <= (narrow.matches ? 200 : 400) ? "week" : "month";
}

export const allowsHours = (view) => lengthOf(view) <= MAX_HOURLY_DAYS;

const LENGTHS = {
  today: 1,
  yesterday: 1,
  "7d": 7,
  "28d": 28,
  "30d": 30,
  "90d": 90,
  "91d": 91,
  month: 31,
  last_month: 31,
  year: 366,
  "12m": 366,
  all: 1e6,
};

/** Days of the range; of a range without an end or a beginning, a generous guess. */
function lengthOf(view) {
  if (view.period === "year") return Math.ceil((Date.now() - Date.UTC(new Date().getUTCFullYear(), 0, 1)) / 86_400_000);
  if (view.period !== null) return LENGTHS[view.period];
  if (!view.from) return LENGTHS.all;
  return daysBetween(view.from, view.to ?? new Date().toISOString().slice(0, 10)) + 1;
}

/**
 * The range of equal length that lies `direction` (-1 or 1) beside `range`, `{from, to}`; whole months
 * step by months. Null if it would begin after `today`.
 */
export function step(range, direction, today) {
  const moved = isWholeMonth(range, today) ? stepMonth(range, direction) : stepDays(range, direction);
  if (moved.from > today) return null;
  return { period: null, ...moved };
}

function stepDays({ from, to }, direction) {
  const days = (daysBetween(from, to) + 1) * direction;
  return { from: addDays(from, days), to: addDays(to, days) };
}

/** From the first of a month to its last day, or to today. */
const isWholeMonth = ({ from, to }, today) =>
  from.endsWith("-01") &&
  from.slice(0, 7) === to.slice(0, 7) &&
  daysBetween(from, to) > 0 &&
  (to === today || addDays(to, 1).endsWith("-01"));

function stepMonth({ from }, direction) {
  const at = new Date(`${from}T00:00:00Z`);
  at.setUTCMonth(at.getUTCMonth() + direction);
  const first = at.toISOString().slice(0, 10);
  at.setUTCMonth(at.getUTCMonth() + 1);
  return { from: first, to: addDays(at.toISOString().slice(0, 10), -1) };
}
