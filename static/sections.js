/** The sections of the page: which figures of the API are shown where. */

import { serverNow } from "./api.js";
import { Bars } from "./bars.js";
import { Chart } from "./charts.js";
import { byId, el, setText } from "./dom.js";
import { Figures } from "./figures.js";
import { csvButton } from "./files.js";
import * as filters from "./filters.js";
import * as format from "./format.js";
import { hasRegions, loadRegions, regionName } from "./regions.js";
import { daysOfRow, incompleteness, keyOf, pair, percentChange } from "./series.js";
import { DataTable } from "./tables.js";

const SEARCH_LIMIT = 1000;

/** Series of the API. The tile of each shows the sum of its rows, so tile, chart and table agree. */
const SERIES = [
  { name: "page_views", label: "Page views", hint: "Pages that were opened", good: 1 },
  { name: "new_users", label: "New users", hint: "Users whose first visit is in the range", good: 1 },
  { name: "votes", label: "Votes", hint: "Votes that were finished", good: 1 },
  {
    name: "estimations",
    label: "Estimations and spectators",
    hint: "Everyone who took part in a vote: those who estimated, and the spectators",
    good: 1,
  },
  { name: "rooms", label: "New rooms", hint: "Rooms that were used for the first time", good: 1 },
].map((series) => ({ ...series, format: format.count }));
const METRICS = SERIES.map(({ name }) => name);

const FIGURES = [
  {
    section: "traffic",
    name: "unique_users",
    label: "Visitors",
    format: format.count,
    good: 1,
    hint: "Different users with a page view",
  },
  {
    section: "traffic",
    name: "bounce_rate",
    label: "Bounce rate",
    format: format.share,
    // Of a share in whole per cent, a change in per cent would jump.
    changeOf: (value, before) => (before === null ? null : value - before),
    formatChange: format.points,
    good: -1,
    hint: "Visitors who did not estimate",
  },
  {
    section: "traffic",
    name: "average_duration",
    label: "Session length",
    format: format.minutes,
    good: 1,
    hint: "The mean; a pause of more than 10 minutes ends a session",
  },
  {
    section: "votes",
    name: "spread",
    label: "Spread of estimates",
    format: format.number,
    good: -1,
    hint: "Agreement: the mean distance from the lowest to the highest estimate of a vote; 0 is full agreement",
    value: (votes) => votes.avg_max_estimation - votes.avg_min_estimation,
  },
  { section: "votes", name: "avg_duration_per_vote", label: "Time per vote", format: format.minutes },
  { section: "votes", name: "avg_estimations_per_vote", label: "Estimations per vote", format: format.number },
];

const VOTE_FIGURES = [
  {
    section: "votes",
    name: "total_estimations",
    label: "Estimations",
    format: format.count,
    good: 1,
    hint: "Estimates in finished votes, without spectators",
  },
  { section: "votes", name: "avg_spectators_per_vote", label: "Spectators per vote", format: format.number },
  { section: "votes", name: "avg_min_estimation", label: "Lowest estimate, mean", format: format.number },
  { section: "votes", name: "avg_estimation", label: "Mean estimate", format: format.number },
  { section: "votes", name: "avg_max_estimation", label: "Highest estimate, mean", format: format.number },
];

const DAILY = [
  { name: "unique_users", label: "Visitors", format: format.count, good: 1 },
  { name: "page_views", label: "Page views", format: format.count, good: 1 },
  { name: "rooms", label: "Rooms that voted", format: format.count, good: 1 },
  { name: "votes", label: "Votes", format: format.count, good: 1 },
  { name: "estimations", label: "Estimations", format: format.count, good: 1 },
];

/**
 * `dimension` is the API's name. `rows` takes a section of `GET /` and returns the rows and the total
 * for their shares. `options` are those of Bars.
 */
