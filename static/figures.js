/** Single figures as tiles: a label, the number, and how it changed. */

import { el, setAttribute, setText } from "./dom.js";
import * as format from "./format.js";

/**
 * Tiles in the list `root`. Each of `shown` has a `label`, a `format`, and `good`: 1
 * where more is better, -1 where less is, 0 where neither. `update` takes values and
 * changes (in per cent; null where there was nothing before) in the same order.
 */
export class Figures {
  constructor(root, shown) {
    this.shown = shown;
    this.tiles = shown.map(({ label, hint }) => {
      const value = el("dd", { class: "value" });
      const note = el("dd", { class: "note" });
      root.append(el("div", { class: "tile", title: hint }, el("dt", {}, label), value, note));
      return { value, note };
    });
    this.clear();
  }

  /** As long as nothing is known. */
  clear() {
    for (const { value, note } of this.tiles) {
      setText(value, "\u2007");
      setAttribute(value, "data-loading", "");
      note.replaceChildren("\u00a0");
    }
  }

  update(values, changes = null, earlier = null) {
    this.shown.forEach((shown, index) => {
      const { value, note } = this.tiles[index];
      setAttribute(value, "data-loading", null);
      setText(value, values[index] === null ? "–" : shown.format(values[index]));
      if (changes === null) setText(note, shown.note ?? "\u00a0");
      else tellChange(note, shown, changes[index], earlier?.[index]);
    });
  }
}

/** Arrow and word of a change, by its sign. */
const DIRECTIONS = {
  1: { arrow: "▲", word: "up" },
  0: { arrow: "■", word: "unchanged" },
  [-1]: { arrow: "▼", word: "down" },
};
const MEANINGS = { 1: "good", 0: null, [-1]: "bad" };

function tellChange(note, shown, change, earlier) {
  const before = earlier === undefined || earlier === null ? "" : ` from ${shown.format(earlier)}`;
  if (change === null || change === undefined) {
    note.replaceChildren(el("span", {}, earlier === 0 ? "nothing before" : "\u00a0"));
    return;
  }
  const sign = Math.sign(change);
  const { arrow, word } = DIRECTIONS[sign];
  note.replaceChildren(
    el(
      "span",
      { class: "change", "data-meaning": MEANINGS[sign * (shown.good ?? 0)] },
      el("span", { "aria-hidden": "true" }, `${arrow} `),
      el("span", { class: "unseen" }, `${word} `),
      format.change(change),
    ),
    el("span", { class: "before" }, before),
  );
}
