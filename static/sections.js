/** The sections of the page: which figures of the API are shown where. */

import { Bars } from "./bars.js";
import { ChartGroup, MAX_BARS } from "./charts.js";
import { byId, el, setText } from "./dom.js";
import { Figures } from "./figures.js";
import { csvButton } from "./files.js";
import * as format from "./format.js";
import { DataTable } from "./tables.js";

const MOVING_AVERAGE_ROWS = 30;
const UNITS = { day: ["day", "days"], week: ["week", "weeks"], month: ["month", "months"] };

const HEADLINES = [
  { section: "traffic", name: "unique_users", label: "Visitors", format: format.count, good: 1 },
  { section: "traffic", name: "page_views", label: "Page views", format: format.count, good: 1 },
  {
    section: "traffic",
    name: "bounce_rate",
    label: "Bounce rate",
    format: format.share,
    good: -1,
    hint: "Visitors who never estimated",
  },
  {
    section: "traffic",
    name: "average_duration",
    label: "Session length",
    format: format.minutes,
    good: 1,
    hint: "The mean; a pause of more than 10 minutes ends a session",
  },
  { section: "votes", name: "total_votes", label: "Votes", format: format.count, good: 1 },
  { section: "votes", name: "total_estimations", label: "Estimations", format: format.count, good: 1 },
];

const VOTE_FIGURES = [
  { section: "votes", name: "avg_estimations_per_vote", label: "Estimations per vote", format: format.number },
  { section: "votes", name: "avg_spectators_per_vote", label: "Spectators per vote", format: format.number },
  { section: "votes", name: "avg_duration_per_vote", label: "Time per vote", format: format.minutes },
  { section: "votes", name: "avg_min_estimation", label: "Lowest estimation", format: format.number },
  { section: "votes", name: "avg_estimation", label: "Mean estimation", format: format.number },
  { section: "votes", name: "avg_max_estimation", label: "Highest estimation", format: format.number },
];

const DAILY = [
  { name: "unique_users", label: "Visitors", format: format.count, good: 1 },
  { name: "page_views", label: "Page views", format: format.count, good: 1 },
  { name: "rooms", label: "Rooms that voted", format: format.count, good: 1 },
  { name: "votes", label: "Votes", format: format.count, good: 1 },
  { name: "estimations", label: "Estimations", format: format.count, good: 1 },
];

const SERIES = [
  { name: "page_views", title: "Page views" },
  { name: "new_users", title: "New users" },
  { name: "estimations", title: "Estimations" },
  { name: "votes", title: "Votes" },
  { name: "rooms", title: "New rooms" },
];

const RETURNING = [
  { name: "users", title: "Returning users" },
  { name: "rooms", title: "Returning rooms" },
];

/**
 * `dimension` is the name of the API's CSV file. `rows` takes the data of `GET /` and returns
 * the rows and the total for their shares. `options` are those of Bars.
 */
