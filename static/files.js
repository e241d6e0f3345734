/** Tables as CSV files: the API's own where it has them, else made of what is shown. */

import { download } from "./api.js";
import { byId, el } from "./dom.js";
import { token } from "./session.js";

const TOAST_MS = 6_000;
let clearing;

/** Say something in passing. */
export function toast(text) {
  const place = byId("toast");
  place.textContent = text;
  clearTimeout(clearing);
  clearing = setTimeout(() => {
    place.textContent = "";
  }, TOAST_MS);
}

/**
 * A button that saves a table as `name`.csv. `fetching` gives path and query of the
 * API's file, or `rows` the lines: lists of cells, the first one the heads.
 */
export function csvButton(what, name, { fetching, rows }) {
  const button = el("button", { class: "button quiet csv", type: "button", "aria-label": `${what} as CSV` }, "CSV");
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      save(fetching ? await fetched(fetching()) : csvFile(rows()), `${name}.csv`);
    } catch (error) {
      toast(`${what} could not be saved. ${error.message}`);
    } finally {
      button.disabled = false;
    }
  });
  return button;
}

const fetched = ({ path, query }) => download(path, { query, token: token() });

function save(blob, name) {
  const url = URL.createObjectURL(blob);
  const link = el("a", { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 1_000);
}

function csvFile(rows) {
  const lines = rows.map((cells) => cells.map(cell).join(","));
  return new Blob([`${lines.join("\r\n")}\r\n`], { type: "text/csv;charset=utf-8" });
}

/** A cell that no spreadsheet takes for a formula. */
function cell(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return String(value);
  const safe = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
