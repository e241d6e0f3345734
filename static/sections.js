/** The sections of the page: which of the API's figures stands where. */

import { Bars } from "./bars.js";
import { ChartGroup, MOST_BARS } from "./charts.js";
import { byId, el, setText } from "./dom.js";
import { Figures } from "./figures.js";
import { csvButton } from "./files.js";
import * as format from "./format.js";
import { DataTable } from "./tables.js";

const MOVING_AVERAGE_ROWS = 30;
const UNITS = { day: ["day", "days"], week: ["week", "weeks"], month: ["month", "months"] };

const HEADLINES = [
  ["traffic", "unique_users", { label: "Visitors", format: format.count, good: 1 }],
  ["traffic", "page_views", { label: "Page views", format: format.count, good: 1 }],
  [
    "traffic",
    "bounce_rate",
    { label: "Bounce rate", format: format.share, good: -1, hint: "Visitors who never estimated" },
  ],
  [
    "traffic",
    "average_duration",
    {
      label: "Session length",
      format: format.minutes,
      good: 1,
      hint: "The mean; a session ends where more than 10 minutes pass",
    },
  ],
  ["votes", "total_votes", { label: "Votes", format: format.count, good: 1 }],
  ["votes", "total_estimations", { label: "Estimations", format: format.count, good: 1 }],
];

const VOTE_FIGURES = [
  ["votes", "avg_estimations_per_vote", { label: "Estimations per vote", format: format.number }],
  ["votes", "avg_spectators_per_vote", { label: "Spectators per vote", format: format.number }],
  ["votes", "avg_duration_per_vote", { label: "Time per vote", format: format.minutes }],
  ["votes", "avg_min_estimation", { label: "Lowest estimation", format: format.number }],
  ["votes", "avg_estimation", { label: "Mean estimation", format: format.number }],
  ["votes", "avg_max_estimation", { label: "Highest estimation", format: format.number }],
];

const DAILY = [
  ["unique_users", { label: "Visitors", format: format.count, good: 1 }],
  ["page_views", { label: "Page views", format: format.count, good: 1 }],
  ["rooms", { label: "Rooms that voted", format: format.count, good: 1 }],
  ["votes", { label: "Votes", format: format.count, good: 1 }],
  ["estimations", { label: "Estimations", format: format.count, good: 1 }],
];

const SERIES = [
  ["page_views", "Page views"],
  ["new_users", "New users"],
  ["estimations", "Estimations"],
  ["votes", "Votes"],
  ["rooms", "New rooms"],
];

const RETURNING = [
  ["users", "Returning users"],
  ["rooms", "Returning rooms"],
];

/** Everything below the controls. `asks` makes the parameters of the API's CSV files. */
export class Sections {
  constructor({ asks, onZoomedRange }) {
    this.onZoomedRange = onZoomedRange;
    this.tiles = new Figures(
      byId("tiles"),
      HEADLINES.map(([, , shown]) => shown),
    );
    this.daily = new Figures(
      byId("daily"),
      DAILY.map(([, shown]) => shown),
    );
    this.votes = new Figures(
      byId("vote-figures"),
      VOTE_FIGURES.map(([, , shown]) => shown),
    );
    this.#makeSeries(asks);
    this.#makeBars(asks);
    byId("overview-tools").append(
      csvButton("Overview", "overview", { rows: () => figureRows(this.answer, HEADLINES) }),
    );
    byId("votes-tools").append(
      csvButton("Figures of votes", "votes", { rows: () => figureRows(this.answer, VOTE_FIGURES) }),
    );
    byId("daily-tools").append(csvButton("Last 24 hours", "last-24-hours", { rows: () => dailyRows(this.day) }));
  }

  clear() {
    this.answer = null;
    this.day = null;
    for (const figures of [this.tiles, this.daily, this.votes]) figures.clear();
    for (const { chart } of [...this.activity, ...this.returning]) chart.clear();
    for (const table of [this.activityTable, this.returningTable]) table.update([]);
    for (const { bars } of this.breakdowns) bars.clear();
    setText(byId("range-text"), "\u00a0");
  }

  /** Show an answer of `GET /` as the view wants it. */
  update(answer, view) {
    this.answer = answer;
    setText(byId("range-text"), rangeText(answer.query, answer.change));
    showFigures(this.tiles, HEADLINES, answer);
    showFigures(this.votes, VOTE_FIGURES, answer);
    this.#drawActivity(answer, view);
    this.#drawReturning(answer);
    for (const { bars, of } of this.breakdowns) bars.update(...of(answer.data));
  }

  /** Show an answer of `GET /daily-analytics`. */
  updateDaily(day) {
    this.day = day;
    const pick = (from) => DAILY.map(([name]) => from[name]);
    this.daily.update(pick(day), pick(day.change), pick(day.previous));
  }

  /** The same answer, drawn as counts or sums. */
  redraw(view) {
    if (this.answer) this.#drawActivity(this.answer, view);
  }

  /** A new range begins unzoomed. */
  unzoom() {
    if (this.group.zoom) this.group.zoomTo(null);
  }

