/** Time series charts, drawn by uPlot, for mouse, keyboard and screen reader. */

import { el, setAttribute, setText } from "./dom.js";
import * as format from "./format.js";
import { chartColours, onThemeChange } from "./theme.js";
import uPlot from "./vendor/uplot/uPlot.esm.js";

const HEIGHT = 210;
/** Counts are drawn as bars up to this many rows, and as a line beyond. */
export const MAX_BARS = 100;
const MONTH_SECONDS = 28 * 86_400;
const MIN_ZOOMED_ROWS = 3;
const FONT = '12px -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", Arial, sans-serif';

/** Line styles; the colours are names of theme.js. */
const STYLES = {
  counts: { colour: "faint", width: 1 },
  sum: { colour: "accent", fill: "accent-faint", width: 2 },
  average: { colour: "secondary", width: 2 },
  previous: { colour: "border", width: 1.25, dash: [4, 4] },
};

/** Charts that share their days, cursor and zoom. */
export class ChartGroup {
  constructor(name, onZoom) {
    this.sync = uPlot.sync(name);
    this.onZoom = onZoom;
    this.charts = [];
    this.zoom = null;
    onThemeChange(() => this.restyle());
  }

  add(root, title) {
    const chart = new Chart(root, title, this);
    this.charts.push(chart);
    return chart;
  }

  restyle() {
    for (const chart of this.charts) chart.restyle();
  }

  /** Zoom all charts to `[min, max]`, in epoch seconds; null shows everything. */
  zoomTo(zoom) {
    this.zoom = zoom;
    for (const chart of this.charts) chart.applyZoom();
    this.onZoom(zoom);
  }
}

