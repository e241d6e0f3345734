/** The form controls for the range and its options. */

import { byId, el, setText } from "./dom.js";
import { PRESETS } from "./view.js";

const INTERVALS = { day: "Day", week: "Week", month: "Month" };
const SERIES = { daily: "Counts", accumulated: "Accumulated" };

/** Calls `onChange` with the changed properties of the view. */
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

  /** Show `view`. `range` holds the dates to which the API resolved it, or is null. */
  show(view, range) {
    check(this.presets, view.preset);
    check(this.intervals, view.interval);
    check(this.series, view.series);
    this.#selectZone(view.tz ?? "");
    byId("compare").checked = view.compare;
    byId("compare").disabled = view.preset === "all";
    byId("weekends").checked = view.weekends;
    const [from, to] = view.preset === null ? [view.from, view.to] : [range?.from, range?.to];
    if (from && to) this.#setDates(from, to);
  }

  /** Limit the date inputs to the first and last day of all data. */
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
    // Do not overwrite a date while it is being typed.
    if (byId("from").form.matches(":focus-within") && document.activeElement.type === "date") return;
    byId("from").value = from;
    byId("to").value = to;
  }

  #submit() {
    const [from, to] = [byId("from").value, byId("to").value];
    if (!from || !to) return this.setProblem("Enter both dates.");
    if (from > to) return this.setProblem("The first date is later than the last one.");
    return this.onChange({ preset: null, from, to });
  }

  #selectZone(zone) {
    if (![...this.zone.options].some(({ value }) => value === zone))
      this.zone.append(el("option", { value: zone }, zone));
    this.zone.value = zone;
  }
}

/** Fill the fieldset `root` with a radio button for each of `choices`. */
function segments(root, name, choices, onChoose) {
  const inputs = Object.entries(choices).map(([value, label]) => {
    const input = el("input", { type: "radio", name, value, id: `${name}-${value}` });
    input.addEventListener("change", () => onChoose(value));
    root.append(input, el("label", { for: input.id }, label));
    return input;
  });
  return inputs;
}

function check(inputs, value) {
  for (const input of inputs) input.checked = input.value === value;
}

/** Time zone options: the server's, UTC, the browser's, then all others that the browser knows. */
function zones() {
  const local = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const common = [
    ["", "Server default"],
    ["UTC", "UTC"],
  ];
  if (local && local !== "UTC") common.push([local, `${local} (local)`]);
  const listed = new Set(common.map(([value]) => value));
  const others = Intl.supportedValuesOf("timeZone").filter((zone) => !listed.has(zone));
  return [
    ...common.map(([value, label]) => el("option", { value }, label)),
    el(
      "optgroup",
      { label: "All time zones" },
      ...others.map((zone) => el("option", { value: zone }, zone.replaceAll("_", " "))),
    ),
  ];
}
