/** The line with the question: range, comparison, interval, days and time zone. */

import { byId, el, setAttribute, setText } from "./dom.js";
import * as format from "./format.js";
import { allowsHours, COMPARISONS, compares, INTERVALS, intervalOf, isZone, PERIODS } from "./view.js";

/** Calls `onChange` with the changed properties of the view, `onStep` with -1 or 1. */
export class Controls {
  constructor({ onChange, onStep }) {
    this.onChange = onChange;
    this.presets = Object.entries(PERIODS).map(([period, label]) => this.#preset(period, label));
    byId("presets").append(...this.presets);
    byId("earlier").addEventListener("click", () => onStep(-1));
    byId("later").addEventListener("click", () => onStep(1));
    this.interval = options("interval", { auto: "", ...INTERVALS }, (value) =>
      onChange({ interval: value === "auto" ? null : value }),
    );
    this.compare = options("compare", COMPARISONS, (value) => this.#chooseComparison(value));
    this.days = options("weekends", { true: "All days", false: "Monday to Friday" }, (value) =>
      onChange({ weekends: value === "true" }),
    );
    this.#listenToZone();
    this.#listenToPanels();
    for (const [form, apply] of [
      ["range-form", () => this.#applyRange()],
      ["compare-panel", () => this.#applyComparison()],
    ]) {
      byId(form).addEventListener("submit", (event) => {
        event.preventDefault();
        apply();
      });
    }
    byId("controls").addEventListener("submit", (event) => event.preventDefault());
  }

  #preset(period, label) {
    const onclick = () => {
      this.closePanels();
      byId("range").focus({ preventScroll: true });
      this.onChange({ period, from: null, to: null });
    };
    return el("button", { type: "button", class: "preset", "data-period": period, onclick }, label);
  }

  /** Show `view`. `query` holds what the API made of it, or is null while it is not known. */
  show(view, query) {
    this.view = view;
    const [from, to] =
      view.period === null ? [view.from ?? query?.from, view.to ?? query?.to] : [query?.from, query?.to];
    for (const button of this.presets)
      setAttribute(button, "aria-pressed", String(button.dataset.period === view.period));
    setText(byId("range-name"), view.period === null ? "Dates" : PERIODS[view.period]);
    setText(byId("range-dates"), from && to ? format.range(from, to) : "\u00a0");
    this.#showOptions(view, query);
    if (from && to) setDates(from, to);
  }

  #showOptions(view, query) {
    this.interval.value = view.interval && intervalOf(view) === view.interval ? view.interval : "auto";
    setText(this.interval.options[0], `Auto: ${INTERVALS[intervalOf({ ...view, interval: null })].toLowerCase()}`);
    this.interval.querySelector('[value="hour"]').disabled = !allowsHours(view);
    this.compare.value = compares(view) ? view.compare : "none";
    this.compare.disabled = view.period === "all";
    setAttribute(
      this.compare,
      "title",
      view.period === "all" ? "All data has no earlier period to compare with" : null,
    );
    this.days.value = String(view.weekends);
    if (document.activeElement !== this.zone) this.zone.value = view.tz ?? "";
    if (query && !view.tz) setAttribute(this.zone, "placeholder", `${query.tz} (server)`);
    const summary = [compares(view) && !view.room ? "compared" : null, view.tz ?? query?.tz].filter(Boolean);
    setText(byId("options-toggle"), summary.length ? summary.join(" · ") : "Options");
  }

  setProblem(text) {
    setText(byId("range-problem"), text);
    if (text) this.openPanel("range");
  }

  /* Panels: one is open at most. */

  #listenToPanels() {
    for (const name of ["range", "options-toggle"]) {
      byId(name).addEventListener("click", () => {
        const isOpen = byId(name).getAttribute("aria-expanded") === "true";
        if (isOpen) this.closePanels();
        else this.openPanel(name);
      });
    }
    document.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      const open = document.querySelector('#controls [aria-expanded="true"]');
      if (!open && byId("compare-panel").hidden) return;
      this.closePanels();
      (open ?? this.compare).focus({ preventScroll: true });
      event.stopImmediatePropagation();
    });
    document.addEventListener("pointerdown", ({ target }) => {
      if (!byId("controls").contains(target) && !byId("compare-panel").contains(target)) this.closePanels();
    });
  }

  /** Open the ranges, with the focus on the present one. */
  chooseRange() {
    this.openPanel("range");
    const present = this.presets.find((button) => button.getAttribute("aria-pressed") === "true");
    (present ?? this.presets[0]).focus({ preventScroll: true });
  }

  openPanel(name) {
    this.closePanels();
    byId(name).setAttribute("aria-expanded", "true");
    const panel = byId(byId(name).getAttribute("aria-controls"));
    panel.dataset.open = "";
  }

  closePanels() {
    for (const button of document.querySelectorAll("#controls [aria-expanded]"))
      button.setAttribute("aria-expanded", "false");
    for (const panel of document.querySelectorAll("#controls [data-open]")) delete panel.dataset.open;
    byId("compare-panel").hidden = true;
  }

  /* Dates. */

  #applyRange() {
    const [from, to] = [byId("from").value, byId("to").value];
    const problem = problemOf(from, to);
    if (problem) return this.setProblem(problem);
    this.setProblem("");
    this.closePanels();
    byId("range").focus({ preventScroll: true });
    return this.onChange({ period: null, from, to });
  }

  #chooseComparison(compare) {
    if (compare !== "custom") {
      byId("compare-panel").hidden = true;
      return this.onChange({ compare });
    }
    this.compare.value = compares(this.view) ? this.view.compare : "none";
    byId("compare-panel").hidden = false;
    return byId("compare-from").focus({ preventScroll: true });
  }

  #applyComparison() {
    const [compareFrom, compareTo] = [byId("compare-from").value, byId("compare-to").value];
    const problem = problemOf(compareFrom, compareTo);
    setText(byId("compare-problem"), problem);
    if (problem) return;
    this.closePanels();
    this.onChange({ compare: "custom", compareFrom, compareTo });
  }

  /* Time zone. */

  #listenToZone() {
    this.zone = byId("tz");
    byId("zones").append(...Intl.supportedValuesOf("timeZone").map((zone) => el("option", { value: zone })));
    this.zone.addEventListener("change", () => {
      const zone = this.zone.value.trim().replaceAll(" ", "_");
      const isKnown = zone === "" || isZone(zone);
      setAttribute(this.zone, "aria-invalid", isKnown ? null : "true");
      setText(byId("zone-problem"), isKnown ? "" : `“${zone}” is not a time zone.`);
      if (isKnown) this.onChange({ tz: zone || null });
    });
  }
}

function problemOf(from, to) {
  if (!from || !to) return "Enter both dates.";
  return from > to ? "The first date is later than the last one." : "";
}

function setDates(from, to) {
  // Do not overwrite a date while it is being typed.
  if (document.activeElement.type === "date") return;
  byId("from").value = from;
  byId("to").value = to;
}

/** Fill the select element `id` with `choices`. */
function options(id, choices, onChoose) {
  const select = byId(id);
  select.append(...Object.entries(choices).map(([value, label]) => el("option", { value }, label)));
  select.addEventListener("change", () => onChoose(select.value));
  return select;
}
