/** A chart of a series, as SVG that any width stretches, for mouse, touch, keyboard, screen reader and paper. */

import { gridLines, textWidth, ticks } from "./axis.js";
import { el, setAttribute, setText, svg } from "./dom.js";
import * as format from "./format.js";
import { percentChange } from "./series.js";

/** Values are drawn as bars up to this many rows, and as a line beyond. */
export const MAX_BARS = 100;
const BAR_SHARE = 0.72;
/** The widest bar, as a share of the plot: a single day is no wall of colour. */
const MAX_BAR_WIDTH = 0.08;
const MIN_ZOOMED_ROWS = 3;
const MIN_DRAG_PX = 8;
/** Width of the plot on paper, for the choice of labels. */
const PRINT_WIDTH = 600;
/** SVG units of a full side. */
const SIDE = 1000;

/**
 * `onZoom(zoom)` is called with the first and last visible index, or null. `update` takes points:
 * `{date, name, value, average, before: {name, value, isCut}, note}`. `name` is the date in words, `note`
 * says why a row is not finished, `isCut` that the compared one is not either; a null value or average is
 * a gap, a null `before` is no pair.
 */
export class Chart {
  constructor(root, { onZoom = () => null } = {}) {
    this.onZoom = onZoom;
    this.points = [];
    this.zoom = null;
    this.cursor = null;
    this.printing = false;
    this.title = el("h3");
    this.total = el("p", { class: "total" }, "\u00a0");
    this.legend = el("ul", { class: "legend" });
    this.tip = el("div", { class: "tip", hidden: true });
    this.empty = el("p", { class: "empty", hidden: true }, "Nothing in this range.");
    this.drawing = svg("svg", {
      class: "drawing",
      viewBox: `0 0 ${SIDE} ${SIDE}`,
      preserveAspectRatio: "none",
      "aria-hidden": "true",
    });
    this.selection = el("div", { class: "selection", hidden: true });
    this.plot = el(
      "div",
      {
        class: "plot",
        role: "slider",
        tabindex: "0",
        "aria-valuemin": "0",
        "aria-valuemax": "0",
        "aria-valuenow": "0",
        "aria-valuetext": "no data yet",
        "aria-describedby": "chart-keys",
        "data-loading": true,
      },
      this.drawing,
      this.selection,
    );
    this.values = el("div", { class: "values", "aria-hidden": "true" });
    this.dates = el("div", { class: "dates-axis", "aria-hidden": "true" });
    this.card = el(
      "article",
      { class: "card chart" },
      el("div", { class: "heading small" }, this.title, this.total),
      el("div", { class: "plot-space" }, this.values, this.plot, this.dates, this.tip, this.empty),
      this.legend,
    );
    root.append(this.card);
    this.#listen();
  }

