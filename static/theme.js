/** Light or dark: the system's choice, or the reader's. */

import { byId } from "./dom.js";

const KEY = "fpp-analytics-theme";
const system = matchMedia("(prefers-color-scheme: dark)");
const listeners = new Set();

/** Call `listener` whenever the colours have changed. */
export function onTheme(listener) {
  listeners.add(listener);
}

export function start() {
  const select = byId("theme");
  select.value = localStorage.getItem(KEY) ?? "auto";
  apply(select.value);
  select.addEventListener("change", () => {
    localStorage.setItem(KEY, select.value);
    apply(select.value);
  });
  system.addEventListener("change", told);
}

function apply(theme) {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  told();
}

function told() {
  for (const listener of listeners) listener();
}

/** The colours of charts as the canvas can use them, from the style sheet's names. */
export function colours() {
  const probe = document.createElement("span");
  document.body.append(probe);
  const style = getComputedStyle(probe);
  const found = {};
  for (const name of ["accent", "accent-soft", "accent-faint", "second", "muted", "edge", "faint", "line"]) {
    probe.style.color = `var(--${name})`;
    found[name] = style.color;
  }
  probe.remove();
  return found;
}
