/** Tiles: a label, a number, and its change from the compared period. */

import { sparkline } from "./charts.js";
import { el, setAttribute, setText } from "./dom.js";
import * as format from "./format.js";

/**
 * Tiles in the list `root`, one for each of `definitions`: `name`, `label`, `format`, and optionally
 * `hint`, `formatChange` and `good`, which is 1 if an increase is good and -1 if a decrease is. With `onChoose`, tiles
 * are buttons that call it with their name. `update` takes values, changes and earlier values in the
 * same order. Changes are in per cent; null if there is no base.
 */
export class Figures {
  constructor(root, definitions, { onChoose = null } = {}) {
    this.definitions = definitions;
    this.tiles = definitions.map((definition) =>
      onChoose ? choice(root, definition, onChoose) : tile(root, definition),
    );
    this.clear();
  }

  /** Show skeletons until the next update. */
  clear() {
    for (const { value, note, spark } of this.tiles) {
      setText(value, "\u2007");
      setAttribute(value, "data-loading", "");
      note.replaceChildren("\u00a0");
      spark?.replaceChildren();
    }
  }

  /** `reasons` says for each null value why it is missing; `earlier` null values have no note. */
  update(values, { changes = null, earlier = null, reasons = null } = {}) {
    this.definitions.forEach((definition, index) => {
      const { value, note } = this.tiles[index];
      const known = values[index] !== null && values[index] !== undefined;
      setAttribute(value, "data-loading", null);
      setText(value, known ? definition.format(values[index]) : "–");
      if (!known && reasons?.[index])
        note.replaceChildren(el("span", { title: reasons[index] }, "not with this filter"));
      else if (changes === null || !known) setText(note, "\u00a0");
      else showChange(note, definition, changes[index], earlier?.[index]);
    });
  }

  /** Show the series of each tile as a line. */
  updateSparks(series) {
    for (const [index, values] of series.entries()) {
      this.tiles[index].spark.replaceChildren(...(values.length > 1 ? [sparkline(values)] : []));
    }
  }

  /** Mark the tile called `name` as chosen. */
  choose(name) {
    this.definitions.forEach((definition, index) => {
      setAttribute(this.tiles[index].button, "aria-pressed", String(definition.name === name));
    });
  }
}

function tile(root, { label, hint }) {
  const value = el("dd", { class: "value" });
  const note = el("dd", { class: "note" });
  const help = hint ? el("dd", { class: "visually-hidden" }, hint) : null;
  root.append(el("div", { class: "tile", title: hint }, el("dt", {}, label), value, note, help));
  return { value, note };
}

function choice(root, { name, label, hint }, onChoose) {
  const value = el("span", { class: "value" });
  const note = el("span", { class: "note" });
  const spark = el("span", { class: "spark-space" });
  const button = el(
    "button",
    { class: "tile", type: "button", title: hint, "data-metric": name, onclick: () => onChoose(name) },
    el("span", { class: "label" }, label),
    value,
    note,
    spark,
  );
  root.append(el("li", {}, button));
  return { value, note, spark, button };
}

/** Arrow and word for a change, by its sign. */
const DIRECTIONS = {
  1: { arrow: "▲", word: "up" },
  0: { arrow: "■", word: "unchanged" },
  [-1]: { arrow: "▼", word: "down" },
};
const MEANINGS = { 1: "good", 0: null, [-1]: "bad" };

function showChange(note, { format: formatValue, formatChange = format.change, good = 0 }, change, earlier) {
  const before = earlier === undefined || earlier === null ? "" : `from ${formatValue(earlier)}`;
  if (change === null || change === undefined) {
    note.replaceChildren(el("span", {}, earlier === 0 ? "from 0" : "\u00a0"));
    return;
  }
  const sign = Math.sign(change);
  const { arrow, word } = DIRECTIONS[sign];
  note.replaceChildren(
    el(
      "span",
      { class: "change", "data-meaning": MEANINGS[sign * good] },
      el("span", { "aria-hidden": "true" }, `${arrow} `),
      el("span", { class: "visually-hidden" }, `${word} `),
      formatChange(change),
    ),
    " ",
    el("span", { class: "before" }, before),
  );
}