  #listen() {
    this.plot.addEventListener("keydown", (event) => this.#onKey(event));
    this.plot.addEventListener("blur", () => this.#hideTip());
    this.plot.addEventListener("pointermove", (event) => this.#onMove(event));
    this.plot.addEventListener("pointerleave", () => this.#hideTip());
    this.plot.addEventListener("pointerdown", (event) => this.#onDown(event));
    this.plot.addEventListener("pointerup", (event) => this.#onUp(event));
    this.plot.addEventListener("pointercancel", () => this.#endDrag());
    this.plot.addEventListener("dblclick", () => this.zoomTo(null));
    new ResizeObserver(() => this.#drawDates()).observe(this.plot);
    addEventListener("beforeprint", () => this.#print(true));
    addEventListener("afterprint", () => this.#print(false));
  }

  clear() {
    this.points = [];
    this.zoom = null;
    this.drawing.replaceChildren();
    this.values.replaceChildren();
    this.dates.replaceChildren();
    this.legend.replaceChildren();
    setText(this.title, this.options?.title ?? "\u00a0"); // what a row is may change
    setText(this.total, "\u00a0");
    this.empty.hidden = true;
    this.tip.hidden = true;
    setAttribute(this.plot, "aria-valuetext", "no data yet");
    setAttribute(this.plot, "data-loading", "");
  }

  /**
   * Draw `points`. `title` names the values, `unit` what a row is ("per day"), `total` stands beside
   * the title; `formatValue` formats one value, `whole` says that values are counts, `from` is the first
   * day of the range. `averageLabel`
   * and `accumulated` describe the lines.
   */
  update({ points, empty, ...options }) {
    Object.assign(this, { points, options });
    setAttribute(this.plot, "data-loading", null);
    setAttribute(this.card, "data-chart", options.title);
    setAttribute(this.plot, "aria-label", options.title);
    setText(this.title, `${options.title} ${options.unit}`);
    setText(this.total, options.total);
    setText(this.empty, empty ?? "Nothing in this range.");
    this.empty.hidden = points.length > 0;
    if (this.zoom && this.zoom[1] >= points.length) this.zoom = null;
    setAttribute(this.plot, "aria-valuemax", String(Math.max(0, points.length - 1)));
    this.#draw();
    this.#select(points.length - 1, { tooltip: false });
  }

  zoomTo(zoom) {
    this.zoom = zoom;
    this.#draw();
    this.onZoom(zoom);
  }

  /** First and last visible index. */
  #window() {
    return this.zoom ?? [0, this.points.length - 1];
  }

  #visible() {
    const [first, last] = this.#window();
    return this.points.slice(first, last + 1);
  }

  #draw() {
    const points = this.#visible();
    const numbers = points.flatMap(({ value, average, before }) => [value ?? 0, average ?? 0, before?.value ?? 0]);
    this.lines = gridLines(Math.max(0, ...numbers), { whole: this.options.whole });
    this.top = this.lines.at(-1);
    this.drawing.replaceChildren(
      ...this.lines.map((value) =>
        svg("line", { class: value ? "grid" : "grid base", x1: 0, x2: SIDE, y1: this.#y(value), y2: this.#y(value) }),
      ),
      ...this.#drawValues(points),
      ...this.#drawBefore(points),
      ...this.#drawAverage(points),
    );
    this.marker = svg("line", { class: "cursor", y1: 0, y2: SIDE, visibility: "hidden" });
    this.drawing.append(this.marker);
    this.#drawLabelsOfValues();
    this.#drawDates();
    this.#drawLegend(points);
  }

  #y(value) {
    return SIDE - (value / this.top) * SIDE;
  }

  /** Middle of the band of the visible row at `index`. */
  #x(index, count) {
    return ((index + 0.5) / count) * SIDE;
  }

  #drawsBars() {
    return this.points.length <= MAX_BARS && !this.options.accumulated;
  }

  #drawValues(points) {
    if (!this.#drawsBars()) return this.#line(points, "value", this.options.accumulated ? "sum" : "count");
    const width = SIDE * Math.min(BAR_SHARE / points.length, MAX_BAR_WIDTH);
    return points.map(({ date, value, note }, index) =>
      svg("rect", {
        class: note ? "bar unfinished" : "bar",
        x: this.#x(index, points.length) - width / 2,
        width,
        y: this.#y(value ?? 0),
        height: SIDE - this.#y(value ?? 0),
        "data-date": date,
        "data-value": value,
      }),
    );
  }

  /** The compared values: a mark across each bar, or a line over many rows. */
  #drawBefore(points) {
    if (!this.#drawsBars()) {
      return this.#line(
        points.map(({ before }) => ({ value: before?.value ?? null })),
        "value",
        "before",
      );
    }
    const half = (SIDE * Math.min(0.9 / points.length, MAX_BAR_WIDTH * 1.25)) / 2;
    return points.flatMap(({ date, before }, index) => {
      if (!before) return [];
      const [x, y] = [this.#x(index, points.length), this.#y(before.value)];
      const place = { x1: x - half, x2: x + half, y1: y, y2: y };
      return [
        svg("line", { class: "halo", ...place }),
        svg("line", { class: "before", ...place, "data-date": date, "data-value": before.value }),
      ];
    });
  }

  #drawAverage(points) {
    return this.#line(points, "average", "average");
  }

  /** A line through `name` of the points; gaps where it is null. Nothing for fewer than two values. */
  #line(points, name, style) {
    const parts = [];
    let open = false;
    for (const [index, point] of points.entries()) {
      const value = point[name];
      const known = value !== null && value !== undefined;
      if (known)
        parts.push(`${open ? "L" : "M"}${this.#x(index, points.length).toFixed(2)} ${this.#y(value).toFixed(2)}`);
      open = known;
    }
    if (parts.length < 2) return [];
    const d = parts.join("");
    const values = points.map((point) => point[name] ?? "").join(" ");
    const line = svg("path", { class: `line ${style}`, d, "data-values": values });
    if (style === "sum") return [svg("path", { class: "area", d: `${d}V${SIDE}H${this.#x(0, points.length)}Z` }), line];
    return [svg("path", { class: "halo", d }), line];
  }

  #drawLabelsOfValues() {
    const text = this.options.whole ? format.compact : this.options.formatValue;
    this.values.replaceChildren(
      ...this.lines.map((value) => {
        const label = el("span", { class: "tick", "data-value": value }, text(value));
        label.style.bottom = `${(value / this.top) * 100}%`;
        return label;
      }),
    );
  }

  /** Labels of rows, chosen for the present width; a label at an edge moves inwards. */
  #drawDates() {
    const points = this.#visible();
    const width = this.printing ? PRINT_WIDTH : this.plot.clientWidth;
    if (!points.length || !width) return this.dates.replaceChildren();
    const fontSize = Number.parseFloat(getComputedStyle(this.dates).fontSize);
    const { interval, from } = this.options;
    const chosen = ticks(
      // The first week may begin before the range, of which it shows the days.
      points.map(({ date }) => (interval === "week" && date < from ? from : date)),
      interval,
      { width, fontSize },
    );
    return this.dates.replaceChildren(
      ...chosen.map(({ index, text }) => {
        const middle = (index + 0.5) / points.length;
        const half = textWidth(text, fontSize) / 2 / width;
        const label = el("span", { class: "tick", "data-date": points[index].date }, text);
        label.style.left = `${Math.max(half, Math.min(1 - half, middle)) * 100}%`;
        return label;
      }),
    );
  }