class Chart {
  constructor(root, title, group) {
    this.title = title;
    this.group = group;
    this.days = [];
    this.lines = [];
    this.cursor = null;
    this.total = el("p", { class: "total" }, "\u00a0");
    this.legend = el("ul", { class: "legend" });
    this.tip = el("div", { class: "tip", hidden: true });
    this.empty = el("p", { class: "empty", hidden: true }, "Nothing in this range.");
    this.plot = el("div", {
      class: "plot",
      role: "slider",
      tabindex: "0",
      "aria-label": title,
      "aria-valuemin": "0",
      "aria-valuemax": "0",
      "aria-valuenow": "0",
      "aria-valuetext": "no data yet",
      "data-loading": true,
    });
    root.append(
      el(
        "article",
        { class: "card chart", "data-chart": title },
        el("div", { class: "heading small" }, el("h3", {}, title), this.total),
        el("div", { class: "plot-space" }, this.plot, this.tip, this.empty),
        this.legend,
      ),
    );
    this.plot.addEventListener("keydown", (event) => this.#onKey(event));
    this.plot.addEventListener("blur", () => this.#onBlur());
    new ResizeObserver(() => this.#fitWidth()).observe(this.plot);
  }

  clear() {
    this.days = [];
    this.lines = [];
    this.uplot?.destroy();
    this.uplot = null;
    setText(this.total, "\u00a0");
    this.legend.replaceChildren();
    this.empty.hidden = true;
    setAttribute(this.plot, "data-loading", "");
  }

  /**
   * Draw `lines` over `days`, in epoch seconds. Each line is `{label, style, values}`;
   * a null value is a gap. `interval` is day, week or month; `total` is shown beside the title.
   */
  update({ days, lines, interval, total }) {
    setAttribute(this.plot, "data-loading", null);
    const layout = JSON.stringify([lines.map(({ label, style }) => [label, style]), interval, days.length > MAX_BARS]);
    const sameLayout = this.uplot && this.layout === layout;
    Object.assign(this, { days, lines, interval, layout });
    setText(this.total, total);
    this.empty.hidden = days.length > 0;
    setAttribute(this.plot, "aria-valuemax", String(Math.max(0, days.length - 1)));
    if (sameLayout) this.uplot.setData(this.#data(), false);
    else this.#draw();
    this.#scale();
    this.#selectRow(days.length - 1, { tooltip: false });
  }

  restyle() {
    if (this.uplot) {
      this.#draw();
      this.#scale();
    }
  }

  applyZoom() {
    if (this.uplot) this.#scale();
  }

  #data() {
    return [this.days, ...this.lines.map(({ values }) => values)];
  }

  #draw() {
    this.uplot?.destroy();
    this.colours = chartColours();
    this.uplot = new uPlot(this.#options(), this.#data(), this.plot);
    this.#drawLegend();
  }

  /** Set x to the zoom or all days; y adapts, from 0 to the largest visible value. */
  #scale() {
    if (!this.days.length) return;
    const half = this.#drawsBars() ? (this.days[1] - this.days[0] || 86_400) / 2 : 0;
    const [min, max] = this.group.zoom ?? [this.days[0] - half, this.days.at(-1) + half];
    this.uplot.setScale("x", { min, max: max > min ? max : min + 86_400 });
  }

  #drawsBars() {
    return this.days.length <= MAX_BARS;
  }

  #options() {
    const { colours } = this;
    const axis = { stroke: colours.muted, font: FONT, ticks: { show: false } };
    return {
      width: this.plot.clientWidth || 300,
      height: HEIGHT,
      padding: [8, 8, 0, 0],
      legend: { show: false },
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
      scales: { x: { time: true }, y: { range: (_, _min, max) => [0, yMax(Math.max(max ?? 0, 0))] } },
      axes: [
        { ...axis, size: 26, space: 70, grid: { show: false }, values: dayLabels },
        {
          ...axis,
          size: 44,
          space: 40,
          grid: { stroke: colours.divider, width: 1 },
          incrs: WHOLE_STEPS,
          values: (_, splits) => splits.map(format.compact),
        },
      ],
      cursor: {
        sync: { key: this.group.sync.key, setSeries: false },
        y: false,
        points: { size: 7 },
        drag: { x: true, y: false, setScale: false, dist: 8 },
        bind: { dblclick: () => () => this.group.zoomTo(null) },
      },
      series: [{}, ...this.lines.map((line) => this.#series(line))],
      hooks: {
        setCursor: [(plot) => this.#onCursor(plot)],
        setSelect: [(plot) => this.#onDrag(plot)],
      },
    };
  }

  #series({ style }) {
    if (style === "counts" && this.#drawsBars()) return this.#bars();
    const { colour, fill, width, dash } = STYLES[style];
    return {
      stroke: this.colours[colour],
      fill: fill && this.colours[fill],
      width,
      dash,
      points: { show: this.days.length === 1 },
    };
  }

  #bars() {
    return {
      fill: this.colours["accent-soft"],
      width: 0,
      paths: uPlot.paths.bars({ size: [0.72, 28], radius: 0.15 }),
      points: { show: false },
    };
  }

  #onDrag(plot) {
    const { left, width } = plot.select;
    if (width < 8) return;
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    this.group.zoomTo([plot.posToVal(left, "x"), plot.posToVal(left + width, "x")]);
  }

  /** uPlot moves the cursor of every chart of the group; the tooltip is for the chart below the mouse. */
  #onCursor(plot) {
    const over = plot.cursor.idx !== null && plot.cursor.idx !== undefined && plot.cursor.left >= 0;
    const here = over && plot.over.matches(":hover");
    if (here) this.#selectRow(plot.cursor.idx, { tooltip: true });
    else if (!this.plot.matches(":focus-visible") || !over) this.tip.hidden = true;
  }

  #onKey(event) {
    if (!this.days.length || event.ctrlKey || event.metaKey || event.altKey) return;
    const last = this.days.length - 1;
    const at = this.cursor ?? last;
    const [from, to] = this.#visibleRows();
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
    if (event.key in moves) this.#moveTo(Math.min(to, Math.max(from, moves[event.key])));
    else if (event.key === "+") this.#zoomAround(at, (to - from) / 4);
    else if (event.key === "-") this.#zoomAround(at, to - from);
    else if (event.key === "Escape" || event.key === "0") this.group.zoomTo(null);
    else return;
    event.preventDefault();
  }

