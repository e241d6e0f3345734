/** Loads the Explore section when it comes near the screen, or when the address names one of its views. */

import { byId, el } from "./dom.js";
import { readAddress } from "./explore/address.js";
import { forgetStatements } from "./explore/history.js";
import { isSignedIn, link, onSessionChange } from "./session.js";

/** Distance to the screen at which the section is loaded. */
const MARGIN = "400px";
const STYLES = new URL("./explore/explore.css", import.meta.url);

const root = byId("explore-body");
const observer = new IntersectionObserver(onScroll, { rootMargin: MARGIN });
let section = null;

onSessionChange(() => {
  forgetStatements();
  onSession();
});
addEventListener("popstate", () => {
  if (isSignedIn() && (section || isOurs(readAddress()))) open();
});
onSession();

function onSession() {
  observer.disconnect();
  section?.clear();
  if (link || !isSignedIn()) return;
  if (isOurs(readAddress())) open({ scroll: true });
  else observer.observe(root);
}

/** True if the address names something of the section. */
function isOurs({ name, sql }) {
  return name !== null || sql;
}

function onScroll(entries) {
  if (!entries.some(({ isIntersecting }) => isIntersecting)) return;
  observer.disconnect();
  open();
}

async function open({ scroll = false } = {}) {
  try {
    section ??= await load();
  } catch {
    root.replaceChildren(
      el("p", { class: "problem", role: "alert" }, "This section could not be loaded. Reload the page."),
    );
    return;
  }
  if (!isSignedIn()) return;
  await section.show(readAddress());
  if (scroll && scrollY === 0) root.parentElement.scrollIntoView({ behavior: "instant" });
}

async function load() {
  const [{ Section }] = await Promise.all([import("./explore/section.js"), loadStyles()]);
  return section ?? new Section(root);
}

function loadStyles() {
  return new Promise((resolve, reject) => {
    document.head.append(el("link", { rel: "stylesheet", href: STYLES, onload: resolve, onerror: reject }));
  });
}