  #makeSeries(asks) {
    this.group = new ChartGroup("days", (zoom) => this.#tellZoom(zoom));
    this.zoomTools = zoomTools(
      () => this.group.zoomTo(null),
      () => this.#takeZoom(),
    );
    byId("activity-tools").append(
      this.zoomTools.root,
      csvButton("Activity", "activity", { fetching: () => ({ path: "historical.csv", query: asks.series() }) }),
    );
    byId("returning-tools").append(
      csvButton("Returning users and rooms", "returning", {
        fetching: () => ({ path: "reoccurring.csv", query: asks.series() }),
      }),
    );
    this.activity = SERIES.map(([name, title]) => ({
      name,
      title,
      chart: this.group.add(byId("activity-charts"), title),
    }));
    this.returning = RETURNING.map(([name, title]) => ({
      name,
      title,
      chart: this.group.add(byId("returning-charts"), title),
    }));
    const day = { label: "From", of: ({ date }) => format.day(format.dayToSeconds(date)) };
    const whole = (label, name) => ({ label, number: true, of: (row) => format.count(row[name]) });
    const mean = (label, name) => ({
      label,
      number: true,
      of: (row) => (row[name] === null ? "–" : format.number(row[name])),
    });
    this.activityTable = new DataTable(byId("activity-table"), {
      title: "Activity",
      columns: [
        day,
        ...SERIES.flatMap(([name, title]) => [
          whole(title, name),
          whole(`${title}, accumulated`, `acc_${name}`),
          mean(`${title}, moving average`, `ma_${name}`),
        ]),
      ],
    });
    this.returningTable = new DataTable(byId("returning-table"), {
      title: "Returning users and rooms",
      columns: [
        day,
        ...RETURNING.flatMap(([name, title]) => [
          whole(title, `reoccurring_${name}`),
          whole(`${title}, active`, `adjusted_reoccurring_${name}`),
        ]),
      ],
    });
  }

  #drawActivity({ data, previous, query }, view) {
    const rows = data.historical;
    const days = rows.map(({ date }) => format.dayToSeconds(date));
    const before = previous?.historical;
    for (const { name, title, chart } of this.activity) {
      const lines =
        view.series === "accumulated"
          ? accumulated(rows, before, name)
          : counted(rows, before, { name, title, average: averageLabel(rows, query.interval) });
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
        { label: "All so far", look: "sum", values: column(rows, `reoccurring_${name}`) },
        { label: "Active", look: "average", values: column(rows, `adjusted_reoccurring_${name}`) },
      ];
      if (previous) {
        const values = beside(rows, previous.reoccurring, `reoccurring_${name}`);
        lines.push({ label: "All, previous", look: "before", values });
      }
      const total = rows.length ? `${format.count(rows.at(-1)[`reoccurring_${name}`])} so far` : "";
      chart.update({ days, lines, interval: query.interval, total });
    }
    this.returningTable.update(rows);
  }

  #tellZoom(zoom) {
    this.zoomTools.tell(zoom);
  }

  #takeZoom() {
    const shown = this.activity[0].chart.days.filter((day) => day >= this.group.zoom[0] && day <= this.group.zoom[1]);
    if (shown.length) this.onZoomedRange(format.secondsToDay(shown[0]), format.secondsToDay(shown.at(-1)));
  }

  #makeBars(asks) {
    const csv = (dimension) => ({
      name: dimension,
      fetching: () => ({ path: `breakdown/${dimension}.csv`, query: asks.range() }),
    });
    const make = (root, title, dimension, of, more) => ({
      of,
      bars: new Bars(byId(root), { title, csv: csv(dimension), ...more }),
    });
    const views = { counts: "Views" };
    const users = { counts: "Users" };
    this.breakdowns = [
      make("vote-bars", "Weekdays", "weekday", ({ votes }) => whole(weekdays(votes.weekday_counts)), {
        names: "Weekday",
        counts: "Votes",
        natural: true,
        reserve: 7,
      }),
      make("vote-bars", "Estimation values", "estimation", ({ votes }) => whole(values(votes.estimation_counts)), {
        names: "Value",
        counts: "Times",
        natural: true,
        reserve: 9,
      }),
      make("visit-bars", "Pages", "route", ({ behaviour }) => whole(tally(behaviour.routes, format.words)), {
        names: "Page",
        reserve: 6,
        ...views,
      }),
      make("visit-bars", "Sources", "source", ({ behaviour }) => whole(tally(behaviour.sources)), {
        names: "Source",
        reserve: 9,
        ...views,
      }),
      make("visit-bars", "Events", "event", ({ behaviour }) => whole(tally(behaviour.events, format.words)), {
        names: "Event",
        counts: "Events",
        reserve: 8,
      }),
      make(
        "audience-bars",
        "Countries",
        "country",
        ({ location_and_user_agent: at }) => [tally(at.country, format.country), everyone(at)],
        { names: "Country", ...users },
      ),
      make(
        "audience-bars",
        "Regions",
        "region",
        ({ location_and_user_agent: at }) => [places(at.country_region, "region"), everyone(at)],
        { names: "Region", ...users },
      ),
      make(
        "audience-bars",
        "Cities",
        "city",
        ({ location_and_user_agent: at }) => [places(at.country_city, "city"), everyone(at)],
        { names: "City", ...users },
      ),
      make("audience-bars", "Devices", "device", ({ location_and_user_agent: at }) => whole(tally(at.device)), {
        names: "Device",
        reserve: 4,
        ...users,
      }),
      make("audience-bars", "Systems", "os", ({ location_and_user_agent: at }) => whole(tally(at.os)), {
        names: "System",
        reserve: 7,
        ...users,
      }),
      make("audience-bars", "Browsers", "browser", ({ location_and_user_agent: at }) => whole(tally(at.browser)), {
        names: "Browser",
        reserve: 10,
        ...users,
      }),
      make("room-cards", "Top rooms", "room", ({ behaviour, votes }) => [tally(behaviour.rooms), votes.total_votes], {
        names: "Room",
        counts: "Votes",
      }),
    ];
  }
}

