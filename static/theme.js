/** The colour theme: light, dark, or as the system prefers. */

import { byId } from "./dom.js";

const KEY = "fpp-analytics-theme";

export function start() {
  const select = byId("theme");
  select.value = localStorage.getItem(KEY) ?? "auto";
  apply(select.value);
  select.addEventListener("change", () => {
    localStorage.setItem(KEY, select.value);
    apply(select.value);
  });
}

function apply(theme) {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}
