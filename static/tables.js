/** The numbers of charts as a collapsible table, built when it is opened. */

import { el } from "./dom.js";

/**
 * A table, initially collapsed. `columns` are `{label, text, number}`: `text` returns a row's
 * cell, `number` aligns it to the right.
 */
export class DataTable {
  constructor(root, { title, columns }) {
    this.columns = columns;
    this.rows = [];
    this.body = el("tbody");
    this.details = el(
      "details",
      { class: "table-details" },
      el("summary", {}, `${title} as a table`),
      el(
        "div",
        { class: "scroll", tabindex: "0", role: "region", "aria-label": `${title}, table` },
        el(
          "table",
          { class: "plain" },
          el("caption", { class: "visually-hidden" }, title),
          el(
            "thead",
            {},
            el(
              "tr",
              {},
              ...columns.map(({ label, number }) => el("th", { scope: "col", class: number ? "number" : null }, label)),
            ),
          ),
          this.body,
        ),
      ),
    );
    this.details.addEventListener("toggle", () => this.#draw());
    root.append(this.details);
  }

  update(rows) {
    this.rows = rows;
    this.#draw();
  }

  /** Newest rows first. */
  #draw() {
    if (!this.details.open) {
      this.body.replaceChildren();
      return;
    }
    const newest = [...this.rows].reverse();
    this.body.replaceChildren(
      ...newest.map((row) =>
        el(
          "tr",
          {},
          ...this.columns.map((column, index) =>
            el(
              index ? "td" : "th",
              { scope: index ? null : "row", class: column.number ? "number" : null },
              column.text(row),
            ),
          ),
        ),
      ),
    );
  }
}
