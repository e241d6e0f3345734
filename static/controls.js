/** The range and its options, as controls. */

import { byId, el, setText } from "./dom.js";
import { PRESETS } from "./view.js";

const INTERVALS = { day: "Day", week: "Week", month: "Month" };
const SERIES = { daily: "Counts", accumulated: "Accumulated" };

/** Tells `onChange` the part of the view that was changed. */
export class Controls {
  constructor(onChange) {
    this.onChange = onChange;
    this.presets = segments(byId("presets"), "preset", PRESETS, (preset) => onChange({ preset, from: null, to: null }));
    this.intervals = segments(byId("intervals"), "interval", INTERVALS, (interval) => onChange({ interval }));
    this.series = segments(byId("series"), "series", SERIES, (series) => onChange({ series }));
    this.zone = byId("tz");
    this.zone.append(...zones());
    this.zone.addEventListener("change", () => onChange({ tz: this.zone.value || null }));
    for (const name of ["compare", "weekends"]) {
      byId(name).addEventListener("change", ({ target }) => onChange({ [name]: target.checked }));
    }
    byId("controls").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
  }

  /** Show `view`; `range` is what the API understood, or null. */
  show(view, range) {
    choose(this.presets, view.preset);
    choose(this.intervals, view.interval);
    choose(this.series, view.series);
    this.#chooseZone(view.tz ?? "");
    byId("compare").checked = view.compare;
    byId("compare").disabled = view.preset === "all";
    byId("weekends").checked = view.weekends;
    const [from, to] = view.preset === null ? [view.from, view.to] : [range?.from, range?.to];
    if (from && to) this.#setDates(from, to);
  }

  /** The first day there is, and the last. */
  setHistory({ from, to }) {
    for (const input of [byId("from"), byId("to")]) {
      input.min = from;
      input.max = to;
    }
  }

  setProblem(text) {
    setText(byId("range-problem"), text);
  }

  #setDates(from, to) {
    // What somebody is typing is theirs.
    if (byId("from").form.matches(":focus-within") && document.activeElement.type === "date") return;
    byId("from").value = from;
    byId("to").value = to;
  }

  #submit() {
    const [from, to] = [byId("from").value, byId("to").value];
    if (!from || !to) return this.setProblem("Give both dates.");
    if (from > to) return this.setProblem("The first date is later than the last one.");
    return this.onChange({ preset: null, from, to });
  }

  #chooseZone(zone) {
    if (![...this.zone.options].some(({ value }) => value === zone))
      this.zone.append(el("option", { value: zone }, zone));
    this.zone.value = zone;
  }
}

function segments(root, name, choices, onChoose) {
  const inputs = Object.entries(choices).map(([value, label]) => {
    const input = el("input", { type: "radio", name, value, id: `${name}-${value}` });
    input.addEventListener("change", () => onChoose(value));
    root.append(input, el("label", { for: input.id }, label));
    return input;
  });
  return inputs;
}

function choose(inputs, value) {
  for (const input of inputs) input.checked = input.value === value;
}

/** The server's, the reader's, and all that this browser knows. */
function zones() {
  const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const first = [
    ["", "The server's"],
    ["UTC", "UTC"],
  ];
  if (own && own !== "UTC") first.push([own, `${own} (yours)`]);
  const known = new Set(first.map(([value]) => value));
  const others = Intl.supportedValuesOf("timeZone").filter((zone) => !known.has(zone));
  return [
    ...first.map(([value, label]) => el("option", { value }, label)),
    el(
      "optgroup",
      { label: "All time zones" },
      ...others.map((zone) => el("option", { value: zone }, zone.replaceAll("_", " "))),
    ),
  ];
}