const BREAKDOWNS = [
  {
    root: "vote-bars",
    title: "Weekdays",
    dimension: "weekday",
    section: "votes",
    rows: (votes) => withTotal(weekdays(votes.weekday_counts)),
    options: { names: "Weekday", counts: "Votes", natural: true, reserve: 7 },
  },
  {
    root: "vote-bars",
    title: "Estimation values",
    dimension: "estimation",
    section: "votes",
    rows: (votes) => withTotal(estimations(votes.estimation_counts)),
    options: { names: "Value", counts: "Times", natural: true, reserve: 9 },
  },
  {
    root: "visit-bars",
    title: "Pages",
    dimension: "route",
    section: "behaviour",
    place: "behaviour.routes",
    rows: ({ routes }) => withTotal(namedCounts("route", routes)),
    options: { names: "Page", counts: "Views", reserve: 6 },
  },
  {
    root: "visit-bars",
    title: "Sources",
    dimension: "source",
    section: "behaviour",
    place: "behaviour.sources",
    rows: ({ sources }) => withTotal(namedCounts("source", sources)),
    options: { names: "Source", counts: "Views", reserve: 9 },
  },
  {
    root: "visit-bars",
    title: "Events",
    dimension: "event",
    section: "behaviour",
    place: "behaviour.events",
    rows: ({ events }) => withTotal(namedCounts("event", events)),
    options: { names: "Event", counts: "Events", reserve: 8 },
  },
  {
    root: "audience-bars",
    title: "Countries",
    dimension: "country",
    section: "location_and_user_agent",
    rows: (users) => [namedCounts("country", users.country), totalUsers(users)],
    options: { names: "Country", counts: "Users" },
  },
  {
    root: "audience-bars",
    title: "Regions",
    dimension: "region",
    section: "location_and_user_agent",
    rows: (users) => [places(users.country_region, "region"), totalUsers(users)],
    options: { names: "Region", counts: "Users" },
  },
  {
    root: "audience-bars",
    title: "Cities",
    dimension: "city",
    section: "location_and_user_agent",
    rows: (users) => [places(users.country_city, "city"), totalUsers(users)],
    options: { names: "City", counts: "Users" },
  },
  {
    root: "audience-bars",
    title: "Devices",
    dimension: "device",
    section: "location_and_user_agent",
    rows: (users) => withTotal(namedCounts("device", users.device)),
    options: { names: "Device", counts: "Users", reserve: 4 },
  },
  {
    root: "audience-bars",
    title: "Systems",
    dimension: "os",
    section: "location_and_user_agent",
    rows: (users) => withTotal(namedCounts("os", users.os)),
    options: { names: "System", counts: "Users", reserve: 7 },
  },
  {
    root: "audience-bars",
    title: "Browsers",
    dimension: "browser",
    section: "location_and_user_agent",
    rows: (users) => withTotal(namedCounts("browser", users.browser)),
    options: { names: "Browser", counts: "Users", reserve: 10 },
  },
];

/**
 * Everything below the controls except rooms and retention. `queries` returns the API parameters of the
 * present view, `fetchJson(path, query)` an answer of the API.
 */
export class Sections {
  constructor({ queries, fetchJson, onRangeSelected, onMetric, onFilter }) {
    this.queries = queries;
    this.fetchJson = fetchJson;
    this.onRangeSelected = onRangeSelected;
    this.tiles = new Figures(byId("tiles"), SERIES, { onChoose: onMetric });
    this.figures = new Figures(byId("figures"), FIGURES);
    this.daily = new Figures(byId("daily"), DAILY);
    this.votes = new Figures(byId("vote-figures"), VOTE_FIGURES);
    this.#createChart();
    this.#createTable();
    this.#createBreakdowns(onFilter);
    byId("overview-tools").append(csvButton("Overview", "overview", { rows: () => this.#overviewRows() }));
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
    this.clearFigures();
    this.daily.clear();
    setText(byId("range-text"), "\u00a0");
  }

  /** Show skeletons in place of all that depends on the range. */
  clearFigures() {
    this.isShown = false;
    for (const figures of [this.tiles, this.figures, this.votes]) figures.clear();
    this.chart.clear();
    this.zoomTools.update(null);
    this.table.update([]);
    for (const { bars } of this.breakdowns) bars.clear();
  }

  /** Show a response of `GET /`. */
  update(answer, view) {
    this.answer = answer;
    this.isShown = true;
    const { query, not_applicable: reasons = {} } = answer;
    const now = format.localMoment(serverNow(), query.tz);
    this.state = { answer, view, reasons, now, future: query.from > now.slice(0, 10) };
    setText(byId("range-text"), rangeText(answer, this.state));
    this.#updateFigures(this.figures, FIGURES);
    this.#updateFigures(this.votes, VOTE_FIGURES);
    this.#updateSeries();
    for (const breakdown of this.breakdowns) this.#updateBreakdown(breakdown);
    if (!hasRegions()) this.#nameRegions();
  }

  #updateBreakdown({ bars, section, place, rows }) {
    const { answer, view, reasons, future } = this.state;
    const reason = (future ? NOT_BEGUN : null) ?? reasons[section] ?? reasons[place] ?? null;
    const [shown, total] = answer.data[section] && !reason ? rows(answer.data[section]) : [[], 0];
    bars.update(shown, total, { filter: view.filter, reason });
  }

  /** Show the names of regions, which arrive after the first answer, in place of their codes. */
  async #nameRegions() {
    if (!(await loadRegions()) || !this.isShown) return;
    this.#updateBreakdown(this.breakdowns.find(({ dimension }) => dimension === "region"));
  }

  /** Show a response of `GET /daily-analytics`. */
  updateDaily(answer) {
    this.dailyAnswer = answer;
    const valuesOf = (figures) => DAILY.map(({ name }) => figures[name]);
    const reasons = DAILY.map(({ name }) => answer.not_applicable?.[name]);
    this.daily.update(valuesOf(answer), {
      changes: valuesOf(answer.change),
      earlier: valuesOf(answer.previous),
      reasons,
    });
  }

  /** Draw the present response again, with another metric or accumulated. */
  redraw(view) {
    if (!this.answer) return;
    this.state.view = view;
    this.#drawChart();
  }

  #createChart() {
    this.chart = new Chart(byId("main-chart"), { onZoom: (zoom) => this.zoomTools.update(zoom) });
    this.zoomTools = createZoomTools({
      onReset: () => this.chart.zoomTo(null),
      onUse: () => this.#useZoomAsRange(),
    });
    byId("activity-tools").append(
      this.zoomTools.root,
      csvButton("Activity", "activity", { request: () => ({ path: "historical.csv", query: this.queries.series() }) }),
    );
  }

