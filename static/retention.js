/** Return as a grid: weeks of first estimation down, weeks after it across, the share that returned in each cell. */

import { byId, el, setText } from "./dom.js";
import { csvButton } from "./files.js";
import * as format from "./format.js";

const WEEKS_SHOWN = 12;
/** The sentence compares this many cohorts with as many before. */
const COMPARED = 4;

/** The API's parameters for cohorts up to the day `end`: neither can begin before the first day of all data. */
export const cohortQuery = (end, today) => (end >= today ? { period: "12m" } : { to: end });

export class Retention {
  constructor() {
    this.rows = [];
    for (const [name, value] of [
      ["tabindex", "0"],
      ["role", "region"],
      ["aria-label", "Return by week, table"],
    ]) {
      byId("retention").setAttribute(name, value);
    }
    byId("returning-tools").append(csvButton("Return by week", "retention", { rows: () => csvRows(this.rows) }));
  }

  clear() {
    this.rows = [];
    setText(byId("returning-sentence"), "\u00a0");
    byId("retention").replaceChildren();
  }

  /** Show cohorts, each `{week, size, returned}`, oldest first. `today` is an ISO date. */
  update(rows, today) {
    this.rows = rows.map((row) => ({ ...row, complete: completeWeeks(row.week, today) }));
    setText(byId("returning-sentence"), sentence(this.rows));
    const shown = this.rows.slice(-WEEKS_SHOWN);
    byId("retention").replaceChildren(
      shown.some(({ size }) => size)
        ? grid(shown)
        : el("p", { class: "empty" }, "Nobody estimated for the first time in these weeks."),
    );
  }
}

/** How many weeks after the cohort's own are over. */
const completeWeeks = (week, today) => Math.floor((Date.parse(today) - Date.parse(week)) / (7 * 86_400_000)) - 1;

/** "Of users who first estimated in …, 31% came back a week later, 4 points more than …" */
function sentence(rows) {
  const finished = rows.filter(({ complete }) => complete >= 1);
  const [recent, earlier] = [finished.slice(-COMPARED), finished.slice(-2 * COMPARED, -COMPARED)];
  const [now, before] = [shareOfFirstWeek(recent), shareOfFirstWeek(earlier)];
  if (now === null) return "There are not enough weeks yet to say how many come back.";
  const text = `${format.share(now)} of the users of the last ${format.plural(recent.length, "finished week")} estimated again in the week after their first`;
  if (before === null || earlier.length < COMPARED) return `${text}.`;
  const points = Math.round((now - before) * 1000) / 10;
  if (points === 0) return `${text}, as many as in the ${earlier.length} weeks before.`;
  return `${text}: ${format.number(Math.abs(points))} points ${points > 0 ? "more" : "less"} than in the ${earlier.length} weeks before.`;
}

function shareOfFirstWeek(rows) {
  const size = rows.reduce((total, row) => total + row.size, 0);
  return size ? rows.reduce((total, { returned }) => total + (returned[0] ?? 0), 0) / size : null;
}

function grid(rows) {
  const weeks = Math.min(WEEKS_SHOWN, Math.max(...rows.map(({ returned }) => returned.length), 1));
  const after = Array.from({ length: weeks }, (_, index) => index + 1);
  return el(
    "table",
    { class: "retention" },
    el(
      "caption",
      { class: "visually-hidden" },
      "Share of users who estimated again, by week after their first estimation",
    ),
    el(
      "thead",
      {},
      el(
        "tr",
        {},
        el("th", { scope: "col" }, "First week"),
        el("th", { scope: "col", class: "number" }, "Users"),
        ...after.map((week) => el("th", { scope: "col", class: "number" }, `+${week}`)),
      ),
    ),
    el("tbody", {}, ...rows.map((row) => gridRow(row, after))),
  );
}

function gridRow({ week, size, returned, complete }, after) {
  return el(
    "tr",
    {},
    el("th", { scope: "row" }, format.tickDayMonth(week)),
    el("td", { class: "number" }, format.count(size)),
    ...after.map((number) => cell({ size, count: returned[number - 1], unfinished: number > complete, number, week })),
  );
}

function cell({ size, count, unfinished, number, week }) {
  if (count === undefined || !size) return el("td", {});
  const share = count / size;
  return el(
    "td",
    {
      class: unfinished ? "number cell unfinished" : "number cell",
      "data-level": Math.min(5, Math.ceil(share * 10)),
      title: `${format.count(count)} of ${format.count(size)} users of the week of ${format.date(week)} estimated ${format.plural(number, "week")} later${unfinished ? ", so far" : ""}`,
    },
    `${Math.round(share * 100)}%`,
  );
}

function csvRows(rows) {
  const longest = Math.max(0, ...rows.map(({ returned }) => returned.length));
  const weeks = Array.from({ length: longest }, (_, index) => `week_${index + 1}`);
  return [["week", "size", ...weeks], ...rows.map(({ week, size, returned }) => [week, size, ...returned])];
}
