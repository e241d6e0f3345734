/** Series over days: drawn by uPlot, read by mouse, keyboard and screen reader. */

import { el, setAttribute, setText } from "./dom.js";
import * as format from "./format.js";
import { colours, onTheme } from "./theme.js";
import uPlot from "./vendor/uplot/uPlot.esm.js";

const HEIGHT = 210;
/** More rows than these are drawn as lines. */
export const MOST_BARS = 100;
const MONTH_SECONDS = 28 * 86_400;
const FEWEST_ZOOMED = 3;
const FONT = '12px -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", Arial, sans-serif';

/** How a line looks: which colour, how wide, filled or dashed. */
const LOOKS = {
  counts: { colour: "faint", width: 1 },
  sum: { colour: "accent", fill: "accent-faint", width: 2 },
  average: { colour: "second", width: 2 },
  before: { colour: "edge", width: 1.25, dash: [4, 4] },
};

/** Charts that share days, cursor and zoom. */
export class ChartGroup {
  constructor(name, onZoom) {
    this.sync = uPlot.sync(name);
    this.onZoom = onZoom;
    this.charts = [];
    this.zoom = null;
    onTheme(() => this.restyle());
  }

  add(root, title) {
    const chart = new Chart(root, title, this);
    this.charts.push(chart);
    return chart;
  }

  restyle() {
    for (const chart of this.charts) chart.restyle();
  }

  /** Show the seconds from `min` to `max` only; null shows all. */
  zoomTo(zoom) {
    this.zoom = zoom;
    for (const chart of this.charts) chart.showZoom();
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
    this.plot.addEventListener("keydown", (event) => this.#key(event));
    this.plot.addEventListener("blur", () => this.#leave());
    new ResizeObserver(() => this.#fit()).observe(this.plot);
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
   * Draw `lines` (`{label, look, values}`; null is a gap) over `days`, in seconds.
   * `interval` says how long a row is, `total` is told beside the title.
   */
  update({ days, lines, interval, total }) {
    setAttribute(this.plot, "data-loading", null);
    const drawn = JSON.stringify([lines.map(({ label, look }) => [label, look]), interval, days.length > MOST_BARS]);
    const same = this.uplot && this.drawn === drawn;
    Object.assign(this, { days, lines, interval, drawn });
    setText(this.total, total);
    this.empty.hidden = days.length > 0;
    setAttribute(this.plot, "aria-valuemax", String(Math.max(0, days.length - 1)));
    if (same) this.uplot.setData(this.#data(), false);
    else this.#draw();
    this.#scale();
    this.#point(days.length - 1, false);
  }

  restyle() {
    if (this.uplot) {
      this.#draw();
      this.#scale();
    }
  }

  showZoom() {
    if (this.uplot) this.#scale();
  }

  #data() {
    return [this.days, ...this.lines.map(({ values }) => values)];
  }

  #draw() {
    this.uplot?.destroy();
    this.paint = colours();
    this.uplot = new uPlot(this.#options(), this.#data(), this.plot);
    this.#tellLegend();
  }

  /** x to the zoom or to all days; y follows from 0 to the largest of those. */
  #scale() {
    if (!this.days.length) return;
    const half = this.#asBars() ? (this.days[1] - this.days[0] || 86_400) / 2 : 0;
    const [min, max] = this.group.zoom ?? [this.days[0] - half, this.days.at(-1) + half];
    this.uplot.setScale("x", { min, max: max > min ? max : min + 86_400 });
  }

  #asBars() {
    return this.days.length <= MOST_BARS;
  }

  #options() {
    const { paint } = this;
    const axis = { stroke: paint.muted, font: FONT, ticks: { show: false } };
    return {
      width: this.plot.clientWidth || 300,
      height: HEIGHT,
      padding: [8, 8, 0, 0],
      legend: { show: false },
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
      scales: { x: { time: true }, y: { range: (_, _min, max) => [0, topOf(Math.max(max ?? 0, 0))] } },
      axes: [
        { ...axis, size: 26, space: 70, grid: { show: false }, values: dayLabels },
        {
          ...axis,
          size: 44,
          space: 40,
          grid: { stroke: paint.line, width: 1 },
          incrs: WHOLE_STEPS,
          values: (_, splits) => splits.map(format.short),
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
        setCursor: [(plot) => this.#follow(plot)],
        setSelect: [(plot) => this.#select(plot)],
      },
    };
  }

  #series({ look }) {
    if (look === "counts" && this.#asBars()) return this.#bars();
    const { colour, fill, width, dash } = LOOKS[look];
    return {
      stroke: this.paint[colour],
      fill: fill && this.paint[fill],
      width,
      dash,
      points: { show: this.days.length === 1 },
    };
  }

  #bars() {
    return {
      fill: this.paint["accent-soft"],
      width: 0,
      paths: uPlot.paths.bars({ size: [0.72, 28], radius: 0.15 }),
      points: { show: false },
    };
  }

  #select(plot) {
    const { left, width } = plot.select;
    if (width < 8) return;
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    this.group.zoomTo([plot.posToVal(left, "x"), plot.posToVal(left + width, "x")]);
  }

  /** The mouse is over a day, here or on a chart of the group. */
  #follow(plot) {
    const over = plot.cursor.idx !== null && plot.cursor.idx !== undefined && plot.cursor.left >= 0;
    const here = over && plot.over.matches(":hover");
    if (here) this.#point(plot.cursor.idx, true);
    else if (!this.plot.matches(":focus-visible") || !over) this.tip.hidden = true;
  }

  #key(event) {
    if (!this.days.length || event.ctrlKey || event.metaKey || event.altKey) return;
    const last = this.days.length - 1;
    const at = this.cursor ?? last;
    const [from, to] = this.#shown();
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
    if (event.key in moves) this.#goTo(Math.min(to, Math.max(from, moves[event.key])));
    else if (event.key === "+") this.#zoomAround(at, (to - from) / 4);
    else if (event.key === "-") this.#zoomAround(at, to - from);
    else if (event.key === "Escape" || event.key === "0") this.group.zoomTo(null);
    else return;
    event.preventDefault();
  }

