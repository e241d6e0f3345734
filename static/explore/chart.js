/** A chart of rows: lines over time, or a bar for each category. The table below it has the same numbers. */

import { el, svg } from "../dom.js";
import { barValues, chartOf, gridOf, lineValues } from "./chart-data.js";
import { isNumeric, label, text, title } from "./values.js";

/** SVG units of a full side. */
const SIDE = 1000;
const DATE_LABELS = 5;
/** Of timestamps, which are longer. */
const TIME_LABELS = 3;

/**
 * The chart of `rows` as nodes, or null if they allow none. `number` is the name of the column to draw;
 * `onNumber(name)` is called when another one is chosen.
 */
export function chartNode({ columns, rows, order, zone, number, onNumber, isPart }) {
  const chart = chartOf({ columns, rows, order });
  if (!chart) return null;
  const drawn = chart.numbers.find(({ name }) => name === number) ?? chart.numbers[0];
  const draw = chart.kind === "lines" ? drawLines : drawBars;
  return el(
    "figure",
    { class: "card explore-chart", "data-kind": chart.kind, "data-number": drawn.name },
    el("figcaption", { class: "explore-caption" }, caption(chart), choice(chart.numbers, drawn, onNumber)),
    ...draw({ chart, rows, number: drawn, zone }),
    isPart ? el("p", { class: "hint" }, "Drawn from the rows loaded below; there are more.") : null,
  );
}

function caption({ time, split, category }) {
  if (category) return `By ${title(category.name).toLowerCase()}:`;
  const by = title(time.name).toLowerCase();
  return split ? `By ${by} and ${title(split.name).toLowerCase()}:` : `By ${by}:`;
}

function choice(numbers, drawn, onNumber) {
  if (numbers.length === 1) return el("strong", {}, label(drawn));
  const options = numbers.map((column) =>
    el("option", { value: column.name, selected: column === drawn }, label(column)),
  );
  const select = el("select", { "aria-label": "Values in the chart" }, ...options);
  select.addEventListener("change", () => onNumber(select.value));
  return select;
}

/* Bars. */

function drawBars({ chart, rows, number, zone }) {
  const bars = barValues(chart, rows, number);
  const grid = gridOf(bars.map(({ value }) => value ?? 0));
  const [low, high] = [grid[0], grid.at(-1)];
  const scale = (value) => ((value - low) / (high - low)) * SIDE;
  const items = bars.map(({ label: name, value }) =>
    el(
      "li",
      {},
      el("span", { class: "explore-bar-name", title: name }, name),
      bar(scale(Math.min(value ?? 0, 0)), scale(Math.max(value ?? 0, 0)), value),
      el("span", { class: "number" }, text(value, number, zone)),
    ),
  );
  return [el("ul", { class: "explore-bars" }, ...items)];
}