const BREAKDOWNS = [
  {
    root: "vote-bars",
    title: "Weekdays",
    dimension: "weekday",
    rows: ({ votes }) => withTotal(weekdays(votes.weekday_counts)),
    options: { names: "Weekday", counts: "Votes", natural: true, reserve: 7 },
  },
  {
    root: "vote-bars",
    title: "Estimation values",
    dimension: "estimation",
    rows: ({ votes }) => withTotal(estimations(votes.estimation_counts)),
    options: { names: "Value", counts: "Times", natural: true, reserve: 9 },
  },
  {
    root: "visit-bars",
    title: "Pages",
    dimension: "route",
    rows: ({ behaviour }) => withTotal(namedCounts(behaviour.routes, format.words)),
    options: { names: "Page", counts: "Views", reserve: 6 },
  },
  {
    root: "visit-bars",
    title: "Sources",
    dimension: "source",
    rows: ({ behaviour }) => withTotal(namedCounts(behaviour.sources)),
    options: { names: "Source", counts: "Views", reserve: 9 },
  },
  {
    root: "visit-bars",
    title: "Events",
    dimension: "event",
    rows: ({ behaviour }) => withTotal(namedCounts(behaviour.events, format.words)),
    options: { names: "Event", counts: "Events", reserve: 8 },
  },
  {
    root: "audience-bars",
    title: "Countries",
    dimension: "country",
    rows: ({ location_and_user_agent: users }) => [namedCounts(users.country, format.country), totalUsers(users)],
    options: { names: "Country", counts: "Users" },
  },
  {
    root: "audience-bars",
    title: "Regions",
    dimension: "region",
    rows: ({ location_and_user_agent: users }) => [places(users.country_region, "region"), totalUsers(users)],
    options: { names: "Region", counts: "Users" },
  },
  {
    root: "audience-bars",
    title: "Cities",
    dimension: "city",
    rows: ({ location_and_user_agent: users }) => [places(users.country_city, "city"), totalUsers(users)],
    options: { names: "City", counts: "Users" },
  },
  {
    root: "audience-bars",
    title: "Devices",
    dimension: "device",
    rows: ({ location_and_user_agent: users }) => withTotal(namedCounts(users.device)),
    options: { names: "Device", counts: "Users", reserve: 4 },
  },
  {
    root: "audience-bars",
    title: "Systems",
    dimension: "os",
    rows: ({ location_and_user_agent: users }) => withTotal(namedCounts(users.os)),
    options: { names: "System", counts: "Users", reserve: 7 },
  },
  {
    root: "audience-bars",
    title: "Browsers",
    dimension: "browser",
    rows: ({ location_and_user_agent: users }) => withTotal(namedCounts(users.browser)),
    options: { names: "Browser", counts: "Users", reserve: 10 },
  },
  {
    root: "room-cards",
    title: "Top rooms",
    dimension: "room",
    rows: ({ behaviour, votes }) => [namedCounts(behaviour.rooms), votes.total_votes],
    options: { names: "Room", counts: "Votes" },
  },
];

/** Everything below the controls. `queries` returns the API parameters of the current view. */
export class Sections {
  constructor({ queries, onRangeSelected }) {
    this.onRangeSelected = onRangeSelected;
    this.tiles = new Figures(byId("tiles"), HEADLINES);
    this.daily = new Figures(byId("daily"), DAILY);
    this.votes = new Figures(byId("vote-figures"), VOTE_FIGURES);
    this.#createCharts(queries);
    this.#createTables();
    this.#createBreakdowns(queries);
    byId("overview-tools").append(
      csvButton("Overview", "overview", { rows: () => figureRows(this.answer, HEADLINES) }),
    );
    byId("votes-tools").append(
      csvButton("Vote figures", "votes", { rows: () => figureRows(this.answer, VOTE_FIGURES) }),
    );
    byId("daily-tools").append(
      csvButton("Last 24 hours", "last-24-hours", { rows: () => dailyRows(this.dailyAnswer) }),
    );
  }

  clear() {
    this.answer = null;
    this.dailyAnswer = null;
    for (const figures of [this.tiles, this.daily, this.votes]) figures.clear();
    for (const { chart } of [...this.activity, ...this.returning]) chart.clear();
    for (const table of [this.activityTable, this.returningTable]) table.update([]);
    for (const { bars } of this.breakdowns) bars.clear();
    setText(byId("range-text"), "\u00a0");
  }

  /** Show a response of `GET /`. */
  update(answer, view) {
    this.answer = answer;
    setText(byId("range-text"), rangeText(answer.query, answer.change));
    updateFigures(this.tiles, HEADLINES, answer);
    updateFigures(this.votes, VOTE_FIGURES, answer);
    this.#drawActivity(answer, view);
    this.#drawReturning(answer);
    for (const { bars, rows } of this.breakdowns) bars.update(...rows(answer.data));
  }

  /** Show a response of `GET /daily-analytics`. */
  updateDaily(answer) {
    this.dailyAnswer = answer;
    const valuesOf = (figures) => DAILY.map(({ name }) => figures[name]);
    this.daily.update(valuesOf(answer), valuesOf(answer.change), valuesOf(answer.previous));
  }

  /** Draw the current response again, as counts or accumulated. */
  redraw(view) {
    if (this.answer) this.#drawActivity(this.answer, view);
  }

  resetZoom() {
    if (this.group.zoom) this.group.zoomTo(null);
  }

