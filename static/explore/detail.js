/** One derived table or report: its description, its form, its rows, and how it is made. */

import { el } from "../dom.js";
import * as format from "../format.js";
import { chartNode } from "./chart.js";
import { fileButtons } from "./files.js";
import { Form } from "./form.js";
import { rowsText, viewLink } from "./list.js";
import { columnNotes, definitionNodes } from "./notes.js";
import { fetchDocument } from "./requests.js";
import { tableNodes } from "./table.js";
import { Task } from "./task.js";
import { title, withCode } from "./values.js";

/** Rows of one answer: enough for a chart of years, and little to transfer. */
const LOADED_ROWS = 2_000;
/** Parameters of every definition, unless a report has a parameter of that name. */
const CONTROLS = ["order", "after"];

export class Detail {
  /**
   * `onView(view)` is called with another view of this definition, or with null for the list; `onData(iso)`
   * with the instant of the snapshot that was read.
   */
  constructor(definition, { onView, onData, announce }) {
    Object.assign(this, { definition, onView, onData, announce });
    const own = definition.parameters.map(({ name }) => name);
    this.controls = CONTROLS.filter((name) => !own.includes(name));
    this.heading = el("h3", { tabindex: "-1" }, title(definition.name));
    this.stale = el("div", { class: "banner explore-stale", "data-kind": "info", hidden: true });
    this.formSpace = el("div");
    this.messages = el("div");
    this.result = el("div", { class: "explore-result" });
    this.notes = el("div");
    this.task = new Task(this.messages, announce);
    this.root = el(
      "article",
      { class: "explore-detail", "data-name": definition.name },
      el(
        "div",
        { class: "heading small" },
        viewLink("‹ All", { name: null }, { class: "button explore-back" }, () => this.onView(null)),
        this.heading,
        el(
          "div",
          { class: "tools" },
          fileButtons(() => this.#fileRequest()),
        ),
      ),
      ...descriptionNodes(definition),
      this.stale,
      this.formSpace,
      this.messages,
      this.result,
      this.notes,
      ...definitionNodes(definition),
    );
    this.#showStale(definition.stale_since);
    this.#showNotes(definition.columns);
  }

  /** Show another view of the definition; loads its rows unless only the chart differs. */
  show(view) {
    const asked = JSON.stringify(view.query);
    const isAsked = asked === this.asked;
    Object.assign(this, { view, asked });
    if (isAsked && this.data) {
      this.#draw();
      return;
    }
    this.#showForm();
    this.load();
  }

  async load() {
    this.result.classList.add("explore-outdated");
    const field = this.form?.missing();
    if (field) {
      this.task.stop();
      this.#clearResult(el("p", { class: "empty" }, "Fill in the required fields, then choose Run."));
      return;
    }
    const { limit } = this.definition;
    const query = { ...this.#limit(Math.min(LOADED_ROWS, limit?.maximum ?? LOADED_ROWS)), ...this.view.query };
    const answer = await this.task.run((signal) => fetchDocument(this.#path(), { query, signal }), {
      retry: () => this.load(),
      onWait: () => this.#clearResult(),
      onError: (error) => this.#onError(error),
    });
    if (!answer) return;
    this.data = answer.data;
    this.#showStale(answer.staleSince);
    this.#showNotes(this.data.columns);
    this.#draw();
    this.announce(`${title(this.definition.name)}: ${this.#rowsText()}`);
    this.onData(this.data.data_updated_at);
  }

  stop() {
    this.task.stop();
  }

  #path() {
    return this.definition.address.slice(1);
  }

  #limit(rows) {
    return this.definition.parameters.some(({ name }) => name === "limit") ? {} : { limit: rows };
  }

  /** Files have all pages. */
  #fileRequest() {
    const { after: _, ...query } = this.view.query;
    const { limit } = this.definition;
    return { path: this.#path(), query: { ...query, ...(limit ? this.#limit(limit.maximum) : {}) } };
  }

  /* Changes of the view. */

