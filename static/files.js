/** CSV downloads: files of the API, or files built from the data on screen. */

import { download } from "./api.js";
import { byId, el } from "./dom.js";
import { getToken } from "./session.js";

const TOAST_MS = 6_000;
let toastTimer;

/** Show a message for a few seconds. */
export function toast(text) {
  const toastElement = byId("toast");
  toastElement.textContent = text;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => {
    toastElement.textContent = "";
  }, TOAST_MS);
}

/**
 * A button that saves a table as `name`.csv. Either `request` returns the path and query of a
 * file of the API, or `rows` returns the lines: lists of cells, the header first.
 */
export function csvButton(title, name, { request, rows }) {
  const button = el("button", { class: "button quiet csv", type: "button", "aria-label": `${title} as CSV` }, "CSV");
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      save(request ? await fetchFile(request()) : csvFile(rows()), `${name}.csv`);
    } catch (error) {
      toast(`${title} could not be saved. ${error.message}`);
    } finally {
      button.disabled = false;
    }
  });
  return button;
}

const fetchFile = ({ path, query }) => download(path, { query, token: getToken() });

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

/** Quote a cell if necessary; a leading apostrophe keeps spreadsheets from running it as a formula. */
function cell(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return String(value);
  const safe = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
