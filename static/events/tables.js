/** Rows of the Events section. Whatever products send is shown as text. */

import { el } from "../dom.js";
import * as format from "../format.js";

const LONGEST = 200;

const shorten = (text) => (text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text);
const cell = (text, props = {}) => el("td", props, text ?? "–");
const time = (iso) => format.dateTimeSeconds(Date.parse(iso));

/** A row of the live tail; a `fresh` one has arrived since the last look. */
export function tailRow(event, fresh) {
  const properties = JSON.stringify(event.properties);
  return el(
    "tr",
    { class: fresh ? "fresh" : null },
    el("th", { scope: "row" }, time(event.received_at)),
    cell(event.name),
    cell(event.user_id),
    cell(event.app_id),
    cell(shorten(properties), { class: "message", title: properties }),
  );
}

export function topNodes(top, total) {
  if (!top.length) return [el("p", { class: "empty" }, "No events in this window.")];
  const rows = top.map(({ event_name: name, count }) =>
    el(
      "tr",
      {},
      el("th", { scope: "row" }, name),
      cell(format.count(count), { class: "number" }),
      cell(format.share(count / total), { class: "number" }),
    ),
  );
  return [table("Top events", [["Name"], ["Events", "number"], ["Share", "number"]], rows)];
}

/** Newest days first. */
export function usersNodes(days) {
  const rows = days
    .toReversed()
    .map(({ day, active_users: users, events }) =>
      el(
        "tr",
        {},
        el("th", { scope: "row" }, format.day(day)),
        cell(format.count(users), { class: "number" }),
        cell(format.count(events), { class: "number" }),
      ),
    );
  return [table("Active users by day", [["Day"], ["Users", "number"], ["Events", "number"]], rows)];
}

export function deadLetterNodes({ total, counts, rejected }) {
  if (!total) return [el("p", { class: "empty" }, "No event was rejected.")];
  const badges = Object.entries(counts).map(([code, count]) =>
    el("li", {}, el("span", { class: "badge", "data-meaning": "bad" }, code), ` ${format.count(count)}`),
  );
  const rows = rejected.map((letter) =>
    el(
      "tr",
      {},
      el("th", { scope: "row" }, time(letter.received_at)),
      cell(letter.code),
      cell(letter.message, { class: "message" }),
      cell(letter.sender),
      cell(shorten(letter.raw), { class: "message", title: letter.raw.slice(0, 2000) }),
    ),
  );
  return [
    el("ul", { class: "events-legend", "aria-label": "Dead letters by code" }, ...badges),
    table("Newest dead letters", [["Received"], ["Code"], ["Reason"], ["Sender"], ["Event"]], rows),
    el("p", { class: "hint" }, "update_readmodel.py replay --code … checks them again"),
  ];
}

function table(caption, columns, rows) {
  return el(
    "table",
    { class: "plain" },
    el("caption", { class: "visually-hidden" }, caption),
    el(
      "thead",
      {},
      el("tr", {}, ...columns.map(([label, kind]) => el("th", { scope: "col", class: kind ?? null }, label))),
    ),
    el("tbody", {}, ...rows),
  );
}
