/** Breakdowns: a table of names and counts, each with a bar of its share. */

import { el, svg } from "./dom.js";
import { csvButton } from "./files.js";
import * as format from "./format.js";

const narrow = matchMedia("(max-width: 560px)");

/** How many rows stand there before somebody asks for all; a phone has less room. */
const few = () => (narrow.matches ? 5 : 10);
/** So few more are not worth a button. */
const NEARLY = 2;

/**
 * A card with a sortable table. `natural` keeps the order given (days of the week,
 * values of cards) and sorts names by it; else the largest come first. `reserve` is
 * how many rows to keep room for before the data is there.
 */
export class Bars {
  constructor(root, { title, hint, names, counts, natural = false, reserve = 10, csv }) {
    this.title = title;
    this.natural = natural;
    this.sort = natural ? { by: "name", up: true } : { by: "count", up: false };
    this.rows = [];
    this.all = false;
    this.heads = {
      name: el("th", { scope: "col" }, this.#sorter("name", names)),
      count: el("th", { scope: "col", class: "number" }, this.#sorter("count", counts)),
    };
    this.body = el("tbody");
    this.more = el("button", { class: "button quiet more", type: "button", "aria-expanded": "false", hidden: true });
    this.more.addEventListener("click", () => {
      this.all = !this.all;
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
            el("caption", { class: "unseen" }, title),
            el(
              "thead",
              {},
              el(
                "tr",
                {},
                this.heads.name,
                this.heads.count,
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
    this.#tellSort();
    narrow.addEventListener("change", () => this.#draw());
  }

  clear() {
    this.rows = [];
    this.body.replaceChildren();
    this.empty.hidden = true;
    this.more.hidden = true;
  }

  /** `rows` are `{name, count}`; `total` is what their shares are of. */
  update(rows, total) {
    this.rows = rows.map((row, index) => ({ ...row, index }));
    this.total = total;
    this.largest = Math.max(...rows.map(({ count }) => count), 1);
    this.#draw();
  }

  #sorter(by, label) {
    return el(
      "button",
      { type: "button", class: "sort", onclick: () => this.#sortBy(by) },
      label,
      el("span", { class: "arrow", "aria-hidden": "true" }),
    );
  }

  #sortBy(by) {
    const up = this.sort.by === by ? !this.sort.up : by === "name";
    this.sort = { by, up };
    this.#tellSort();
    this.#draw();
  }

  #tellSort() {
    for (const [by, head] of Object.entries(this.heads)) {
      if (this.sort.by === by) head.setAttribute("aria-sort", this.sort.up ? "ascending" : "descending");
      else head.removeAttribute("aria-sort");
    }
  }

  #sorted() {
    const byName = this.natural ? (a, b) => a.index - b.index : (a, b) => a.name.localeCompare(b.name);
    const order = this.sort.by === "name" ? byName : (a, b) => a.count - b.count || byName(b, a);
    const sorted = [...this.rows].sort(order);
    return this.sort.up ? sorted : sorted.reverse();
  }

  #draw() {
    const sorted = this.#sorted();
    const whole = sorted.length <= few() + NEARLY || this.natural;
    const shown = this.all || whole ? sorted : sorted.slice(0, few());
    this.body.replaceChildren(...shown.map((row) => this.#row(row)));
    this.empty.hidden = sorted.length > 0;
    this.more.hidden = whole;
    this.more.textContent = this.all ? `Show the first ${few()}` : `Show all ${format.count(sorted.length)}`;
    this.more.setAttribute("aria-expanded", String(this.all));
  }

  #row({ name, count, note }) {
    const part = this.total ? count / this.total : 0;
    return el(
      "tr",
      { title: `${name}${note ? `, ${note}` : ""}: ${format.count(count)} (${format.share(part)})` },
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
      el("td", { class: "number share" }, format.share(part)),
    );
  }
}
