/** Rows as a table that the API sorts. */

import { el } from "../dom.js";
import * as format from "../format.js";
import { cell, isNumeric, title, unitOf } from "./values.js";

/** Rows that are drawn at once. */
const DRAWN_ROWS = 200;
const UNSORTABLE = ["list", "object"];

/**
 * The table of `rows`, and the button that draws more of them. They are in the order of `order`, the API's parameter;
 * `onSort(order)` is called with another one, and without it the table cannot be sorted.
 */
export function tableNodes({ caption, columns, rows, zone, order, onSort }) {
  const body = el("tbody");
  const more = el("button", { class: "button", type: "button" });
  const draw = () => {
    const drawn = body.children.length;
    body.append(...rows.slice(drawn, drawn + DRAWN_ROWS).map((row) => rowNode(row, columns, zone)));
    const left = rows.length - body.children.length;
    more.hidden = left === 0;
    more.textContent = left > DRAWN_ROWS ? `Show ${DRAWN_ROWS} more of ${format.count(left)}` : `Show ${left} more`;
  };
  draw();
  const headers = columns.map((column) => header(column, order, onSort));
  const table = el(
    "table",
    { class: "plain" },
    el("caption", { class: "visually-hidden" }, caption),
    el("thead", {}, el("tr", {}, ...headers)),
    body,
  );
  const region = el(
    "div",
    { class: "scroll explore-rows", tabindex: "0", role: "region", "aria-label": caption },
    table,
  );
  // Arrow keys scroll the table; the page has shortcuts on them.
  region.addEventListener("keydown", (event) => event.key.startsWith("Arrow") && event.stopPropagation());
  more.addEventListener("click", () => {
    draw();
    if (more.hidden) region.focus({ preventScroll: true });
  });
  return { region, more };
}

function header(column, order, onSort) {
  const unit = unitOf(column);
  const name = el("span", {}, title(column.name));
  const note = unit ? el("span", { class: "explore-unit" }, unit) : null;
  const attributes = { scope: "col", class: isNumeric(column) ? "number" : null, title: column.meaning || null };
  if (!onSort || UNSORTABLE.includes(column.type)) return el("th", attributes, name, note);
  const [first] = (order ?? "").split(",");
  const direction = { [column.name]: "ascending", [`-${column.name}`]: "descending" }[first] ?? null;
  const button = el(
    "button",
    { class: "sort", type: "button", "data-column": column.name, onclick: () => onSort(nextOrder(column, direction)) },
    name,
    el("span", { class: "arrow", "aria-hidden": "true" }),
  );
  return el("th", { ...attributes, "aria-sort": direction }, button, note);
}

/** The largest numbers come first, and the first texts. */
function nextOrder(column, direction) {
  const descends = direction === null ? isNumeric(column) : direction === "ascending";
  return descends ? `-${column.name}` : column.name;
}

function rowNode(row, columns, zone) {
  return el(
    "tr",
    {},
    ...columns.map((column, index) => {
      const { text, title: full, empty } = cell(row[column.name] ?? null, column, zone);
      const kinds = [isNumeric(column) && "number", empty && "explore-none"].filter(Boolean).join(" ");
      return el(index ? "td" : "th", { scope: index ? null : "row", class: kinds || null, title: full }, text);
    }),
  );
}
