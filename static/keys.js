/** Keys of the page, and the sheet that lists them. */

import { byId } from "./dom.js";

/** `actions` maps a key, in lower case, to what it does. */
export function listen(actions) {
  const sheet = byId("keys");
  byId("show-keys").addEventListener("click", () => sheet.showModal());
  document.addEventListener("keydown", (event) => {
    if (
      event.ctrlKey ||
      event.metaKey ||
      event.altKey ||
      isTyping(event.target) ||
      document.querySelector("dialog[open]")
    )
      return;
    if (event.key === "?") sheet.showModal();
    else if (actions[event.key.toLowerCase()]?.() === undefined) return;
    event.preventDefault();
  });
}

/** Letters belong to a field, arrows to a chart or a list. */
const isTyping = (target) => target.matches?.("input, select, textarea, [role=slider]");
