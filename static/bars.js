/** Breakdowns: a table of names and counts with a bar for each share; a click on a row filters by it. */

import { el, setAttribute, setText, svg } from "./dom.js";
import { csvButton, toast } from "./files.js";
import { terms } from "./filters.js";
import * as format from "./format.js";

const narrow = matchMedia("(max-width: 560px)");

/** Number of rows before "Show all". */
const collapsedRows = () => (narrow.matches ? 5 : 10);
/** Show all rows if collapsing would hide no more than this many. */
const MAX_EXTRA_ROWS = 2;
const SEARCH_DELAY_MS = 250;
const NOTHING = "Nothing in this range.";
/** The API's answers hold at most this many rows of a breakdown: there may be more. */
const LARGEST = 40;

/**
 * A card with a sortable table. With `natural`, rows keep the given order (weekdays,
 * card values), which is also the order of their names; otherwise the largest come first.
 * `reserve` is the number of rows to reserve space for until the data arrives. `search(text)` returns
 * a promise of all rows whose name contains `text`, as `{rows, total, totalCount}`. `onFilter` is called
 * with the filter of a row that was clicked.
 */
export class Bars {
  constructor(root, options) {
    const { title, hint, names, counts, natural = false, reserve = 10, csv, search, onFilter } = options;
    this.title = title;
    this.natural = natural;
    this.search = search;
    this.onFilter = onFilter;
    this.sort = natural ? { by: "name", ascending: true } : { by: "count", ascending: false };
    this.rows = [];
    /** Every row, once it was asked for, and those that the search finds; null before. */
    this.all = null;
    this.found = null;
    this.reason = NOTHING;
    /** Searches so far, so that only the answer to the last one is shown. */
    this.searches = 0;
    this.expanded = false;
    this.headers = {
      name: el("th", { scope: "col" }, this.#sortButton("name", names)),
      count: el("th", { scope: "col", class: "number" }, this.#sortButton("count", counts)),
    };
    this.body = el("tbody");
    this.more = el("button", { class: "button quiet more", type: "button", "aria-expanded": "false", hidden: true });
    this.more.addEventListener("click", () => this.#toggleAll());
    this.field = this.#searchField();
    this.empty = el("p", { class: "empty", hidden: true }, this.reason);
    this.table = this.#table(reserve);
    root.append(
      el(
        "article",
        { class: "card", "data-bars": title },
        el(
          "div",
          { class: "heading small" },
          el("h3", {}, title),
          el("div", { class: "tools" }, csv ? csvButton(title, csv.name, csv) : ""),
        ),
        hint ? el("p", { class: "hint" }, hint) : null,
        search ? this.field : null,
        this.table,
        this.more,
      ),
    );
    this.#updateAriaSort();
    narrow.addEventListener("change", () => this.#draw());
  }

  #table(reserve) {
    return el(
      "div",
      { class: `bars reserve-${reserve}` },
      el(
        "table",
        {},
        el("caption", { class: "visually-hidden" }, this.title),
        el(
          "thead",
          {},
          el(
            "tr",
            {},
            this.headers.name,
            this.headers.count,
            el("th", { scope: "col", class: "number share" }, "Share"),
          ),
        ),
        this.body,
      ),
      this.empty,
    );
  }

  #searchField() {
    const input = el("input", {
      type: "search",
      class: "search",
      placeholder: "Search",
      autocomplete: "off",
      "aria-label": `Search ${this.title.toLowerCase()}`,
      hidden: true,
    });
    input.addEventListener("input", () => {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.#find(), SEARCH_DELAY_MS);
    });
    return input;
  }

  clear() {
    this.rows = [];
    this.#collapse();
    this.body.replaceChildren();
    this.empty.hidden = true;
    this.more.hidden = true;
  }

  #collapse() {
    this.searches += 1;
    this.found = null;
    this.all = null;
    this.expanded = false;
    this.field.value = "";
    this.field.hidden = true;
  }

  /**
   * Show `rows`, each `{name, count, note, filter}`; shares are relative to `total`. `filter` is the
   * present filter; `reason` says why there are no rows.
   */
  update(rows, total, { filter = "", reason = null } = {}) {
    this.active = terms(filter);
    this.rows = rows;
    this.all = null;
    this.total = total;
    this.reason = reason ?? NOTHING;
    if (this.expanded) this.#find();
    else this.#draw();
  }

  async #toggleAll() {
    if (this.expanded) {
      this.#collapse();
      this.#draw();
      return;
    }
    this.expanded = true;
    this.field.hidden = !this.search;
    await this.#find();
    if (this.search) this.field.focus({ preventScroll: true });
  }

