/** Shows the age of the data, the time of the next sync, and the recent sync runs. */

import { serverNow } from "./api.js";
import { byId, el, setAttribute, setText } from "./dom.js";
import { Figures } from "./figures.js";
import { csvButton } from "./files.js";
import * as format from "./format.js";

const TICK_MS = 5_000;
/** Data is late when it is older than this many sync intervals. */
const LATE_INTERVALS = 3;
export const RUNS_SHOWN = 10;

const COLUMNS = [
  ["Started"],
  ["Outcome"],
  ["Duration", "number"],
  ["Rows read", "number"],
  ["Added", "number"],
  ["Changed", "number"],
  ["Removed", "number"],
  ["Message"],
];
const ROW_COUNTS = ["rows_fetched", "rows_added", "rows_changed", "rows_removed"];

export class Freshness {
  constructor() {
    this.updatedAt = null;
    this.intervalMs = null;
    this.runs = [];
    this.reachable = true;
    this.health = null;
    this.figures = new Figures(byId("sync-figures"), [
      { label: "Data from", format: String },
      { label: "Next sync", format: String },
      { label: "Copy of the database", format: String },
      { label: "Last run", format: String },
    ]);
    this.body = el("tbody");
    byId("sync-tools").append(csvButton("Recent runs", "sync-runs", { rows: () => csvRows(this.runs) }));
    const runs = byId("runs");
    runs.setAttribute("tabindex", "0");
    runs.setAttribute("role", "region");
    runs.setAttribute("aria-label", "Recent runs, table");
    runs.append(
      el(
        "table",
        { class: "plain" },
        el("caption", { class: "visually-hidden" }, "Recent runs"),
        el(
          "thead",
          {},
          el("tr", {}, ...COLUMNS.map(([label, kind]) => el("th", { scope: "col", class: kind ?? null }, label))),
        ),
        this.body,
      ),
    );
    this.empty = el("p", { class: "empty", hidden: true }, "No runs yet.");
    runs.append(this.empty);
    setInterval(() => this.update(), TICK_MS);
  }

  clear() {
    Object.assign(this, { updatedAt: null, intervalMs: null, runs: [], reachable: true, health: null });
    this.figures.clear();
    this.body.replaceChildren();
    this.empty.hidden = true;
    this.update();
  }

  /** Set the time of the snapshot, as an ISO 8601 string: the data equals the database at that time. */
  setUpdatedAt(iso) {
    this.updatedAt = Date.parse(iso);
    this.update();
  }

  /** True once there was data. */
  isKnown() {
    return this.updatedAt !== null;
  }

  setReachable(reachable) {
    this.reachable = reachable;
    this.update();
  }

  setRuns({ runs, interval_seconds: interval }) {
    this.intervalMs = interval ? interval * 1000 : null;
    this.runs = runs;
    this.body.replaceChildren(...runs.map(runRow));
    this.empty.hidden = runs.length > 0;
    this.update();
  }

  setHealth(health) {
    this.health = health;
    this.update();
  }

  /** Show everything relative to the current time. */
  update() {
    const known = this.updatedAt !== null;
    const age = known ? serverNow() - this.updatedAt : null;
    const late = known && this.intervalMs !== null && age > LATE_INTERVALS * this.intervalMs;
    setAttribute(byId("freshness"), "data-state", this.#state(known, late));
    setText(byId("freshness-text"), this.#summary(known, age, late));
    setAttribute(byId("freshness"), "title", known ? format.dateTime(this.updatedAt) : null);
    if (known) this.#updateFigures(age);
  }

  #state(known, late) {
    if (!this.reachable) return "offline";
    if (!known) return "none";
    return late ? "late" : "fresh";
  }

  #summary(known, age, late) {
    if (!known) return this.reachable ? "Waiting for data" : "The API is not responding";
    const from = `Data from ${format.duration(age)} ago`;
    if (!this.reachable) return `${from}, the API is not responding`;
    if (late) return `${from}: the sync is late`;
    const next = this.#nextSync();
    return next ? `${from}, next sync ${next}` : from;
  }

  /** The next sync starts one interval after the start of the last one. */
  #nextSync() {
    if (this.intervalMs === null || !this.runs.length) return null;
    const remaining = Date.parse(this.runs[0].started_at) + this.intervalMs - serverNow();
    return remaining > 0 ? `in ${format.duration(remaining)}` : "due";
  }

  #updateFigures(age) {
    const [run] = this.runs;
    const size = this.health?.components.storage.data_size_mb;
    this.figures.update([
      `${format.duration(age)} ago`,
      this.#nextSync(),
      size === undefined ? null : `${format.number(size)} MiB`,
      run ? outcome(run) : null,
    ]);
    const notes = [
      format.dateTime(this.updatedAt),
      this.intervalMs === null ? "" : `every ${format.duration(this.intervalMs)}`,
      this.health ? tableCount(this.health.components.parquet_files.files) : "",
      run ? format.dateTime(Date.parse(run.started_at)) : "",
    ];
    for (const [index, note] of notes.entries()) setText(this.figures.tiles[index].note, note || "\u00a0");
  }
}

/** How many tables have a file; `files` maps each table to true or false. */
function tableCount(files) {
  const all = Object.values(files);
  return `${all.filter(Boolean).length} of ${all.length} tables`;
}

const outcome = ({ success }) => (success ? "Succeeded" : "Failed");

/** Sum a row count over all tables of a run. */
const sum = (run, name) => run.tables.reduce((total, table) => total + table[name], 0);

function runRow(run) {
  return el(
    "tr",
    {},
    el("th", { scope: "row" }, format.dateTimeSeconds(Date.parse(run.started_at))),
    el("td", {}, el("span", { class: "badge", "data-meaning": run.success ? "good" : "bad" }, outcome(run))),
    el(
      "td",
      { class: "number" },
      run.milliseconds < 1000 ? `${format.count(run.milliseconds)} ms` : `${format.number(run.milliseconds / 1000)} s`,
    ),
    ...ROW_COUNTS.map((name) => el("td", { class: "number" }, format.count(sum(run, name)))),
    el("td", { class: "message" }, run.success ? news(run.message) : run.message),
  );
}

/** What a message says beyond the numbers of its row: "Mirrored 5 rows of …, in 1 s; table stale" becomes "table stale". */
const news = (message) => message.replace(/^Mirrored [^;]*(; )?/, "");

function csvRows(runs) {
  return [
    ["started_at", "ended_at", "milliseconds", "success", ...ROW_COUNTS, "message"],
    ...runs.map((run) => [
      run.started_at,
      run.ended_at,
      run.milliseconds,
      String(run.success),
      ...ROW_COUNTS.map((name) => sum(run, name)),
      run.message,
    ]),
  ];
}
