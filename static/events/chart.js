/** Events over time: a bar per interval, divided by name. */

import { serverNow } from "../api.js";
import { el, svg } from "../dom.js";
import * as format from "../format.js";

const WIDTH = 1000;
const HEIGHT = 220;
const HOUR = 3_600_000;
const UNITS = { m: 60_000, h: HOUR, d: 24 * HOUR };
const OTHERS = "all others";

const length = (window) => Number(window.slice(0, -1)) * UNITS[window.at(-1)];

/** The API's intervals: minutes up to 3 hours, hours up to 72, else days. */
function intervalOf(span) {
  if (span <= 3 * HOUR) return 60_000;
  return span <= 72 * HOUR ? HOUR : 24 * HOUR;
}

/** `rows` are `{at, name, events}`; those without a name are all others together. */
export function chartNodes(rows, window, title) {
  if (!rows.length) return [el("p", { class: "empty" }, "No events in this window.")];
  const span = length(window);
  const interval = intervalOf(span);
  const end = serverNow();
  const start = end - span - interval;
  const names = namesOf(rows);
  const highest = Math.max(...totals(rows).values());
  const position = (at) => ((Date.parse(at) - start) / (end - start)) * WIDTH;
  const width = Math.max(1, (interval / (end - start)) * WIDTH - 1);
  const stacked = new Map();
  const bars = rows.map(({ at, name, events }) => {
    const below = stacked.get(at) ?? 0;
    stacked.set(at, below + events);
    const shown = { x: position(at), width, height: (events / highest) * HEIGHT };
    const y = HEIGHT - ((below + events) / highest) * HEIGHT;
    const text = `${format.dateTime(Date.parse(at))}: ${format.count(events)} ${name ?? OTHERS}`;
    return svg("rect", { ...shown, y, class: `name-${names.indexOf(name) + 1}` }, svg("title", {}, text));
  });
  return [
    el("figcaption", { class: "hint" }, `By name, ${title}; the highest bar is ${format.count(highest)}`),
    svg(
      "svg",
      {
        viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
        preserveAspectRatio: "none",
        role: "img",
        "aria-label": summary(rows, title),
      },
      ...bars,
    ),
    el("p", { class: "events-ends hint" }, el("span", {}, format.dateTime(end - span)), el("span", {}, "now")),
    legend(names, rows),
  ];
}

/** Names with the most events first; null, all others, last. */
function namesOf(rows) {
  const sums = new Map();
  for (const { name, events } of rows) sums.set(name, (sums.get(name) ?? 0) + events);
  const order = ([one, a], [other, b]) => (one === null) - (other === null) || b - a || (one < other ? -1 : 1);
  return [...sums].sort(order).map(([name]) => name);
}

function totals(rows) {
  const sums = new Map();
  for (const { at, events } of rows) sums.set(at, (sums.get(at) ?? 0) + events);
  return sums;
}

const sumOf = (rows, name) => rows.reduce((sum, row) => sum + (row.name === name ? row.events : 0), 0);

function legend(names, rows) {
  const items = names.map((name, index) =>
    el(
      "li",
      {},
      el("span", { class: `swatch name-${index + 1}`, "aria-hidden": "true" }),
      `${name ?? OTHERS} `,
      el("span", { class: "number" }, format.count(sumOf(rows, name))),
    ),
  );
  return el("ul", { class: "events-legend", "aria-label": "Events by name" }, ...items);
}

const summary = (rows, title) => {
  const total = rows.reduce((sum, { events }) => sum + events, 0);
  return `${format.plural(total, "event")} in the ${title}, by name`;
};
