/** Names and values as text. */

import { el } from "../dom.js";
import * as format from "../format.js";

const LONGEST_TEXT = 200;

/** "active_users" becomes "Active users". */
export function title(name) {
  const words = name.replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

export const isNumeric = ({ type }) => type === "integer" || type === "number" || type.startsWith("decimal");
export const isTime = ({ type }) => type === "date" || type === "timestamp";

const isShare = ({ unit }) => /^share\b/.test(unit);

/** The unit as it stands beside values. Shares are shown in per cent, which needs no unit. */
export const unitOf = ({ unit }) => (/^share( from 0 to 1)?$/.test(unit) ? "" : unit);

/** "Active users" or "Pace (seconds)" */
export function label(column) {
  const unit = unitOf(column);
  return unit ? `${title(column.name)} (${unit})` : title(column.name);
}

/** A value as text. Timestamps are in `zone`. */
export function text(value, column, zone) {
  if (value === null) return "–";
  if (value === "") return "(empty)";
  if (isNumeric(column)) return typeof value === "number" ? numberText(value, column) : String(value);
  if (column.type === "date") return dateText(value);
  if (column.type === "timestamp") return timestampText(value, zone);
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

function numberText(value, column) {
  if (isShare(column)) return format.share(value);
  if (Number.isInteger(value)) return format.count(value);
  return Math.abs(value) < 0.01 ? value.toPrecision(2) : format.number(value);
}

export const dateText = (iso) => (/^\d{4}-\d{2}-\d{2}$/.test(iso) ? format.date(iso) : iso);

function timestampText(value, zone) {
  const at = Date.parse(value);
  const hasOffset = /(Z|[+-]\d{2}:\d{2})$/.test(value);
  if (Number.isNaN(at) || !hasOffset) return value.replace("T", " ");
  return new Intl.DateTimeFormat("sv-SE", { timeZone: zone, dateStyle: "short", timeStyle: "medium" }).format(at);
}

/** Milliseconds of a date or timestamp; NaN if it is none. */
export function milliseconds(value) {
  const hasOffset = /(Z|[+-]\d{2}:\d{2})$/.test(value ?? "");
  return Date.parse(hasOffset || !value?.includes("T") ? value : `${value}Z`);
}

/** A cell: long texts are cut, and their title has all of it. */
export function cell(value, column, zone) {
  const shown = text(value, column, zone);
  const cut = shown.length > LONGEST_TEXT ? `${shown.slice(0, LONGEST_TEXT)}…` : shown;
  const full = value === null || typeof value === "object" ? shown : String(value);
  return { text: cut, title: full === cut ? null : full, empty: value === null || value === "" };
}

/** Text with `code` in back quotes, as nodes. */
export const withCode = (plain) => plain.split("`").map((part, index) => (index % 2 ? el("code", {}, part) : part));