  /** First and last index that the zoom shows. */
  #shown() {
    const [min, max] = this.group.zoom ?? [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
    const inside = this.days.map((day, index) => [day, index]).filter(([day]) => day >= min && day <= max);
    return inside.length ? [inside[0][1], inside.at(-1)[1]] : [0, this.days.length - 1];
  }

  #zoomAround(at, half) {
    const reach = Math.max(half, FEWEST_ZOOMED / 2);
    const last = this.days.length - 1;
    const from = Math.max(0, Math.round(at - reach));
    const to = Math.min(last, Math.round(at + reach));
    this.group.zoomTo(from === 0 && to === last ? null : [this.days[from], this.days[to]]);
  }

  #goTo(index) {
    this.#point(index, true);
    const left = this.uplot.valToPos(this.days[index], "x");
    this.uplot.setCursor({ left, top: 0 }, false);
  }

  #leave() {
    this.tip.hidden = true;
    this.uplot?.setCursor({ left: -10, top: -10 });
  }

  /** Tell the day at `index`: to screen readers, and in the tooltip if `shown`. */
  #point(index, shown) {
    this.cursor = index < 0 ? null : index;
    if (this.cursor === null) {
      setAttribute(this.plot, "aria-valuetext", "Nothing in this range");
      this.tip.hidden = true;
      return;
    }
    const when = this.#dayText(this.days[index]);
    const told = this.lines
      .map(({ label, look, values }) => ({ label, look, value: values[index] }))
      .filter(({ value }) => value !== null && value !== undefined);
    setAttribute(this.plot, "aria-valuenow", String(index));
    setAttribute(
      this.plot,
      "aria-valuetext",
      `${when}: ${told.map(({ label, value }) => `${label} ${format.number(value)}`).join(", ")}`,
    );
    if (shown) this.#showTip(index, when, told);
  }

  #showTip(index, when, told) {
    this.tip.replaceChildren(
      el("p", {}, when),
      el(
        "dl",
        {},
        ...told.map(({ label, look, value }) =>
          el("div", {}, key(look), el("dt", {}, label), el("dd", {}, format.number(value))),
        ),
      ),
    );
    this.tip.hidden = false;
    const x = this.uplot.valToPos(this.days[index], "x") + this.uplot.over.offsetLeft;
    const room = this.plot.clientWidth - this.tip.offsetWidth;
    const beside = x + 14 > room ? x - this.tip.offsetWidth - 14 : x + 14;
    this.tip.style.transform = `translate(${Math.max(0, Math.min(room, beside))}px, 10px)`;
  }

  #dayText(seconds) {
    if (this.interval === "month") return format.month(seconds);
    return this.interval === "week" ? `Week of ${format.day(seconds)}` : format.day(seconds);
  }

  #tellLegend() {
    this.legend.replaceChildren(...this.lines.map(({ label, look }) => el("li", {}, key(look), label)));
  }

  #fit() {
    const width = this.plot.clientWidth;
    if (this.uplot && width && width !== this.uplot.width) this.uplot.setSize({ width, height: HEIGHT });
  }
}

const key = (look) => el("span", { class: `key key-${look}`, "aria-hidden": "true" });

/** Counts have no halves: steps of 1, 2 and 5 times a power of ten. */
const WHOLE_STEPS = Array.from({ length: 10 }, (_, power) => [1, 2, 5].map((step) => step * 10 ** power)).flat();

/** A little room above the largest. */
const topOf = (largest) => (largest > 0 ? largest * 1.08 : 1);

const dayLabels = (_, splits, __, ___, increment) =>
  splits.map((seconds) => (increment >= MONTH_SECONDS ? format.month(seconds) : format.dayShort(seconds)));
