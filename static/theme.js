/** The colour theme: light, dark, or as the system prefers. */

import { byId } from "./dom.js";

const KEY = "fpp-analytics-theme";
const system = matchMedia("(prefers-color-scheme: dark)");
const listeners = new Set();

/** Call `listener` after every change of colours. */
export function onThemeChange(listener) {
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
  system.addEventListener("change", notify);
}

function apply(theme) {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  notify();
}

function notify() {
  for (const listener of listeners) listener();
}

/** Chart colours, resolved from CSS variables to values that a canvas accepts. */
export function chartColours() {
  const probe = document.createElement("span");
  document.body.append(probe);
  const style = getComputedStyle(probe);
  const colours = {};
  for (const name of ["accent", "accent-soft", "accent-faint", "secondary", "muted", "border", "faint", "divider"]) {
    probe.style.color = `var(--${name})`;
    colours[name] = style.color;
  }
  probe.remove();
  return colours;
}