/** Use a zoom as the range, or leave it; there is room for both all the time. */
function zoomTools(onReset, onTake) {
  const hint = el("span", { class: "hint zoom-hint" }, "Drag over a chart to zoom");
  const take = el("button", { class: "button", type: "button", onclick: onTake }, "Use as range");
  const reset = el("button", { class: "button", type: "button", onclick: onReset }, "Reset zoom");
  const buttons = el("span", { class: "zoom-buttons", hidden: true }, take, reset);
  const root = el("span", { class: "zoom" }, hint, buttons);
  return {
    root,
    tell(zoom) {
      buttons.hidden = !zoom;
      hint.hidden = Boolean(zoom);
    },
  };
}

const column = (rows, name) => rows.map((row) => row[name]);

/** The stretch before, row by row beside this one; longer or shorter by a day or two. */
const beside = (rows, before, name) => rows.map((_, index) => before[index]?.[name] ?? null);

function accumulated(rows, before, name) {
  const lines = [{ label: "Accumulated", look: "sum", values: column(rows, `acc_${name}`) }];
  if (before) lines.push({ label: "Previous", look: "before", values: beside(rows, before, `acc_${name}`) });
  return lines;
}

/** Two ragged lines over each other tell nothing: of many rows, only the averages are compared. */
function counted(rows, before, { name, title, average }) {
  const lines = [{ label: title, look: "counts", values: column(rows, name) }];
  if (before && rows.length <= MOST_BARS)
    lines.push({ label: "Previous", look: "before", values: beside(rows, before, name) });
  else if (before)
    lines.push({ label: "Previous average", look: "before", values: beside(rows, before, `ma_${name}`) });
  return [...lines, { label: average, look: "average", values: column(rows, `ma_${name}`) }];
}

function averageLabel(rows, interval) {
  const [one, many] = UNITS[interval];
  const enough = rows.length >= MOVING_AVERAGE_ROWS;
  return enough ? `${MOVING_AVERAGE_ROWS}-${one} average` : `Average (from ${MOVING_AVERAGE_ROWS} ${many} on)`;
}

function showFigures(figures, shown, { data, previous, change }) {
  const pick = (from) => shown.map(([section, name]) => from[section][name]);
  if (change) figures.update(pick(data), pick(change), pick(previous));
  else figures.update(pick(data));
}

function rangeText({ from, to, tz }, change) {
  const days = from && to ? `${format.date(from)} – ${format.date(to)}` : "All days";
  return `${days}, ${tz}${change ? ", compared with as many days before" : ""}`;
}

function figureRows(answer, shown) {
  const heads = ["figure", "value", ...(answer.change ? ["before", "change_per_cent"] : [])];
  return [
    heads,
    ...shown.map(([section, name]) => [
      name,
      answer.data[section][name],
      ...(answer.change ? [answer.previous[section][name], answer.change[section][name]] : []),
    ]),
  ];
}

function dailyRows(day) {
  return [
    ["figure", "value", "before", "change_per_cent"],
    ...DAILY.map(([name]) => [name, day[name], day.previous[name], day.change[name]]),
  ];
}

/** Rows and the sum of their counts, which their shares are of. */
const whole = (rows) => [rows, rows.reduce((total, { count }) => total + count, 0)];

const tally = (counts, named = (name) => name) =>
  Object.entries(counts).map(([name, count]) => ({ name: named(name) || "(empty)", count }));

const weekdays = (counts) =>
  format.WEEKDAYS.filter((name) => name in counts).map((name) => ({ name: format.weekday(name), count: counts[name] }));

const values = (counts) =>
  Object.entries(counts)
    .map(([value, count]) => ({ value: Number(value), count }))
    .sort((a, b) => a.value - b.value)
    .map(({ value, count }) => ({ name: format.number(value), count }));

const places = (rows, kind) =>
  rows.map((row) => ({ name: row[kind] ?? "Unknown", note: format.country(row.country), count: row.count }));

/** All users in the range: every one has a device, if only an unknown one. */
const everyone = ({ device }) => Object.values(device).reduce((total, count) => total + count, 0);