  #change(query, number = this.view.number) {
    this.onView({ name: this.definition.name, query, number });
  }

  /** A new order or other filters begin with the first page. */
  #without(...names) {
    return Object.fromEntries(Object.entries(this.view.query).filter(([name]) => !names.includes(name)));
  }

  #submit(values) {
    const { order } = this.view.query;
    const query = this.controls.includes("order") && order ? { ...values, order } : values;
    if (JSON.stringify(query) === JSON.stringify(this.view.query)) this.load();
    else this.#change(query);
  }

  /* Drawing. */

  /** The form of the present view; one that is being filled in stays. */
  #showForm() {
    const { filters, parameters } = this.definition;
    if (!filters.length && !parameters.length) return;
    const values = JSON.stringify(this.#without(...this.controls));
    if (values === this.formValues) return;
    this.formValues = values;
    this.form = new Form(this.definition, this.view.query, (filled) => {
      this.formValues = JSON.stringify(filled);
      this.#submit(filled);
    });
    this.formSpace.replaceChildren(this.form.root);
  }

  #clearResult(...nodes) {
    this.data = null;
    this.result.replaceChildren(...nodes);
    this.result.classList.remove("explore-outdated");
  }

  #onError(error) {
    this.#clearResult();
    const rest = this.form?.showProblems(error.problems ?? []) ?? error.problems ?? [];
    if (!error.problems?.length) return false;
    if (!rest.length) return true;
    const message = rest.map((problem) => `${problem.parameter}: ${problem.message}`).join("; ");
    const reset = el("button", { class: "button", type: "button" }, "Start over");
    reset.addEventListener("click", () => this.#change({}));
    this.result.replaceChildren(
      el("div", { class: "banner", "data-kind": "error", role: "alert" }, el("p", {}, message), reset),
    );
    return true;
  }

  #draw() {
    const { rows, columns, zone } = this.data;
    const order = this.view.query.order ?? this.definition.order.join(",");
    this.form?.showProblems([]);
    this.result.classList.remove("explore-outdated");
    if (!rows.length) {
      this.result.replaceChildren(el("p", { class: "empty" }, this.#emptyText()));
      return;
    }
    const chart = chartNode({
      columns,
      rows,
      zone,
      order: this.definition.order,
      number: this.view.number,
      isPart: this.data.next !== null || "after" in this.view.query,
      onNumber: (number) => this.#change(this.view.query, number),
    });
    const table = tableNodes({
      caption: `${title(this.definition.name)}, rows`,
      columns,
      rows,
      zone,
      order,
      onSort: this.controls.includes("order") ? (next) => this.#sort(next) : null,
    });
    this.result.replaceChildren(
      ...(chart ? [chart] : []),
      el(
        "div",
        { class: "card explore-table" },
        this.#status(),
        table.region,
        el("p", { class: "explore-buttons" }, table.more, ...this.#pager()),
      ),
    );
    this.#restoreFocus();
  }

  #sort(order) {
    this.sorted = order.replace(/^-/, "");
    this.#change({ ...this.#without("order", "after"), order });
  }

  /** A new table has new buttons: the one that was used keeps the focus. */
  #restoreFocus() {
    if (!this.sorted) return;
    const button = this.result.querySelector(`[data-column="${CSS.escape(this.sorted)}"]`);
    button?.focus({ preventScroll: true });
    this.sorted = null;
  }

  #emptyText() {
    const filtered = Object.keys(this.#without(...this.controls)).length > 0;
    if (!filtered) return "There are no rows.";
    return this.definition.type === "report" ? "No rows for these values." : "No rows match these filters.";
  }

  #rowsText() {
    const { rows, next } = this.data;
    const paged = next !== null || "after" in this.view.query;
    const total = this.definition.rows;
    const filtered = Object.keys(this.#without(...this.controls)).length > 0;
    const of = paged && total !== null && !filtered ? ` of ${format.count(total)}` : "";
    return `${format.count(rows.length)}${of} ${rows.length === 1 && !of ? "row" : "rows"}`;
  }

  #status() {
    // Rows that are stale are not of that instant; the banner says so.
    const from = this.stale.hidden ? `, data from ${format.dateTime(Date.parse(this.data.data_updated_at))}` : "";
    return el("p", { class: "range" }, `${this.#rowsText()}${from}`);
  }

  #pager() {
    const { next } = this.data;
    const nodes = [];
    if ("after" in this.view.query) nodes.push(pageButton("First page", () => this.#change(this.#without("after"))));
    if (next !== null && this.controls.includes("after")) {
      const after = new URL(next, location.href).searchParams.get("after");
      nodes.push(pageButton("Next page", () => this.#change({ ...this.view.query, after })));
    }
    return nodes;
  }

  #showStale(since) {
    this.stale.hidden = !since;
    if (since) this.stale.replaceChildren(el("p", {}, staleText(since, this.definition)));
  }

  #showNotes(columns) {
    this.notes.replaceChildren(...columnNotes(columns));
  }
}

const pageButton = (text, onclick) => el("button", { class: "button", type: "button", onclick }, text);

function descriptionNodes({ description, type, rows, zone, built_at: builtAt }) {
  const [summary, ...rest] = description.split("\n");
  const facts = [type === "report" ? "Report, computed when asked" : "Derived table"];
  if (rows !== null) facts.push(rowsText(rows));
  if (builtAt) facts.push(`built from the data of ${format.dateTime(Date.parse(builtAt))}`);
  facts.push(`time zone ${zone}`);
  return [
    summary ? el("p", {}, ...withCode(summary)) : null,
    rest.length ? el("p", { class: "explore-more" }, ...withCode(rest.join(" "))) : null,
    el("p", { class: "hint" }, facts.join(" · ")),
  ].filter(Boolean);
}

function staleText(since, { type, failed_because: because }) {
  const when = format.dateTime(Date.parse(since));
  const what =
    type === "report"
      ? "a table that this report reads is older than the data"
      : "these are the rows of the last good build";
  return `Stale since ${when}: ${what}.${because ? ` ${because}` : ""}`;
}