const bar = (from, to, value) =>
  svg(
    "svg",
    { viewBox: `0 0 ${SIDE} 10`, preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("rect", { x: from, width: to - from, height: 10, "data-value": value }),
  );

/* Lines. */

function drawLines({ chart, rows, number, zone }) {
  const { lines, count } = lineValues(chart, rows, number);
  const times = [...new Map(lines.flatMap(({ points }) => points.map(({ at, key }) => [at, key])))].sort(
    ([a], [b]) => a - b,
  );
  const grid = gridOf(lines.flatMap(({ points }) => points.map(({ value }) => value ?? 0)));
  const plot = { lines, times, grid, x: scaleOf(times[0][0], times.at(-1)[0]), y: scaleOf(grid.at(-1), grid[0]) };
  const name = `${label(number)} by ${title(chart.time.name).toLowerCase()}, ${lines.length} lines`;
  const readout = new Readout({ lines, time: chart.time, split: chart.split, number, zone });
  const drawing = el("div", { class: "explore-plot", role: "img", "aria-label": `${name}; the table has the values` });
  const cursor = svg("line", { class: "explore-cursor", y1: 0, y2: SIDE, visibility: "hidden" });
  drawing.append(drawingOf(plot, cursor));
  listen(drawing, cursor, plot, readout);
  const left = count - lines.length;
  return [
    el(
      "div",
      { class: "explore-plot-space" },
      el("div", { class: "explore-values", "aria-hidden": "true" }, ...valueLabels(plot, number, zone)),
      drawing,
      el("div", { class: "explore-dates", "aria-hidden": "true" }, ...dateLabels(plot, chart.time, zone)),
    ),
    readout.root,
    left ? el("p", { class: "hint" }, `The ${lines.length} of ${count} lines with the largest values.`) : "",
  ];
}

const scaleOf = (from, to) => (value) => (to === from ? SIDE / 2 : ((value - from) / (to - from)) * SIDE);

function drawingOf({ lines, grid, x, y }, cursor) {
  const rules = grid.map((value) =>
    svg("line", { class: value ? "explore-rule" : "explore-rule base", x1: 0, x2: SIDE, y1: y(value), y2: y(value) }),
  );
  const paths = lines.map(({ label: name, points }, index) =>
    svg("path", { class: `explore-line line-${index + 1}`, d: pathOf(points, x, y), "data-line": name }),
  );
  const attributes = { viewBox: `0 0 ${SIDE} ${SIDE}`, preserveAspectRatio: "none", "aria-hidden": "true" };
  return svg("svg", attributes, ...rules, ...paths.reverse(), cursor);
}

/** A path with gaps where there is no value; a value without neighbours is a dash. */
function pathOf(points, x, y) {
  return points
    .map(({ at, value }, index) => {
      if (value === null) return "";
      const place = `${x(at).toFixed(1)} ${y(value).toFixed(1)}`;
      const continues = index > 0 && points[index - 1].value !== null;
      return continues ? `L${place}` : `M${place}h0`;
    })
    .join("");
}

function valueLabels({ grid, y }, number, zone) {
  return grid.map((value) => {
    const mark = el("span", {}, text(value, number, zone));
    mark.style.top = `${y(value) / 10}%`;
    return mark;
  });
}

/** What says nothing at the end of these times: midnight if all are days, else seconds if there are none. */
const sharedEnding = (times) => [" 00:00:00", ":00"].find((end) => times.every((each) => each.endsWith(end))) ?? "";

/** Some dates, evenly chosen among those of the rows; the outer ones stay inside the plot. */
function dateLabels({ times, x }, time, zone) {
  const count = Math.min(time.type === "timestamp" ? TIME_LABELS : DATE_LABELS, times.length);
  const step = count > 1 ? (times.length - 1) / (count - 1) : 0;
  const chosen = Array.from({ length: count }, (_, index) => times[Math.round(index * step)]);
  const ending = sharedEnding(times.map(([, key]) => text(key, time, zone)));
  return chosen.map(([at, key]) => {
    const mark = el("span", {}, text(key, time, zone).slice(0, -ending.length || undefined));
    mark.style.left = `${x(at) / 10}%`;
    mark.style.transform = `translateX(-${x(at) / 10}%)`;
    return mark;
  });
}

function listen(drawing, cursor, { times, x }, readout) {
  drawing.addEventListener("pointermove", (event) => {
    const { left, width } = drawing.getBoundingClientRect();
    const at = ((event.clientX - left) / width) * SIDE;
    const [nearest, key] = times.reduce((best, each) =>
      Math.abs(x(each[0]) - at) < Math.abs(x(best[0]) - at) ? each : best,
    );
    for (const name of ["x1", "x2"]) cursor.setAttribute(name, x(nearest));
    cursor.setAttribute("visibility", "visible");
    readout.show(nearest, key);
  });
  drawing.addEventListener("pointerleave", () => {
    cursor.setAttribute("visibility", "hidden");
    readout.show(null);
  });
}

/** The legend, with the values of the time under the mouse. */
class Readout {
  constructor({ lines, time, split, number, zone }) {
    Object.assign(this, { lines, time, number, zone });
    this.when = el("span", { class: "explore-when" });
    this.values = lines.map(() => el("strong"));
    const entries = lines.map(({ label: name }, index) =>
      el(
        "li",
        {},
        el("span", { class: `explore-key line-${index + 1}`, "aria-hidden": "true" }),
        split ? splitLabel(split, name) : label(number),
        this.values[index],
      ),
    );
    this.root = el("div", { class: "explore-legend" }, el("ul", { class: "legend" }, ...entries), this.when);
  }

  /** Show the values at the time `at`; nothing for null. */
  show(at, key) {
    this.when.textContent = at === null ? "" : text(key, this.time, this.zone);
    for (const [index, { points }] of this.lines.entries()) {
      const found = points.find((point) => point.at === at);
      this.values[index].textContent = found ? text(found.value, this.number, this.zone) : "";
    }
  }
}

/** "DE", but "Week number 1" */
const splitLabel = (split, name) => (isNumeric(split) ? `${title(split.name)} ${name}` : name);