  /** Show every row that contains the text of the search field. */
  async #find() {
    if (!this.search) return this.#draw();
    this.searches += 1;
    const search = this.searches;
    const found = await this.#searchAll(this.field.value.trim().toLowerCase()).catch((error) => {
      toast(`${this.title} could not be loaded. ${error.message}`);
      return null;
    });
    if (search !== this.searches) return null;
    this.found = found;
    return this.#draw();
  }

  /** Once all rows are here they are searched as they are shown; a longer list is searched by the API. */
  async #searchAll(text) {
    const { rows } = this;
    const all = this.all ?? (await this.search(""));
    // Meanwhile they may be those of another range.
    if (rows === this.rows) this.all = all;
    if (all.rows.length < all.total) return this.search(text);
    const matches = ({ name, note }) => `${name} ${note ?? ""}`.toLowerCase().includes(text);
    return { rows: all.rows.filter(matches), total: all.total };
  }

  #sortButton(by, label) {
    return el(
      "button",
      { type: "button", class: "sort", onclick: () => this.#sortBy(by) },
      label,
      el("span", { class: "arrow", "aria-hidden": "true" }),
    );
  }

  #sortBy(by) {
    const ascending = this.sort.by === by ? !this.sort.ascending : by === "name";
    this.sort = { by, ascending };
    this.#updateAriaSort();
    this.#draw();
  }

  #updateAriaSort() {
    for (const [by, header] of Object.entries(this.headers)) {
      if (this.sort.by === by) header.setAttribute("aria-sort", this.sort.ascending ? "ascending" : "descending");
      else header.removeAttribute("aria-sort");
    }
  }

  #sortedRows() {
    const rows = (this.found?.rows ?? this.rows).map((row, index) => ({ ...row, index }));
    const byName = this.natural ? (a, b) => a.index - b.index : (a, b) => a.name.localeCompare(b.name);
    const order = this.sort.by === "name" ? byName : (a, b) => a.count - b.count || byName(b, a);
    const sorted = rows.sort(order);
    return this.sort.ascending ? sorted : sorted.reverse();
  }

  #draw() {
    const sorted = this.#sortedRows();
    const known = this.found?.total ?? sorted.length;
    const showsAll = !this.expanded && (this.natural || sorted.length <= collapsedRows() + MAX_EXTRA_ROWS);
    const shown = showsAll || this.expanded ? sorted : sorted.slice(0, collapsedRows());
    const largest = Math.max(...sorted.map(({ count }) => count), 1);
    this.body.replaceChildren(...shown.map((row) => this.#row(row, largest)));
    this.empty.hidden = sorted.length > 0;
    setText(this.empty, this.#isSearched() ? `No match for “${this.field.value.trim()}”.` : this.reason);
    this.more.hidden = showsAll;
    this.more.textContent = this.expanded
      ? `Show the first ${collapsedRows()} of ${format.count(known)}`
      : `Show all${sorted.length < LARGEST ? ` ${format.count(sorted.length)}` : ""}`;
    this.more.setAttribute("aria-expanded", String(this.expanded));
  }

  #isSearched() {
    return this.expanded && this.rows.length > 0;
  }

  #row(row, largest) {
    const { name, count, note } = row;
    const share = format.share(this.total ? count / this.total : 0);
    const line = el(
      "tr",
      { title: `${name}${note ? `, ${note}` : ""}: ${format.count(count)} (${share})` },
      el(
        "th",
        { scope: "row" },
        svg(
          "svg",
          { class: "bar", "aria-hidden": "true", width: "100%", height: "100%" },
          svg("rect", { width: `${Math.max(0.4, (count / largest) * 100)}%`, height: "100%", rx: 3 }),
        ),
        this.#name(row),
      ),
      el("td", { class: "number" }, format.count(count)),
      el("td", { class: "number share" }, share),
    );
    if (row.filter && this.onFilter) line.classList.add("clickable");
    return line;
  }

  #name({ name, note, filter }) {
    const text = el("span", { class: "name-text" }, name);
    // In one line: a note without enough space for it is left out, not cut.
    const line = el("span", { class: "name-line" }, text, note ? el("span", { class: "note" }, note) : null);
    if (!filter || !this.onFilter) return el("span", { class: "name" }, line);
    const button = el("button", { type: "button", class: "name", onclick: () => this.onFilter(filter) }, line);
    setAttribute(button, "aria-pressed", String(terms(filter).every((term) => this.active.includes(term))));
    return button;
  }
}
