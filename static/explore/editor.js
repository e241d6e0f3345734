/** SQL by hand: a statement, the tables beside it, what was run before, and its rows. */

import { el, setAttribute } from "../dom.js";
import * as format from "../format.js";
import { chartNode } from "./chart.js";
import { formatButtons, MEDIA_TYPES } from "./files.js";
import { rememberStatement, statements } from "./history.js";
import { viewLink } from "./list.js";
import { fetchDocument, postForDocument, postForFile } from "./requests.js";
import { schemaNodes } from "./schema.js";
import { tableNodes } from "./table.js";
import { Task } from "./task.js";

const PATH = "query";
const ROWS = [100, 1_000, 10_000];
const USUAL_ROWS = 1_000;
/** How the API names the place of an error. */
const PLACE = / \(line (\d+), column (\d+)\)\.?$/;
const SHOWN_CHARACTERS = 80;

export class Editor {
  /** `onBack` is called to leave the editor; `announce(text)` speaks to screen readers. */
  constructor({ onBack, announce }) {
    this.announce = announce;
    this.catalogue = null;
    this.heading = el("h3", { tabindex: "-1" }, "SQL");
    this.limits = el("p", { class: "hint", id: "explore-sql-limits" });
    this.input = statementInput();
    this.error = el("div", { id: "explore-sql-error" });
    this.rows = el("select", { id: "explore-sql-rows" }, ...ROWS.map(rowsOption));
    this.past = el("details", { class: "table-details explore-past" });
    this.schema = el("div", { class: "explore-schema-tables" });
    this.schemaMessages = el("div");
    this.messages = el("div");
    this.result = el("div", { class: "explore-result" });
    this.task = new Task(this.messages, announce);
    this.schemaTask = new Task(this.schemaMessages, announce);
    this.root = el(
      "article",
      { class: "explore-detail explore-sql" },
      el(
        "div",
        { class: "heading small" },
        viewLink("‹ All", { name: null }, { class: "button explore-back" }, onBack),
        this.heading,
      ),
      this.limits,
      el("div", { class: "explore-desk" }, this.#form(), this.#aside()),
      this.messages,
      this.result,
    );
    this.#drawPast();
  }

  /** Load the catalogue, unless it is there. */
  async load() {
    if (this.catalogue) return;
    const answer = await this.schemaTask.run((signal) => fetchDocument("query/tables", { signal }), {
      retry: () => this.load(),
    });
    if (!answer) return;
    this.catalogue = answer.data;
    this.limits.textContent = limitsText(this.catalogue.limits);
    this.schema.replaceChildren(...schemaNodes(this.catalogue.tables, (text) => this.#insert(text)));
  }

  stop() {
    this.task.stop();
    this.schemaTask.stop();
  }

  #form() {
    const form = el(
      "form",
      { class: "card explore-statement", "aria-label": "Statement" },
      el("label", { class: "explore-statement-name", for: "explore-sql-input" }, "One SELECT"),
      this.input,
      this.error,
      el(
        "p",
        { class: "explore-buttons" },
        el("button", { class: "button main", type: "submit", "aria-keyshortcuts": "Control+Enter" }, "Run"),
        el("span", { class: "hint", id: "explore-sql-keys" }, "Ctrl + Enter"),
        el("span", { class: "explore-most" }, el("label", { for: "explore-sql-rows" }, "At most"), this.rows),
      ),
      this.past,
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#run();
    });
    this.input.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      this.#run();
    });
    return form;
  }

  #aside() {
    return el(
      "aside",
      { class: "card explore-schema", "aria-label": "Tables" },
      el("p", { class: "hint" }, "Choose a name to insert it."),
      this.schemaMessages,
      this.schema,
    );
  }

  /** Put `text` where the cursor is, so that the browser can undo it. */
  #insert(text) {
    const { input } = this;
    const before = input.value.slice(0, input.selectionStart);
    const gap = /[\s(.,]$|^$/.test(before) ? "" : " ";
    input.focus();
    if (!document.execCommand("insertText", false, gap + text))
      input.setRangeText(gap + text, input.selectionStart, input.selectionEnd, "end");
  }

  /* A query. */

  async #run() {
    const sql = this.input.value.trim() ? this.input.value : "";
    this.#showError(null);
    if (!sql) {
      this.#showError("Enter a SELECT.");
      this.input.focus();
      return;
    }
    this.#setOutdated(true);
    const content = { sql, limit: Number(this.rows.value) };
    const data = await this.task.run((signal) => postForDocument(PATH, content, { signal }), {
      retry: () => this.#run(),
      onWait: () => this.#clearResult(),
      onError: (error) => this.#onError(error, sql),
    });
    if (!data) return;
    this.#remember(sql, rowsText(data));
    this.#draw(sql, data);
    this.announce(statusText(data, this.catalogue?.limits));
    if (this.catalogue && this.catalogue.snapshot !== data.snapshot) this.#reload();
  }

  /** The tables are those of another snapshot by now. */
  #reload() {
    this.catalogue = null;
    this.load();
  }

  /** An error of the statement stands below it; any other one has a button to try again. */
  #onError(error, sql) {
    this.#clearResult();
    if (![400, 413, 422].includes(error.status)) return false;
    this.#remember(sql, "failed");
    this.#showError(error.message);
    return true;
  }

  #showError(message) {
    setAttribute(this.input, "aria-invalid", message ? "true" : null);
    this.error.replaceChildren(...(message ? this.#errorNodes(message) : []));
  }

  #errorNodes(message) {
    const nodes = [el("p", { class: "problem", role: "alert" }, message)];
    const [, line, column] = PLACE.exec(message) ?? [];
    if (!line) return nodes;
    const lines = this.input.value.split("\n");
    const goTo = el("button", { class: "button", type: "button" }, `Go to line ${line}, column ${column}`);
    goTo.addEventListener("click", () => this.#goTo(lines, Number(line), Number(column)));
    return [...nodes, excerpt(lines[line - 1] ?? "", Number(column)), goTo];
  }

  /** Columns count characters, and positions in the field count UTF-16 units. */
  #goTo(lines, line, column) {
    const before = lines.slice(0, line - 1).reduce((total, text) => total + text.length + 1, 0);
    const characters = [...(lines[line - 1] ?? "")];
    const from = before + characters.slice(0, column - 1).join("").length;
    const to = from + (/^\w+/.exec(this.input.value.slice(from))?.[0].length ?? 1);
    this.input.focus();
    this.input.setSelectionRange(from, Math.min(to, this.input.value.length));
  }

  /* The rows. */

  /** Rows of an earlier statement are dimmed, and their files cannot be saved any more. */
  #setOutdated(outdated) {
    this.result.classList.toggle("explore-outdated", outdated);
    this.result.inert = outdated;
  }

  #clearResult() {
    this.result.replaceChildren();
    this.#setOutdated(false);
  }

  #draw(sql, data) {
    this.#setOutdated(false);
    const { rows, columns, zone } = data;
    const status = el("p", { class: "range" }, statusText(data, this.catalogue?.limits));
    const files = formatButtons((extension) => postForFile(PATH, { sql }, MEDIA_TYPES[extension]));
    if (!rows.length) {
      this.result.replaceChildren(el("p", { class: "empty" }, `There are no rows. ${snapshotText(data)}`));
      return;
    }
    const chart = this.#chart(data);
    const table = tableNodes({ caption: "Rows of the query", columns, rows, zone });
    this.result.replaceChildren(
      ...(chart ? [chart] : []),
      el(
        "div",
        { class: "card explore-table" },
        el("div", { class: "explore-over-table" }, status, files),
        ...(data.truncated
          ? [el("p", { class: "explore-truncated" }, truncationText(data, this.catalogue?.limits))]
          : []),
        table.region,
        el("p", { class: "explore-buttons" }, table.more),
      ),
    );
  }

  #chart(data) {
    const { rows, columns, zone, truncated } = data;
    const onNumber = (number) => {
      this.number = number;
      const drawn = this.result.querySelector(".explore-chart");
      drawn?.replaceWith(this.#chart(data));
      this.result.querySelector(".explore-chart select")?.focus({ preventScroll: true });
    };
    return chartNode({ columns, rows, zone, order: [], number: this.number, isPart: truncated, onNumber });
  }

  /* What was run before. */

  #remember(sql, outcome) {
    rememberStatement({ sql, at: Date.now(), outcome });
    this.#drawPast();
  }

  #drawPast() {
    const entries = statements();
    this.past.hidden = entries.length === 0;
    const items = entries.map((entry) =>
      el("li", {}, this.#pastButton(entry), el("span", { class: "hint" }, pastText(entry))),
    );
    this.past.replaceChildren(el("summary", {}, `Run before in this tab: ${entries.length}`), el("ul", {}, ...items));
  }

  #pastButton({ sql }) {
    const line = sql.trim().replace(/\s+/g, " ");
    const shown = line.length > SHOWN_CHARACTERS ? `${line.slice(0, SHOWN_CHARACTERS)}…` : line;
    const button = el("button", { class: "explore-insert", type: "button", title: sql }, el("code", {}, shown));
    button.addEventListener("click", () => {
      this.input.focus();
      this.input.select();
      if (!document.execCommand("insertText", false, sql)) this.input.value = sql;
      this.#showError(null);
    });
    return button;
  }
}