  #createTable() {
    const count = (row, name) => (row[name] === null ? "–" : format.count(row[name]));
    this.table = new DataTable(byId("activity-table"), {
      title: "Activity",
      columns: [
        { label: "From", text: (row) => (row.hour ? keyOf(row).replace("T", " ") : format.day(row.date)) },
        ...SERIES.flatMap(({ name, label }) => [
          { label, number: true, text: (row) => count(row, name) },
          { label: `${label}, accumulated`, number: true, text: (row) => count(row, `acc_${name}`) },
        ]),
      ],
    });
  }

  #createBreakdowns(onFilter) {
    this.breakdowns = BREAKDOWNS.map(({ root, title, dimension, options, ...breakdown }) => {
      const request = () => ({ path: `breakdown/${dimension}.csv`, query: this.queries.filter() });
      const search = options.natural ? null : (text) => this.#search(dimension, text);
      const csv = { name: dimension, request };
      return { ...breakdown, dimension, bars: new Bars(byId(root), { title, csv, search, onFilter, ...options }) };
    });
  }

  /** All rows of a breakdown whose name contains `text`. */
  async #search(dimension, text) {
    const query = { ...this.queries.filter(), limit: SEARCH_LIMIT, q: text || null };
    const [answer] = await Promise.all([this.fetchJson(`breakdown/${dimension}`, query), loadRegions()]);
    const rows = answer.rows.map((row) => ({
      name: displayName(dimension, row),
      note: row.country === undefined ? null : format.country(row.country),
      count: row.count,
      filter: row.filter,
    }));
    return { rows, total: answer.total };
  }

  #updateFigures(figures, definitions) {
    const { data, previous } = this.state.answer;
    const { reasons, future } = this.state;
    const valuesOf = (sections) =>
      definitions.map((definition) => {
        const section = sections?.[definition.section];
        return section && !future ? figureOf(section, definition) : null;
      });
    const [values, earlier] = [valuesOf(data), valuesOf(previous)];
    figures.update(values, {
      changes: previous
        ? definitions.map(({ changeOf = percentChange }, index) => changeOf(values[index], earlier[index]))
        : null,
      earlier,
      reasons: definitions.map(({ section }) => (future ? null : reasons[section])),
    });
  }

  /** Tiles, chart and table of the series. */
  #updateSeries() {
    const { answer, reasons, future } = this.state;
    const rows = answer.data.historical ?? [];
    const before = answer.previous?.historical ?? null;
    const compared = before && comparable(rows, before, answer);
    const sumOf = (all, name) =>
      reasons[`historical.${name}`] || reasons.historical || future ? null : sum(all, name);
    const values = METRICS.map((name) => sumOf(rows, name));
    const earlier = compared ? METRICS.map((name) => sumOf(compared, name)) : null;
    this.tiles.update(values, {
      changes: earlier ? values.map((value, index) => percentChange(value, earlier[index])) : null,
      earlier,
      reasons: METRICS.map((name) => (future ? null : (reasons[`historical.${name}`] ?? reasons.historical))),
    });
    const finished = rows.filter((row) => !isUnfinished(row, answer.query, this.state.now));
    this.tiles.updateSparks(
      METRICS.map((name) => (reasons[`historical.${name}`] ? [] : finished.map((row) => row[name]))),
    );
    this.#drawChart();
    this.table.update(rows);
  }

  #drawChart() {
    const { answer, view, reasons, future, now } = this.state;
    const series = SERIES.find(({ name }) => name === view.metric) ?? SERIES[0];
    const { query } = answer;
    const reason = reasons.historical ?? reasons[`historical.${series.name}`] ?? null;
    const rows = reason || future ? [] : (answer.data.historical ?? []);
    const points = pointsOf(rows, answer, { ...series, accumulated: view.series === "accumulated", now });
    this.tiles.choose(series.name);
    setText(byId("metric-hint"), `${series.hint}.${query.weekends ? "" : " Monday to Friday only."}`);
    this.chart.update({
      points,
      empty: future ? NOT_BEGUN : reason,
      title: series.label,
      unit: view.series === "accumulated" ? "so far" : `per ${query.interval}`,
      total: rows.length ? totalText(sum(rows, series.name), query) : "",
      interval: query.interval,
      from: query.from,
      whole: true,
      formatValue: format.count,
      accumulated: view.series === "accumulated",
      averageLabel: query.weekends ? "7-day average" : "Average of 5 working days",
      beforeLabel: beforeLabel(answer),
    });
  }

  #useZoomAsRange() {
    const [first, last] = this.chart.zoom.map((index) => this.chart.points[index].date.slice(0, 10));
    this.onRangeSelected(first, daysOfRow(last, this.answer.query.interval)[1]);
  }

  #overviewRows() {
    const [header, ...rows] = figureRows(this.answer, FIGURES);
    const { data, previous } = this.answer;
    const series = METRICS.map((name) => {
      const [value, before] = [
        sum(data.historical ?? [], name),
        previous ? sum(previous.historical ?? [], name) : null,
      ];
      return [name, value, ...(previous ? [before, percentChange(value, before)] : [])];
    });
    return [header, ...series, ...rows];
  }
}

