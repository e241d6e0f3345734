/** Tiles: a label, a number, and its change from the previous period. */

import { el, setAttribute, setText } from "./dom.js";
import * as format from "./format.js";

/**
 * Tiles in the list `root`, one for each of `definitions`: `label`, `format`, and optionally `hint`
 * and `good`, which is 1 if an increase is good and -1 if a decrease is. `update` takes values,
 * changes and earlier values in the same order. Changes are in per cent; null if there is no base.
 */
export class Figures {
  constructor(root, definitions) {
    this.definitions = definitions;
    this.tiles = definitions.map(({ label, hint }) => {
      const value = el("dd", { class: "value" });
      const note = el("dd", { class: "note" });
      root.append(el("div", { class: "tile", title: hint }, el("dt", {}, label), value, note));
      return { value, note };
    });
    this.clear();
  }

  /** Show skeletons until the next update. */
  clear() {
    for (const { value, note } of this.tiles) {
      setText(value, "\u2007");
      setAttribute(value, "data-loading", "");
      note.replaceChildren("\u00a0");
    }
  }

  update(values, changes = null, earlier = null) {
    this.definitions.forEach((definition, index) => {
      const { value, note } = this.tiles[index];
      setAttribute(value, "data-loading", null);
      setText(value, values[index] === null ? "–" : definition.format(values[index]));
      if (changes === null) setText(note, "\u00a0");
      else showChange(note, definition, changes[index], earlier?.[index]);
    });
  }
}

/** Arrow and word for a change, by its sign. */
const DIRECTIONS = {
  1: { arrow: "▲", word: "up" },
  0: { arrow: "■", word: "unchanged" },
  [-1]: { arrow: "▼", word: "down" },
};
const MEANINGS = { 1: "good", 0: null, [-1]: "bad" };

function showChange(note, { format: formatValue, good = 0 }, change, earlier) {
  const before = earlier === undefined || earlier === null ? "" : ` from ${formatValue(earlier)}`;
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
      format.change(change),
    ),
    el("span", { class: "before" }, before),
  );
}
