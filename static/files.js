/** CSV downloads: files of the API, or files built from the data on screen. */

import { download } from "./api.js";
import { byId, el, svg } from "./dom.js";
import { getToken } from "./session.js";

const TOAST_MS = 6_000;
/** Tells spreadsheets that a file is UTF-8. */
const BYTE_ORDER_MARK = "\ufeff";
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
 * A button that saves a table. Either `request` returns the path and query of a file of the API,
 * which also names it; or `rows` returns the lines, lists of cells with the header first, and the file
 * is called `name`.csv.
 */
export function csvButton(title, name, { request, rows }) {
  const button = el(
    "button",
    { class: "button quiet csv", type: "button", "aria-label": `${title} as CSV`, title: "Save as CSV" },
    svg(
      "svg",
      { viewBox: "0 0 16 16", width: 16, height: 16, "aria-hidden": "true" },
      svg("path", { d: "M8 2v8m0 0 3.2-3.2M8 10 4.8 6.8M2.5 13.5h11", class: "icon" }),
    ),
  );
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      if (request) await saveFile(request(), name);
      else save(new Blob([BYTE_ORDER_MARK, csvText(rows())], { type: "text/csv;charset=utf-8" }), `${name}.csv`);
    } catch (error) {
      toast(`${title} could not be saved. ${error.message}`);
    } finally {
      button.disabled = false;
    }
  });
  return button;
}

async function saveFile({ path, query }, name) {
  const file = await download(path, { query, token: getToken() });
  save(new Blob([BYTE_ORDER_MARK, file.blob], { type: file.blob.type }), file.name ?? `${name}.csv`);
}

function save(blob, name) {
  const url = URL.createObjectURL(blob);
  const link = el("a", { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 1_000);
}

function csvText(rows) {
  const lines = rows.map((cells) => cells.map(cell).join(","));
  return `${lines.join("\r\n")}\r\n`;
}

/** Quote a cell if necessary; a leading apostrophe keeps spreadsheets from running it as a formula. */
function cell(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return String(value);
  const safe = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
