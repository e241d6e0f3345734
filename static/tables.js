/** The numbers behind charts, as a table that is made when somebody opens it. */

import { el } from "./dom.js";

/**
 * A closed table. `columns` are `{label, of, number}`: `of` makes a row's text. Rows
 * come from `update`.
 */
export class DataTable {
  constructor(root, { title, columns }) {
    this.columns = columns;
    this.rows = [];
    this.body = el("tbody");
    this.details = el(
      "details",
      { class: "behind" },
      el("summary", {}, `${title} as a table`),
      el(
        "div",
        { class: "scroll", tabindex: "0", role: "region", "aria-label": `${title}, table` },
        el(
          "table",
          { class: "plain" },
          el("caption", { class: "unseen" }, title),
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

  /** The newest rows first, as most are looked for there. */
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
              column.of(row),
            ),
          ),
        ),
      ),
    );
  }
}
