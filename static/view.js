/** The view: range, options and room, stored in the query string of the page's URL. */

import { keepAddress } from "./explore/address.js";

export const PRESETS = {
  "7d": "7 days",
  "30d": "30 days",
  "90d": "90 days",
  "12m": "12 months",
  all: "All",
};
const INTERVALS = ["day", "week", "month"];
const ISO_DATE = /^\d{4}-\d{2}-\d{2}$/;

const DEFAULTS = {
  preset: "90d",
  from: null,
  to: null,
  interval: "day",
  tz: null,
  weekends: false,
  compare: true,
  series: "daily",
  room: null,
};

/** Parse a query string. Missing and invalid parameters get their defaults. */
export function read(search) {
  const params = new URLSearchParams(search);
  const view = { ...DEFAULTS };
  const [from, to] = [params.get("from"), params.get("to")];
  if (ISO_DATE.test(from ?? "") && ISO_DATE.test(to ?? "")) {
    Object.assign(view, { preset: null, from, to });
  } else if (Object.hasOwn(PRESETS, params.get("range") ?? "")) {
    view.preset = params.get("range");
  }
  if (INTERVALS.includes(params.get("interval"))) view.interval = params.get("interval");
  view.tz = params.get("tz");
  view.weekends = params.get("weekends") === "true";
  view.compare = params.get("compare") !== "no";
  if (params.get("series") === "accumulated") view.series = "accumulated";
  if (/^\d{1,12}$/.test(params.get("room") ?? "")) view.room = params.get("room");
  return view;
}

/** The query string of a view, without parameters that have their default. */
export function write(view) {
  const query = new URLSearchParams();
  if (view.preset === null) {
    query.set("from", view.from);
    query.set("to", view.to);
  } else if (view.preset !== DEFAULTS.preset) {
    query.set("range", view.preset);
  }
  if (view.interval !== DEFAULTS.interval) query.set("interval", view.interval);
  if (view.tz) query.set("tz", view.tz);
  if (view.weekends) query.set("weekends", "true");
  if (!view.compare) query.set("compare", "no");
  if (view.series !== DEFAULTS.series) query.set("series", view.series);
  if (view.room) query.set("room", view.room);
  keepAddress(query);
  const text = query.toString();
  return text ? `?${text}` : "";
}

/**
 * The API parameters for the view's range. The API has no period for "12m", so it becomes two
 * dates, limited to `history`: the first and last day of all data.
 */
export function rangeQuery(view, history) {
  const query = { tz: view.tz };
  if (view.preset === null) return { from: view.from, to: view.to, ...query };
  if (view.preset !== "12m") return { period: view.preset, ...query };
  let from = yearBefore(history.to);
  if (from < history.from) from = history.from;
  return { from, to: history.to, ...query };
}

/** Further API parameters for series. */
export const seriesQuery = (view) => ({ interval: view.interval, weekends: view.weekends });

/** All data has no previous period to compare with. */
export const comparesPrevious = (view) => view.compare && view.preset !== "all";

/** The first of twelve months that end with `iso`: 2026-03-31 becomes 2025-04-01. */
function yearBefore(iso) {
  const day = new Date(`${iso}T00:00:00Z`);
  day.setUTCFullYear(day.getUTCFullYear() - 1);
  day.setUTCDate(day.getUTCDate() + 1);
  return day.toISOString().slice(0, 10);
}