const isUnfinished = (row, range, now) => incompleteness(row, range.interval, { range, now }) === "so far";

/** The rows of the previous range to compare sums with: of hours, those that have passed in this range, too. */
function comparable(rows, before, { query }) {
  if (query.interval !== "hour") return before;
  const options = { ...query, previousFrom: query.compare_from ?? before[0]?.date ?? query.from };
  return pair(rows, before, options).filter(Boolean);
}

const NOT_BEGUN = "This range has not begun.";

const sum = (rows, name) => rows.reduce((total, row) => total + (row[name] ?? 0), 0);

const figureOf = (section, { name, value }) => (value ? value(section) : section[name]);

const totalText = (total, { weekends }) => `${format.count(total)}${weekends ? "" : ", Monday to Friday"}`;

function beforeLabel({ previous, query }) {
  if (!previous) return null;
  return query.compare_from ? comparedRange(query) : "Previous period";
}

/** "29 May – 26 Aug 2026 until 07:05": an unfinished range is compared with as much of the other one. */
function comparedRange({ compare_from: from, compare_to: to, compare_until: end, tz }) {
  const range = format.range(from, to);
  if (!end) return range;
  const until = format.localMoment(Date.parse(end), tz);
  return `${range} until ${until.slice(0, 10) === to ? "" : `${format.date(until)}, `}${until.slice(11)}`;
}

/** Points of a chart for `name`: of the rows, of the rows compared with, and of their averages. */
function pointsOf(rows, { previous, query }, { name, accumulated, now }) {
  const { interval, from } = query;
  const column = accumulated ? `acc_${name}` : name;
  const earlier = previous?.historical ?? [];
  const options = { interval, from, previousFrom: query.compare_from ?? earlier[0]?.date ?? from };
  const pairs = pair(rows, earlier, options);
  return rows.map((row, index) => ({
    date: keyOf(row),
    name: rowName(row, interval),
    value: row[column],
    // Today would pull it down.
    average: accumulated || interval !== "day" || isUnfinished(row, query, now) ? null : row[`ma_${name}`],
    before: pairs[index] && beforeOf(pairs[index], query, pairs[index][column]),
    note: incompleteness(row, interval, { range: query, now }),
  }));
}

/** A compared value; `isCut` says that its row ends at the same time as the data in the row compared with it. */
function beforeOf(row, { interval, compare_until: end, tz }, value) {
  const name = rowName(row, interval);
  const until = end ? format.localMoment(Date.parse(end), tz) : null;
  if (!until || !contains(row, interval, until)) return { name, value, isCut: false };
  const day = ["hour", "day"].includes(interval) ? "" : `${format.date(until)}, `;
  return { name: `${name}, until ${day}${until.slice(11)}`, value, isCut: true };
}

