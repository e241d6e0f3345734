/** What the columns mean, what is tested, and the SQL. */

import { el } from "../dom.js";
import { withCode } from "./values.js";

/** A table of the columns; nothing before they are known. */
export function columnNotes(columns) {
  if (!columns.length) return [];
  const heads = ["Column", "Type", "Unit", "Meaning"].map((name) => el("th", { scope: "col" }, name));
  const rows = columns.map(({ name, type, unit, meaning }) =>
    el(
      "tr",
      {},
      el("th", { scope: "row" }, el("code", {}, name)),
      el("td", {}, type),
      el("td", {}, unit || "–"),
      el("td", { class: "message" }, ...(meaning ? withCode(meaning) : ["–"])),
    ),
  );
  const table = el(
    "table",
    { class: "plain" },
    el("caption", { class: "visually-hidden" }, "Columns"),
    el("thead", {}, el("tr", {}, ...heads)),
    el("tbody", {}, ...rows),
  );
  return [folded("Columns and what they mean", scrolling("Columns, table", table))];
}

export function definitionNodes({ file, line, sql, inputs, tests, type }) {
  const place = el("p", { class: "hint" }, "Defined in ", el("code", {}, `${file}:${line}`), ...inputText(inputs));
  const code = sql ? scrolling("SQL", el("pre", {}, el("code", {}, sql))) : el("p", {}, "Its definition has an error.");
  const parts = [folded("SQL", place, code)];
  if (type !== "report") parts.unshift(folded("Tests of each build", testList(tests)));
  return parts;
}

const inputText = (inputs) => (inputs.length ? [`, reads ${inputs.join(", ")}`] : []);

function testList(tests) {
  if (!tests.length) return el("p", { class: "hint" }, "There are none.");
  return el("ul", { class: "explore-tests" }, ...tests.map((test) => el("li", {}, el("code", {}, test))));
}

const folded = (summary, ...nodes) => el("details", { class: "table-details" }, el("summary", {}, summary), ...nodes);

const scrolling = (label, node) =>
  el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label }, node);
