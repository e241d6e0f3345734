/** How old the data is, when it is next renewed, and how the last runs went. */

import { serverNow } from "./api.js";
import { byId, el, setAttribute, setText } from "./dom.js";
import { Figures } from "./figures.js";
import { csvButton } from "./files.js";
import * as format from "./format.js";

const TICK_MS = 5_000;
const LATE_INTERVALS = 3;
export const RUNS_SHOWN = 10;

export class Freshness {
  constructor() {
    this.updatedAt = null;
    this.intervalMs = null;
    this.runs = [];
    this.reachable = true;
    this.figures = new Figures(byId("sync-figures"), [
      { label: "Data from", format: String },
      { label: "Next sync", format: String },
      { label: "Copy of the database", format: String },
      { label: "Last run", format: String },
    ]);
    this.body = el("tbody");
    byId("sync-tools").append(csvButton("Last runs", "sync-runs", { rows: () => this.#csv() }));
    const heads = [
      ["Started"],
      ["Outcome"],
      ["Took", "number"],
      ["Rows read", "number"],
      ["Added", "number"],
      ["Changed", "number"],
      ["Removed", "number"],
      ["Message"],
    ];
    const runs = byId("runs");
    runs.setAttribute("tabindex", "0");
    runs.setAttribute("role", "region");
    runs.setAttribute("aria-label", "The last runs, table");
    runs.append(
      el(
        "table",
        { class: "plain" },
        el("caption", { class: "unseen" }, "The last runs"),
        el(
          "thead",
          {},
          el("tr", {}, ...heads.map(([label, kind]) => el("th", { scope: "col", class: kind ?? null }, label))),
        ),
        this.body,
      ),
    );
    this.empty = el("p", { class: "empty", hidden: true }, "No run is known yet.");
    runs.append(this.empty);
    setInterval(() => this.tell(), TICK_MS);
  }

  clear() {
    Object.assign(this, { updatedAt: null, intervalMs: null, runs: [], reachable: true, health: null });
    this.figures.clear();
    this.body.replaceChildren();
    this.empty.hidden = true;
    this.tell();
  }

  /** The instant (ISO 8601) at which the data equals the database. */
  setUpdatedAt(iso) {
    this.updatedAt = Date.parse(iso);
    this.tell();
  }

  setReachable(reachable) {
    this.reachable = reachable;
    this.tell();
  }

  setRuns({ runs, interval_seconds: interval }) {
    this.intervalMs = interval ? interval * 1000 : null;
    this.runs = runs;
    this.body.replaceChildren(...runs.map(runRow));
    this.empty.hidden = runs.length > 0;
    this.tell();
  }

  setHealth(health) {
    this.health = health;
    this.tell();
  }

  /** Write what is known, by the clock of now. */
  tell() {
    const known = this.updatedAt !== null;
    const age = known ? serverNow() - this.updatedAt : null;
    const late = known && this.intervalMs !== null && age > LATE_INTERVALS * this.intervalMs;
    setAttribute(byId("freshness"), "data-state", this.#state(known, late));
    setText(byId("freshness-text"), this.#sentence(known, age, late));
    setAttribute(byId("freshness"), "title", known ? format.instant(this.updatedAt) : null);
    if (known) this.#tellFigures(age);
  }

  #state(known, late) {
    if (!this.reachable) return "gone";
    if (!known) return "none";
    return late ? "late" : "fresh";
  }

  #sentence(known, age, late) {
    if (!known) return this.reachable ? "Waiting for data" : "The API does not answer";
    const from = `Data from ${format.stretch(age)} ago`;
    if (!this.reachable) return `${from}, the API does not answer`;
    if (late) return `${from}: the sync is late`;
    const next = this.#next();
    return next ? `${from}, next sync ${next}` : from;
  }

  /** When the next sync starts: as long after the last start as the interval says. */
  #next() {
    if (this.intervalMs === null || !this.runs.length) return null;
    const wait = Date.parse(this.runs[0].started_at) + this.intervalMs - serverNow();
    return wait > 0 ? `in ${format.stretch(wait)}` : "due";
  }

  #tellFigures(age) {
    const [run] = this.runs;
    const size = this.health?.components.storage.data_size_mb;
    this.figures.update([
      `${format.stretch(age)} ago`,
      this.#next(),
      size === undefined ? null : `${format.number(size)} MB`,
      run ? outcome(run) : null,
    ]);
    const notes = [
      format.instant(this.updatedAt),
      this.intervalMs === null ? "" : `every ${format.stretch(this.intervalMs)}`,
      this.health ? tablesThere(this.health.components.parquet_files.files) : "",
      run ? format.instant(Date.parse(run.started_at)) : "",
    ];
    for (const [index, note] of notes.entries()) setText(this.figures.tiles[index].note, note || "\u00a0");
  }

  #csv() {
    const heads = [
      "started_at",
      "ended_at",
      "milliseconds",
      "success",
      "rows_fetched",
      "rows_added",
      "rows_changed",
      "rows_removed",
      "message",
    ];
    return [
      heads,
      ...this.runs.map((run) => [
        run.started_at,
        run.ended_at,
        run.milliseconds,
        String(run.success),
        ...["rows_fetched", "rows_added", "rows_changed", "rows_removed"].map((name) => sum(run, name)),
        run.message,
      ]),
    ];
  }
}

function tablesThere(files) {
  const all = Object.values(files);
  return `${all.filter(Boolean).length} of ${all.length} tables`;
}

const outcome = ({ success }) => (success ? "Succeeded" : "Failed");

const sum = (run, name) => run.tables.reduce((total, table) => total + table[name], 0);

function runRow(run) {
  return el(
    "tr",
    {},
    el("th", { scope: "row" }, format.instant(Date.parse(run.started_at))),
    el("td", {}, el("span", { class: "badge", "data-meaning": run.success ? "good" : "bad" }, outcome(run))),
    el(
      "td",
      { class: "number" },
      run.milliseconds < 1000 ? `${format.count(run.milliseconds)} ms` : `${format.number(run.milliseconds / 1000)} s`,
    ),
    ...["rows_fetched", "rows_added", "rows_changed", "rows_removed"].map((name) =>
      el("td", { class: "number" }, format.count(sum(run, name))),
    ),
    el("td", { class: "message" }, run.message),
  );
}