  #createCharts(queries) {
    this.group = new ChartGroup("days", (zoom) => this.zoomTools.update(zoom));
    this.zoomTools = createZoomTools({
      onReset: () => this.group.zoomTo(null),
      onUse: () => this.#useZoomAsRange(),
    });
    byId("activity-tools").append(
      this.zoomTools.root,
      csvButton("Activity", "activity", { request: () => ({ path: "historical.csv", query: queries.series() }) }),
    );
    byId("returning-tools").append(
      csvButton("Returning users and rooms", "returning", {
        request: () => ({ path: "reoccurring.csv", query: queries.series() }),
      }),
    );
    const withChart = (series, root) => ({ ...series, chart: this.group.add(byId(root), series.title) });
    this.activity = SERIES.map((series) => withChart(series, "activity-charts"));
    this.returning = RETURNING.map((series) => withChart(series, "returning-charts"));
  }

  #createTables() {
    const day = { label: "From", text: ({ date }) => format.day(format.dayToSeconds(date)) };
    const count = (label, name) => ({ label, number: true, text: (row) => format.count(row[name]) });
    const mean = (label, name) => ({
      label,
      number: true,
      text: (row) => (row[name] === null ? "–" : format.number(row[name])),
    });
    this.activityTable = new DataTable(byId("activity-table"), {
      title: "Activity",
      columns: [
        day,
        ...SERIES.flatMap(({ name, title }) => [
          count(title, name),
          count(`${title}, accumulated`, `acc_${name}`),
          mean(`${title}, moving average`, `ma_${name}`),
        ]),
      ],
    });
    this.returningTable = new DataTable(byId("returning-table"), {
      title: "Returning users and rooms",
      columns: [
        day,
        ...RETURNING.flatMap(({ name, title }) => [
          count(title, `reoccurring_${name}`),
          count(`${title}, active`, `adjusted_reoccurring_${name}`),
        ]),
      ],
    });
  }

  #createBreakdowns(queries) {
    this.breakdowns = BREAKDOWNS.map(({ root, title, dimension, rows, options }) => {
      const request = () => ({ path: `breakdown/${dimension}.csv`, query: queries.range() });
      return { rows, bars: new Bars(byId(root), { title, csv: { name: dimension, request }, ...options }) };
    });
  }

  #drawActivity({ data, previous, query }, view) {
    const rows = data.historical;
    const days = rows.map(({ date }) => format.dayToSeconds(date));
    const previousRows = previous?.historical;
    for (const { name, title, chart } of this.activity) {
      const lines =
        view.series === "accumulated"
          ? accumulatedLines(rows, previousRows, name)
          : countLines(rows, previousRows, { name, title, average: averageLabel(rows, query.interval) });
      const total = rows.length
        ? `${format.count(rows.at(-1)[`acc_${name}`])} ${query.weekends ? "in total" : "from Monday to Friday"}`
        : "";
      chart.update({ days, lines, interval: query.interval, total });
    }
    this.activityTable.update(rows);
  }

  #drawReturning({ data, previous, query }) {
    const rows = data.reoccurring;
    const days = rows.map(({ date }) => format.dayToSeconds(date));
    for (const { name, chart } of this.returning) {
      const lines = [
        { label: "All so far", style: "sum", values: column(rows, `reoccurring_${name}`) },
        { label: "Active", style: "average", values: column(rows, `adjusted_reoccurring_${name}`) },
      ];
      if (previous) {
        const values = alignedColumn(rows, previous.reoccurring, `reoccurring_${name}`);
        lines.push({ label: "All, previous", style: "previous", values });
      }
      const total = rows.length ? `${format.count(rows.at(-1)[`reoccurring_${name}`])} so far` : "";
      chart.update({ days, lines, interval: query.interval, total });
    }
    this.returningTable.update(rows);
  }

  #useZoomAsRange() {
    const [min, max] = this.group.zoom;
    const zoomed = this.activity[0].chart.days.filter((day) => day >= min && day <= max);
    if (zoomed.length) this.onRangeSelected(format.secondsToDay(zoomed[0]), format.secondsToDay(zoomed.at(-1)));
  }
}

