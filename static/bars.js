/** Breakdowns: a table of names and counts, each row with a bar for its share. */

import { el, svg } from "./dom.js";
import { csvButton } from "./files.js";
import * as format from "./format.js";

const narrow = matchMedia("(max-width: 560px)");

/** Number of rows before "Show all". */
const collapsedRows = () => (narrow.matches ? 5 : 10);
/** Show all rows if collapsing would hide no more than this many. */
const MAX_EXTRA_ROWS = 2;

/**
 * A card with a sortable table. With `natural`, rows keep the given order (weekdays,
 * card values), which is also the order of their names; otherwise the largest come first.
 * `reserve` is the number of rows to reserve space for until the data arrives.
 */
export class Bars {
  constructor(root, { title, hint, names, counts, natural = false, reserve = 10, csv }) {
    this.title = title;
    this.natural = natural;
    this.sort = natural ? { by: "name", ascending: true } : { by: "count", ascending: false };
    this.rows = [];
    this.expanded = false;
    this.headers = {
      name: el("th", { scope: "col" }, this.#sortButton("name", names)),
      count: el("th", { scope: "col", class: "number" }, this.#sortButton("count", counts)),
    };
    this.body = el("tbody");
    this.more = el("button", { class: "button quiet more", type: "button", "aria-expanded": "false", hidden: true });
    this.more.addEventListener("click", () => {
      this.expanded = !this.expanded;
      this.#draw();
    });
    this.empty = el("p", { class: "empty", hidden: true }, "Nothing in this range.");
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
        el(
          "div",
          { class: `bars reserve-${reserve}` },
          el(
            "table",
            {},
            el("caption", { class: "visually-hidden" }, title),
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
        ),
        this.more,
      ),
    );
    this.#updateAriaSort();
    narrow.addEventListener("change", () => this.#draw());
  }

  clear() {
    this.rows = [];
    this.body.replaceChildren();
    this.empty.hidden = true;
    this.more.hidden = true;
  }

  /** Show `rows`, each `{name, count, note}`; shares are relative to `total`. */
  update(rows, total) {
    this.rows = rows.map((row, index) => ({ ...row, index }));
    this.total = total;
    this.largest = Math.max(...rows.map(({ count }) => count), 1);
    this.#draw();
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
    const byName = this.natural ? (a, b) => a.index - b.index : (a, b) => a.name.localeCompare(b.name);
    const order = this.sort.by === "name" ? byName : (a, b) => a.count - b.count || byName(b, a);
    const sorted = [...this.rows].sort(order);
    return this.sort.ascending ? sorted : sorted.reverse();
  }

  #draw() {
    const sorted = this.#sortedRows();
    const showsAll = this.natural || sorted.length <= collapsedRows() + MAX_EXTRA_ROWS;
    const shown = showsAll || this.expanded ? sorted : sorted.slice(0, collapsedRows());
    this.body.replaceChildren(...shown.map((row) => this.#row(row)));
    this.empty.hidden = sorted.length > 0;
    this.more.hidden = showsAll;
    this.more.textContent = this.expanded
      ? `Show the first ${collapsedRows()}`
      : `Show all ${format.count(sorted.length)}`;
    this.more.setAttribute("aria-expanded", String(this.expanded));
  }

  #row({ name, count, note }) {
    const share = format.share(this.total ? count / this.total : 0);
    return el(
      "tr",
      { title: `${name}${note ? `, ${note}` : ""}: ${format.count(count)} (${share})` },
      el(
        "th",
        { scope: "row" },
        svg(
          "svg",
          { class: "bar", "aria-hidden": "true", width: "100%", height: "100%" },
          svg("rect", { width: `${Math.max(0.4, (count / this.largest) * 100)}%`, height: "100%", rx: 3 }),
        ),
        el("span", { class: "name" }, name, note ? el("span", { class: "note" }, note) : null),
      ),
      el("td", { class: "number" }, format.count(count)),
      el("td", { class: "number share" }, share),
    );
  }
}
