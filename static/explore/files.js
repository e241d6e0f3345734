/** Buttons that save all rows in each format. */

import { el } from "../dom.js";
import { toast } from "../files.js";
import { fetchFile } from "./requests.js";

const FORMATS = { csv: "CSV", xlsx: "XLSX", json: "JSON", ndjson: "NDJSON", parquet: "Parquet" };
/** For routes whose addresses have no extension. */
export const MEDIA_TYPES = {
  csv: "text/csv",
  xlsx: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
  json: "application/json",
  ndjson: "application/x-ndjson",
  parquet: "application/vnd.apache.parquet",
};
const KEPT_MS = 1_000;

/** `request()` returns the path without extension and the query. */
export const fileButtons = (request) =>
  formatButtons((extension) => {
    const { path, query } = request();
    return fetchFile(`${path}.${extension}`, query);
  });

/** `fetchFormat(extension)` returns the file in that format. */
export function formatButtons(fetchFormat) {
  const buttons = Object.entries(FORMATS).map(([extension, name]) => {
    const button = el("button", { class: "button quiet", type: "button", "aria-label": `Save as ${name}` }, name);
    button.addEventListener("click", () => saveFile(button, () => fetchFormat(extension), extension));
    return button;
  });
  return el("div", { class: "explore-files", role: "group", "aria-label": "Save rows" }, "Save as", ...buttons);
}

async function saveFile(button, fetchFormat, extension) {
  button.disabled = true;
  try {
    const file = await fetchFormat();
    save(file.blob, file.name ?? `rows.${extension}`);
    if (file.truncated) toast(`${file.name} has only the rows up to the limit: there are more, or texts were cut.`);
  } catch (error) {
    toast(`The file could not be saved. ${error.message}`);
  } finally {
    button.disabled = false;
  }
}

function save(blob, name) {
  const url = URL.createObjectURL(blob);
  el("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), KEPT_MS);
}