  /** Indexes of the first and last row within the zoom. */
  #visibleRows() {
    const [min, max] = this.group.zoom ?? [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
    const inside = this.days.map((day, index) => [day, index]).filter(([day]) => day >= min && day <= max);
    return inside.length ? [inside[0][1], inside.at(-1)[1]] : [0, this.days.length - 1];
  }

  #zoomAround(at, half) {
    const reach = Math.max(half, MIN_ZOOMED_ROWS / 2);
    const last = this.days.length - 1;
    const from = Math.max(0, Math.round(at - reach));
    const to = Math.min(last, Math.round(at + reach));
    this.group.zoomTo(from === 0 && to === last ? null : [this.days[from], this.days[to]]);
  }

  #moveTo(index) {
    this.#selectRow(index, { tooltip: true });
    const left = this.uplot.valToPos(this.days[index], "x");
    this.uplot.setCursor({ left, top: 0 }, false);
  }

  #onBlur() {
    this.tip.hidden = true;
    this.uplot?.setCursor({ left: -10, top: -10 });
  }

  /** Expose the row at `index` to screen readers, and in the tooltip if `tooltip` is set. */
  #selectRow(index, { tooltip }) {
    this.cursor = index < 0 ? null : index;
    if (this.cursor === null) {
      setAttribute(this.plot, "aria-valuetext", "Nothing in this range");
      this.tip.hidden = true;
      return;
    }
    const when = this.#dayText(this.days[index]);
    const points = this.lines
      .map(({ label, style, values }) => ({ label, style, value: values[index] }))
      .filter(({ value }) => value !== null && value !== undefined);
    setAttribute(this.plot, "aria-valuenow", String(index));
    setAttribute(
      this.plot,
      "aria-valuetext",
      `${when}: ${points.map(({ label, value }) => `${label} ${format.number(value)}`).join(", ")}`,
    );
    if (tooltip) this.#showTooltip(index, when, points);
  }

  #showTooltip(index, when, points) {
    this.tip.replaceChildren(
      el("p", {}, when),
      el(
        "dl",
        {},
        ...points.map(({ label, style, value }) =>
          el("div", {}, legendKey(style), el("dt", {}, label), el("dd", {}, format.number(value))),
        ),
      ),
    );
    this.tip.hidden = false;
    const x = this.uplot.valToPos(this.days[index], "x") + this.uplot.over.offsetLeft;
    const maxLeft = this.plot.clientWidth - this.tip.offsetWidth;
    const left = x + 14 > maxLeft ? x - this.tip.offsetWidth - 14 : x + 14;
    this.tip.style.transform = `translate(${Math.max(0, Math.min(maxLeft, left))}px, 10px)`;
  }

  #dayText(seconds) {
    if (this.interval === "month") return format.month(seconds);
    return this.interval === "week" ? `Week of ${format.day(seconds)}` : format.day(seconds);
  }

  #drawLegend() {
    this.legend.replaceChildren(...this.lines.map(({ label, style }) => el("li", {}, legendKey(style), label)));
  }

  #fitWidth() {
    const width = this.plot.clientWidth;
    if (this.uplot && width && width !== this.uplot.width) this.uplot.setSize({ width, height: HEIGHT });
  }
}

const legendKey = (style) => el("span", { class: `key key-${style}`, "aria-hidden": "true" });

/** Axis steps for counts, which are whole numbers: 1, 2 and 5 times a power of ten. */
const WHOLE_STEPS = Array.from({ length: 10 }, (_, power) => [1, 2, 5].map((step) => step * 10 ** power)).flat();

/** Leave some space above the largest value. */
const yMax = (largest) => (largest > 0 ? largest * 1.08 : 1);

/** Labels of the x axis, for `values` of uPlot. */
const dayLabels = (_, splits, __, ___, increment) =>
  splits.map((seconds) => (increment >= MONTH_SECONDS ? format.month(seconds) : format.dayShort(seconds)));
