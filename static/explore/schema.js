/** The catalogue beside the editor: tables that a query can read, with their columns and types. */

import { el } from "../dom.js";
import * as format from "../format.js";

const KINDS = { mirrored: "Mirrored tables", derived: "Derived tables", events: "Events" };
/** From so many tables on there is a field to find one. */
const MANY = 12;
/** A name that needs no quotes. Others get them, and so do words of SQL in capitals. */
const PLAIN = /^[a-z_][a-z0-9_]*$/;
const RESERVED = new Set(
  "all and any as asc both case cast check collate column constraint create cross default desc distinct do else end except false fetch for foreign from full glob grant group having ilike in inner intersect into is isnull join lateral leading left like limit natural not notnull null offset on only or order outer overlaps primary qualify references returning right select semi similar some summarize symmetric table tablesample then to trailing true union unique unpivot using variadic verbose when where window with".split(
    " ",
  ),
);

/** `name` as it is written in SQL. */
export const quoted = (name) => (PLAIN.test(name) && !RESERVED.has(name) ? name : `"${name.replaceAll('"', '""')}"`);

/** The nodes of `tables`; `onInsert(text)` is called with a name that was chosen. */
export function schemaNodes(tables, onInsert) {
  const groups = Object.entries(KINDS).map(([kind, heading]) => {
    const found = tables.filter((table) => table.kind === kind).map((table) => tableNode(table, onInsert));
    return found.length ? el("div", { class: "explore-tables" }, el("h4", {}, heading), ...found) : null;
  });
  const nodes = groups.filter(Boolean);
  if (!nodes.length) return [el("p", { class: "empty" }, "There are no tables yet.")];
  return tables.length < MANY ? nodes : [finder(nodes), ...nodes];
}

function tableNode({ name, rows, columns }, onInsert) {
  const items = columns.map(({ name: column, type, unit, meaning }) =>
    el(
      "li",
      {},
      insertButton(column, meaning, onInsert),
      el("span", { class: "explore-type" }, unit ? `${type}, ${unit}` : type),
    ),
  );
  return el(
    "details",
    { class: "explore-table-columns", "data-table": name },
    el("summary", {}, el("code", {}, name), el("span", { class: "explore-type" }, format.count(rows))),
    el("p", {}, insertButton(name, `${format.count(rows)} rows`, onInsert)),
    el("ul", {}, ...items),
  );
}

function insertButton(name, title, onInsert) {
  const label = `Insert ${name}`;
  const attributes = { class: "explore-insert", type: "button", "aria-label": label, title: title || null };
  return el("button", { ...attributes, onclick: () => onInsert(quoted(name)) }, el("code", {}, name));
}

/** A field that leaves the tables of which a name contains its text. */
function finder(groups) {
  const input = el("input", { type: "search", placeholder: "Find a table or column", "aria-label": "Find a table" });
  input.addEventListener("input", () => {
    const wanted = input.value.trim().toLowerCase();
    for (const group of groups) {
      const tables = [...group.querySelectorAll("details")];
      for (const table of tables) table.hidden = !table.textContent.toLowerCase().includes(wanted);
      group.hidden = tables.every((table) => table.hidden);
    }
  });
  return input;
}
