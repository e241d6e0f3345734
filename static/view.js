/** What is looked at: the range and its options, kept in the page's address. */

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

/** The view that an address asks for; what it does not know is as by default. */
export function read(search) {
  const given = new URLSearchParams(search);
  const view = { ...DEFAULTS };
  const [from, to] = [given.get("from"), given.get("to")];
  if (ISO_DATE.test(from ?? "") && ISO_DATE.test(to ?? "")) {
    Object.assign(view, { preset: null, from, to });
  } else if (Object.hasOwn(PRESETS, given.get("range") ?? "")) {
    view.preset = given.get("range");
  }
  if (INTERVALS.includes(given.get("interval"))) view.interval = given.get("interval");
  view.tz = given.get("tz");
  view.weekends = given.get("weekends") === "true";
  view.compare = given.get("compare") !== "no";
  if (given.get("series") === "accumulated") view.series = "accumulated";
  if (/^\d{1,12}$/.test(given.get("room") ?? "")) view.room = given.get("room");
  return view;
}

/** The address of a view: only what is not as by default. */
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
  const text = query.toString();
  return text ? `?${text}` : "";
}

/**
 * The view's range as the API's parameters. `history` holds the first and the last
 * day there is: twelve months reach back to the first at most.
 */
export function range(view, history) {
  const query = { tz: view.tz };
  if (view.preset === null) return { from: view.from, to: view.to, ...query };
  if (view.preset !== "12m") return { period: view.preset, ...query };
  let from = yearBefore(history.to);
  if (from < history.from) from = history.from;
  return { from, to: history.to, ...query };
}

/** The parameters of series besides. */
export const fineness = (view) => ({ interval: view.interval, weekends: view.weekends });

/** Before everything there is nothing to compare with. */
export const compares = (view) => view.compare && view.preset !== "all";

/** The day after the same one a year earlier. */
function yearBefore(iso) {
  const day = new Date(`${iso}T00:00:00Z`);
  day.setUTCFullYear(day.getUTCFullYear() - 1);
  day.setUTCDate(day.getUTCDate() + 1);
  return day.toISOString().slice(0, 10);
}