/** True if `moment`, an ISO date and time, lies in the row. */
function contains(row, interval, moment) {
  if (interval === "hour") return keyOf(row).slice(0, 13) === moment.slice(0, 13);
  const [first, last] = daysOfRow(row.date, interval);
  return first <= moment.slice(0, 10) && moment.slice(0, 10) <= last;
}

/** A row in words: "Tue, 10 Nov 2026", "9 – 15 Nov 2026", "November 2026". */
export function rowName(row, interval) {
  if (interval === "hour") return `${format.day(row.date)}, ${keyOf(row).slice(11)}`;
  if (interval === "week") return format.range(...daysOfRow(row.date, "week"));
  return interval === "month" ? format.month(row.date) : format.day(row.date);
}

/** A hint without zoom, buttons with zoom. The space is reserved, so that nothing moves. */
function createZoomTools({ onReset, onUse }) {
  const hint = el("span", { class: "hint zoom-hint" }, "Drag across the chart to zoom");
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

/** "28 Aug – 25 Nov 2026 in UTC, Monday to Friday in series; compared with 29 May – 26 Aug 2026" */
function rangeText({ query, previous }, { future }) {
  const parts = [`${format.range(query.from, query.to)}, ${query.tz.replaceAll("_", " ")}`];
  if (!query.weekends) parts.push("tiles with a chart: Monday to Friday");
  if (previous && query.compare_from && !future) {
    parts.push(`compared with ${comparedRange(query)}`);
  }
  return future ? `${parts[0]}: ${NOT_BEGUN.toLowerCase()}` : parts.join(", ");
}

function figureRows({ data, previous }, definitions) {
  const header = ["figure", "value", ...(previous ? ["before", "change_per_cent"] : [])];
  const rows = definitions.map((definition) => {
    const valueIn = (sections) =>
      sections?.[definition.section] ? figureOf(sections[definition.section], definition) : null;
    const [value, before] = [valueIn(data), valueIn(previous)];
    return [definition.name, value, ...(previous ? [before, percentChange(value, before)] : [])];
  });
  return [header, ...rows];
}

function dailyRows(answer) {
  return [
    ["figure", "value", "before", "change_per_cent"],
    ...DAILY.map(({ name }) => [name, answer[name], answer.previous[name], answer.change[name]]),
  ];
}

/** The rows and the sum of their counts, as Bars.update takes them. */
const withTotal = (rows) => [rows, rows.reduce((total, { count }) => total + count, 0)];

/** What the API calls Unknown is a missing value or the text Unknown. */
const UNKNOWN = "Unknown";

const namedCounts = (dimension, counts) =>
  Object.entries(counts).map(([value, count]) => ({
    name: value === UNKNOWN ? UNKNOWN : capitalised(filters.valueWords(dimension, value)),
    count,
    filter: value === UNKNOWN && dimension !== "source" ? bothUnknown(dimension) : filters.write({ dimension, value }),
  }));

const bothUnknown = (dimension) => [null, UNKNOWN].map((value) => filters.write({ dimension, value })).join(",");

const capitalised = (name) => (/^[a-z]+$/.test(name) ? format.capital(name) : name);

const weekdays = (counts) =>
  format.WEEKDAYS.filter((name) => name in counts).map((name) => ({ name, count: counts[name] }));

const estimations = (counts) =>
  Object.entries(counts)
    .map(([value, count]) => ({ value: Number(value), count }))
    .sort((a, b) => a.value - b.value)
    .map(({ value, count }) => ({ name: format.number(value), count }));

const places = (rows, kind) =>
  rows.map((row) => ({
    name: placeName(kind, row.country, row[kind]),
    note: row.country === null && row[kind] === null ? null : format.country(row.country),
    count: row.count,
    filter: [
      filters.write({ dimension: "country", value: row.country }),
      filters.write({ dimension: kind, value: row[kind] }),
    ].join(","),
  }));

function placeName(kind, country, value) {
  if (value === null) return UNKNOWN;
  return kind === "region" ? regionName(country, value) : value || "(empty)";
}

function displayName(dimension, row) {
  if (dimension === "region" || dimension === "city") return placeName(dimension, row.country, row.value);
  return row.value === null ? UNKNOWN : capitalised(filters.valueWords(dimension, row.value));
}

/** The number of users in the range: each has exactly one device, possibly unknown. */
const totalUsers = ({ device }) => Object.values(device).reduce((total, count) => total + count, 0);
