/** The list of derived tables and reports, and of definitions that are not used. */

import { el } from "../dom.js";
import * as format from "../format.js";
import { addressOf } from "./address.js";
import { title, withCode } from "./values.js";

const HINT =
  "There are no derived tables or reports yet. To add one, put a .sql file into VIEWS_DIR, as docs/sql-files.md describes.";

/**
 * The nodes of the list; `onOpen(name)` is called when an entry is chosen. With `onSql`, which is called for the
 * editor, there is an entry for it.
 */
export function listNodes({ views, reports, errors, unmirrored }, onOpen, onSql = null) {
  const nodes = [
    onSql && el("div", { class: "explore-group" }, el("ul", { class: "explore-list" }, sqlEntry(onSql))),
    group("Derived tables", views, onOpen),
    group("Reports", reports, onOpen),
    faults("Definitions with an error", errors, true),
    faults("Definitions that are not used", unmirrored, false),
  ].filter(Boolean);
  return nodes.length ? nodes : [el("p", { class: "empty" }, HINT)];
}

function group(heading, definitions, onOpen) {
  if (!definitions.length) return null;
  return el(
    "div",
    { class: "explore-group" },
    el("h3", {}, heading),
    el("ul", { class: "explore-list" }, ...definitions.map((definition) => entry(definition, onOpen))),
  );
}

/** A link that opens a view of the section, in this tab without loading the page. */
export function viewLink(text, view, props, onOpen) {
  const link = el("a", { href: addressOf(view), ...props }, text);
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    onOpen();
  });
  return link;
}

function sqlEntry(onSql) {
  const link = viewLink("SQL", { name: null, sql: true }, { "data-name": "" }, onSql);
  return el(
    "li",
    { class: "card explore-entry" },
    el("p", { class: "explore-name" }, link),
    el("p", {}, "Ask a question of your own: one SELECT over all tables."),
    el("p", { class: "hint" }, "Your token may send SQL"),
  );
}

function entry(definition, onOpen) {
  const { name, description } = definition;
  const link = viewLink(title(name), { name }, { "data-name": name }, () => onOpen(name));
  const [summary] = description.split("\n");
  return el(
    "li",
    { class: "card explore-entry" },
    el("p", { class: "explore-name" }, link, badge(definition)),
    summary ? el("p", {}, ...withCode(summary)) : null,
    el("p", { class: "hint" }, meta(definition)),
  );
}

const badge = ({ stale_since: since }) =>
  since ? el("span", { class: "badge", "data-meaning": "bad" }, "stale") : null;

function meta({ type, rows, parameters }) {
  if (type !== "report") return rows === null ? "not built yet" : rowsText(rows);
  const names = parameters.map(({ name }) => title(name).toLowerCase());
  return names.length ? `asks for ${names.join(", ")}` : "computed when opened";
}

export const rowsText = (count) => `${format.count(count)} ${count === 1 ? "row" : "rows"}`;

function faults(heading, found, open) {
  if (!found.length) return null;
  return el(
    "details",
    { class: "table-details explore-faults", open },
    el("summary", {}, `${heading}: ${found.length}`),
    el("ul", {}, ...found.map(fault)),
  );
}

const fault = ({ file, line, name, message }) =>
  el("li", {}, el("code", {}, `${file}:${line}`), ` ${name ? `${name}: ` : ""}${message}`);