const statementInput = () =>
  el("textarea", {
    id: "explore-sql-input",
    rows: 9,
    spellcheck: "false",
    autocapitalize: "off",
    autocomplete: "off",
    "aria-describedby": "explore-sql-limits explore-sql-keys explore-sql-error",
  });

const rowsOption = (rows) => el("option", { value: rows, selected: rows === USUAL_ROWS }, `${format.count(rows)} rows`);

const megabytes = (bytes) => `${format.number(bytes / 1e6)} MB`;

const limitsText = ({ rows, bytes, seconds, memory_mb: memory }) =>
  "It reads the tables of one instant, and changes nothing. " +
  `At most ${format.count(rows)} rows and ${megabytes(bytes)}, ${format.number(seconds)} seconds and ${format.count(memory)} MB of memory; one query runs at a time.`;

const rowsText = ({ rows, truncated }) =>
  `${truncated ? "the first " : ""}${format.count(rows.length)} ${rows.length === 1 ? "row" : "rows"}`;

const snapshotText = ({ data_updated_at: at }) => `Data from ${format.dateTime(Date.parse(at))}.`;

function statusText(data) {
  const text = `${rowsText(data)} in ${format.count(data.milliseconds)} ms. ${snapshotText(data)}`;
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** Files have as many rows as the API allows, the table as many as were asked for. */
function truncationText({ rows }, limits) {
  const most = limits ? ` A file has up to ${format.count(limits.rows)} rows, and ${megabytes(limits.bytes)}.` : "";
  return `There are more rows than these ${format.count(rows.length)}.${most}`;
}

const pastText = ({ at, outcome }) =>
  `${new Intl.DateTimeFormat("en-GB", { timeStyle: "short" }).format(at)}, ${outcome}`;

/** The line of an error, with a mark below its column. */
function excerpt(line, column) {
  const characters = [...line];
  const from = Math.max(0, column - 1 - SHOWN_CHARACTERS / 2);
  const shown = characters.slice(from, from + SHOWN_CHARACTERS).join("");
  const mark = `${characters
    .slice(from, column - 1)
    .join("")
    .replace(/\S/g, " ")}^`;
  return el("pre", { class: "explore-excerpt", "aria-hidden": "true" }, `${shown}\n${mark}`);
}