/** A hint without zoom, buttons with zoom. The space is reserved, so that nothing moves. */
function createZoomTools({ onReset, onUse }) {
  const hint = el("span", { class: "hint zoom-hint" }, "Drag across a chart to zoom");
  const use = el("button", { class: "button", type: "button", onclick: onUse }, "Use as range");
  const reset = el("button", { class: "button", type: "button", onclick: onReset }, "Reset zoom");
  const buttons = el("span", { class: "zoom-buttons", hidden: true }, use, reset);
  const root = el("span", { class: "zoom" }, hint, buttons);
  return {
    root,
    update(zoom) {
      buttons.hidden = !zoom;
      hint.hidden = Boolean(zoom);
    },
  };
}

const column = (rows, name) => rows.map((row) => row[name]);

/** A column of the previous period, matched to `rows` by index; the two may differ by a row or two. */
const alignedColumn = (rows, previousRows, name) => rows.map((_, index) => previousRows[index]?.[name] ?? null);

function accumulatedLines(rows, previousRows, name) {
  const lines = [{ label: "Accumulated", style: "sum", values: column(rows, `acc_${name}`) }];
  if (previousRows) {
    lines.push({ label: "Previous", style: "previous", values: alignedColumn(rows, previousRows, `acc_${name}`) });
  }
  return lines;
}

/** With many rows the counts of two periods are unreadable on top of each other: compare the averages. */
function countLines(rows, previousRows, { name, title, average }) {
  const lines = [{ label: title, style: "counts", values: column(rows, name) }];
  if (previousRows) {
    const [label, compared] = rows.length <= MAX_BARS ? ["Previous", name] : ["Previous average", `ma_${name}`];
    lines.push({ label, style: "previous", values: alignedColumn(rows, previousRows, compared) });
  }
  return [...lines, { label: average, style: "average", values: column(rows, `ma_${name}`) }];
}

function averageLabel(rows, interval) {
  const [one, many] = UNITS[interval];
  const enough = rows.length >= MOVING_AVERAGE_ROWS;
  return enough ? `${MOVING_AVERAGE_ROWS}-${one} average` : `Average (needs ${MOVING_AVERAGE_ROWS} ${many})`;
}

function updateFigures(figures, definitions, { data, previous, change }) {
  const valuesOf = (answer) => definitions.map(({ section, name }) => answer[section][name]);
  if (change) figures.update(valuesOf(data), valuesOf(change), valuesOf(previous));
  else figures.update(valuesOf(data));
}

function rangeText({ from, to, tz }, change) {
  const days = from && to ? `${format.date(from)} – ${format.date(to)}` : "All days";
  return `${days}, ${tz}${change ? ", compared with the previous period" : ""}`;
}

function figureRows({ data, previous, change }, definitions) {
  const header = ["figure", "value", ...(change ? ["before", "change_per_cent"] : [])];
  return [
    header,
    ...definitions.map(({ section, name }) => [
      name,
      data[section][name],
      ...(change ? [previous[section][name], change[section][name]] : []),
    ]),
  ];
}

function dailyRows(answer) {
  return [
    ["figure", "value", "before", "change_per_cent"],
    ...DAILY.map(({ name }) => [name, answer[name], answer.previous[name], answer.change[name]]),
  ];
}

/** The rows and the sum of their counts, as Bars.update takes them. */
const withTotal = (rows) => [rows, rows.reduce((total, { count }) => total + count, 0)];

const namedCounts = (counts, displayName = (name) => name) =>
  Object.entries(counts).map(([name, count]) => ({ name: displayName(name) || "(empty)", count }));

const weekdays = (counts) =>
  format.WEEKDAYS.filter((name) => name in counts).map((name) => ({ name: format.weekday(name), count: counts[name] }));

const estimations = (counts) =>
  Object.entries(counts)
    .map(([value, count]) => ({ value: Number(value), count }))
    .sort((a, b) => a.value - b.value)
    .map(({ value, count }) => ({ name: format.number(value), count }));

const places = (rows, kind) =>
  rows.map((row) => ({ name: row[kind] ?? "Unknown", note: format.country(row.country), count: row.count }));

/** The number of users in the range: each has exactly one device, possibly unknown. */
const totalUsers = ({ device }) => Object.values(device).reduce((total, count) => total + count, 0);
