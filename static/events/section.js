/** The Events section: counts over time, users, names, a live tail, and dead letters. */

import { ApiError, get } from "../api.js";
import { el, setText } from "../dom.js";
import { Figures } from "../figures.js";
import * as format from "../format.js";
import { getToken, isSignedIn } from "../session.js";
import { chartNodes } from "./chart.js";
import { deadLetterNodes, tailRow, topNodes, usersNodes } from "./tables.js";

const TAIL_MS = 3_000;
const REST_MS = 30_000;
const TAIL_ROWS = 20;
const LETTERS = 10;
const NAMES = 6;
const WINDOWS = { "1h": "last hour", "24h": "last 24 hours", "7d": "last 7 days", "30d": "last 30 days" };
const MISSING = "The reports about events are missing: copy the folder views/events into VIEWS_DIR.";

export class Section {
  constructor(root) {
    this.window = "24h";
    this.isVisible = false;
    this.problem = el("p", { class: "problem", role: "alert" });
    this.chart = el("figure", { class: "card events-chart" });
    this.top = el("div", { class: "card scroll" });
    this.users = el("div", { class: "card scroll" });
    this.tail = el("tbody");
    this.letters = el("div", { class: "card scroll", id: "dead-letters" });
    const tiles = el("dl", { class: "tiles compact" });
    root.replaceChildren(this.#heading(), this.problem, tiles, this.chart, ...this.#cards());
    this.figures = new Figures(tiles, [
      { label: "Events", format: format.count },
      { label: "Active users", format: format.count },
      { label: "Dead letters", format: format.count },
    ]);
    document.addEventListener("visibilitychange", () => this.#run());
    new IntersectionObserver((entries) => {
      this.isVisible = entries.at(-1).isIntersecting;
      this.#run();
    }).observe(root);
    this.clear();
  }

  #heading() {
    const options = Object.entries(WINDOWS).map(([value, text]) =>
      el("option", { value, selected: value === this.window }, text),
    );
    const select = el("select", { id: "events-window", "aria-label": "Window of the events" }, ...options);
    select.addEventListener("change", () => {
      this.window = select.value;
      this.loadedAt = 0;
      this.#run();
    });
    return el("div", { class: "heading" }, el("h2", { id: "events-title" }, "Events"), select);
  }

  #cards() {
    const columns = ["Received", "Name", "User", "Product", "Properties"];
    const head = el("tr", {}, ...columns.map((name) => el("th", { scope: "col" }, name)));
    const caption = el("caption", { class: "visually-hidden" }, "The newest events");
    const tail = el("table", { class: "plain" }, caption, el("thead", {}, head), this.tail);
    for (const [node, name] of [
      [this.top, "Top events"],
      [this.users, "Active users by day"],
      [this.letters, "Dead letters"],
    ]) {
      scrollable(node, name);
    }
    return [
      el("div", { class: "cards" }, titled("Top events", this.top), titled("Active users by day", this.users)),
      titled("Newest", scrollable(el("div", { class: "card scroll", id: "tail" }, tail), "Newest events")),
      titled("Dead letters", this.letters),
    ];
  }

  show() {
    if (this.isActive) return;
    this.isActive = true;
    this.#run();
  }

  /** Forget everything that was loaded. */
  clear() {
    clearTimeout(this.timer);
    Object.assign(this, { isActive: false, etag: null, loadedAt: 0, newest: null });
    this.figures.clear();
    for (const node of [this.chart, this.top, this.users, this.tail, this.letters]) node.replaceChildren();
    setText(this.problem, "");
  }

  /** Load now what is due, and again later, while somebody can see it. */
  async #run() {
    clearTimeout(this.timer);
    if (!this.isActive || !this.isVisible || document.hidden || this.isRunning) return;
    this.isRunning = true;
    try {
      await this.#load();
      setText(this.problem, "");
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      setText(this.problem, error.kind === "missing" ? MISSING : error.message);
    } finally {
      this.isRunning = false;
    }
    if (this.isActive) this.timer = setTimeout(() => this.#run(), this.loadedAt ? TAIL_MS : 0);
  }

  async #load() {
    const isDue = performance.now() - this.loadedAt >= REST_MS || !this.loadedAt;
    // Counted as loaded even if it fails: the next attempt is not at once.
    if (isDue) this.loadedAt = performance.now();
    await Promise.all([this.#loadTail(), isDue ? this.#loadRest() : null]);
  }

  async #loadTail() {
    const answer = await fetchPart("reports/newest_events", { limit: TAIL_ROWS }, this.etag);
    if (answer === null || !this.isActive) return;
    this.etag = answer.etag;
    const seen = this.newest;
    this.newest = new Set(answer.data.rows.map(({ event_id: id }) => id));
    this.tail.replaceChildren(...answer.data.rows.map((row) => tailRow(row, seen !== null && !seen.has(row.event_id))));
  }

  async #loadRest() {
    const { window } = this;
    const [series, top, active, days, letters] = await Promise.all([
      fetchPart("reports/events_over_time", { window, names: NAMES }),
      fetchPart("reports/top_events", { window, limit: 10 }),
      fetchPart("reports/active_users", { window }),
      fetchPart("reports/active_users_by_day", { days: 14 }),
      fetchPart("events/rejected", { limit: LETTERS }),
    ]);
    if (!this.isActive) return;
    if (window !== this.window) {
      this.loadedAt = 0;
      return;
    }
    const total = series.data.rows.reduce((sum, { events }) => sum + events, 0);
    this.figures.update([total, active.data.rows[0].active_users, letters.data.total]);
    this.chart.replaceChildren(...chartNodes(series.data.rows, window, WINDOWS[window]));
    this.top.replaceChildren(...topNodes(top.data.rows[0].top_events, total));
    this.users.replaceChildren(...usersNodes(days.data.rows));
    this.letters.replaceChildren(...deadLetterNodes(letters.data));
  }
}

const fetchPart = (path, query, etag) => get(path, { query, etag, token: isSignedIn() ? getToken() : null });

const titled = (title, node) => el("div", {}, el("div", { class: "heading small" }, el("h3", {}, title)), node);

/** Makes a node that may scroll reachable by keys. */
function scrollable(node, name) {
  node.setAttribute("tabindex", "0");
  node.setAttribute("role", "region");
  node.setAttribute("aria-label", name);
  return node;
}