  #print(printing) {
    this.printing = printing;
    if (this.points.length) this.#drawDates();
  }

  /** Only lines that are drawn have an entry. */
  #drawLegend(points) {
    const entries = [[this.#drawsBars() ? "bar" : this.#valueKey(), this.options.title]];
    if (this.#drawsBars() && points.some(({ note, value }) => note && value))
      entries.push(["unfinished", "Incomplete"]);
    if (this.drawing.querySelector(".before")) entries.push(["before", this.options.beforeLabel]);
    if (this.drawing.querySelector(".average")) entries.push(["average", this.options.averageLabel]);
    const shown = points.length ? entries.filter(([, label]) => label) : [];
    this.legend.replaceChildren(...shown.map(([style, label]) => el("li", {}, legendKey(style), label)));
  }

  #valueKey() {
    return this.options.accumulated ? "sum" : "count";
  }

  /* Mouse and touch. */

  #indexAt(clientX) {
    const { left, width } = this.plot.getBoundingClientRect();
    const [first, last] = this.#window();
    const index = first + Math.floor(((clientX - left) / width) * (last - first + 1));
    return Math.max(first, Math.min(last, index));
  }

  #onMove(event) {
    if (!this.points.length) return;
    this.#select(this.#indexAt(event.clientX), { tooltip: true });
    if (this.dragFrom !== undefined) this.#drawSelection(event.clientX);
  }

  #onDown(event) {
    if (event.button !== 0 || event.pointerType === "touch" || !this.points.length) return;
    this.dragFrom = event.clientX;
    this.plot.setPointerCapture(event.pointerId);
  }

  #onUp(event) {
    const from = this.dragFrom;
    this.#endDrag();
    if (from === undefined || Math.abs(event.clientX - from) < MIN_DRAG_PX) return;
    const ends = [this.#indexAt(from), this.#indexAt(event.clientX)].sort((a, b) => a - b);
    if (ends[1] > ends[0]) this.zoomTo(ends);
  }

  #endDrag() {
    this.dragFrom = undefined;
    this.selection.hidden = true;
  }

  #drawSelection(clientX) {
    const { left } = this.plot.getBoundingClientRect();
    const [start, end] = [this.dragFrom - left, clientX - left].sort((a, b) => a - b);
    this.selection.hidden = end - start < MIN_DRAG_PX;
    this.selection.style.left = `${start}px`;
    this.selection.style.width = `${end - start}px`;
  }

  /* Keyboard. */

  #onKey(event) {
    if (!this.points.length || event.ctrlKey || event.metaKey || event.altKey) return;
    const [from, to] = this.#window();
    const at = this.cursor ?? to;
    const moves = {
      ArrowLeft: at - 1,
      ArrowDown: at - 1,
      ArrowRight: at + 1,
      ArrowUp: at + 1,
      PageDown: at - 10,
      PageUp: at + 10,
      Home: from,
      End: to,
    };
    if (event.key in moves) this.#select(Math.min(to, Math.max(from, moves[event.key])), { tooltip: true });
    else if (event.key === "+") this.#zoomAround(at, (to - from) / 4);
    else if (event.key === "-") this.#zoomAround(at, to - from);
    else if (event.key === "0" || (event.key === "Escape" && this.zoom)) this.zoomTo(null);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  #zoomAround(at, half) {
    const reach = Math.max(half, MIN_ZOOMED_ROWS / 2);
    const last = this.points.length - 1;
    const from = Math.max(0, Math.round(at - reach));
    const to = Math.min(last, Math.round(at + reach));
    this.zoomTo(from === 0 && to === last ? null : [from, to]);
  }

  /* The selected row. */

  #hideTip() {
    this.tip.hidden = true;
    this.marker?.setAttribute("visibility", "hidden");
  }

  /** Expose the row at `index` to screen readers, and in the tooltip if `tooltip` is set. */
  #select(index, { tooltip }) {
    this.cursor = index < 0 ? null : index;
    if (this.cursor === null) {
      setAttribute(this.plot, "aria-valuetext", "Nothing in this range");
      this.#hideTip();
      return;
    }
    const point = this.points[index];
    const rows = this.#describe(point);
    const text = rows.map(({ label, value }) => `${label} ${value}`).join(", ");
    setAttribute(this.plot, "aria-valuenow", String(index));
    setAttribute(this.plot, "aria-valuetext", `${heading(point)}: ${text}`);
    if (tooltip) this.#showTip(index, heading(point), rows);
  }

  /** Rows of the tooltip: the value, the compared value with its date, the change, the average. */
  #describe({ value, before, average, note }) {
    const { title, formatValue, averageLabel } = this.options;
    const rows = [{ style: this.#drawsBars() ? "bar" : this.#valueKey(), label: title, value: formatValue(value) }];
    if (before) {
      rows.push({ style: "before", label: before.name, value: formatValue(before.value) });
      const change = percentChange(value, before.value);
      if (change !== null && (!note || before.isCut))
        rows.push({ style: "none", label: "Change", value: format.change(change) });
    }
    if (average !== null && average !== undefined) {
      rows.push({ style: "average", label: averageLabel, value: format.number(average) });
    }
    return rows;
  }

  #showTip(index, title, rows) {
    this.tip.replaceChildren(
      el("p", {}, title),
      el(
        "dl",
        {},
        ...rows.map(({ style, label, value }) =>
          el("div", {}, legendKey(style), el("dt", {}, label), el("dd", {}, value)),
        ),
      ),
    );
    this.tip.hidden = false;
    const [first, last] = this.#window();
    const x = this.#x(index - first, last - first + 1);
    this.marker.setAttribute("x1", x);
    this.marker.setAttribute("x2", x);
    this.marker.setAttribute("visibility", "visible");
    const at = this.plot.offsetLeft + (x / SIDE) * this.plot.clientWidth;
    const space = this.plot.parentElement.clientWidth - this.tip.offsetWidth;
    const left = at + 14 > space ? at - this.tip.offsetWidth - 14 : at + 14;
    this.tip.style.transform = `translate(${Math.max(0, Math.min(space, left))}px, 0)`;
  }
}

const heading = ({ name, note }) => (note ? `${name} (${note})` : name);

const legendKey = (style) => el("span", { class: `key key-${style}`, "aria-hidden": "true" });

/** A line without axes, for a tile: `values` from left to right. */
export function sparkline(values) {
  const largest = Math.max(...values, 1);
  const points = values.map((value, index) => {
    const x = values.length > 1 ? (index / (values.length - 1)) * SIDE : SIDE / 2;
    return `${x.toFixed(1)},${(SIDE - (value / largest) * SIDE).toFixed(1)}`;
  });
  return svg(
    "svg",
    { class: "spark", viewBox: `0 0 ${SIDE} ${SIDE}`, preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("polyline", { points: points.join(" "), "data-values": values.join(" ") }),
  );
}
