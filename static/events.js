/** Adds the Events section, if the read model has events; without them the page has no trace of it. */

import { byId, el } from "./dom.js";
import { isSignedIn, onSessionChange } from "./session.js";

const STYLES = new URL("./events/events.css", import.meta.url);

let section = null;
let loading = null;

onSessionChange(() => section?.clear());

/** Show the section if `health`, the API's answer, says that there are events. */
export async function showEvents(health) {
  if (!("events" in health.components)) return;
  loading ??= load();
  section = await loading;
  // Somebody may have signed out meanwhile.
  if (isSignedIn()) section.show();
}

async function load() {
  const [{ Section }] = await Promise.all([import("./events/section.js"), loadStyles()]);
  return new Section(place());
}

/** The section's element before Explore, and its entry in the list of sections. */
function place() {
  const root = el("section", { id: "events", "aria-labelledby": "events-title" });
  byId("explore").before(root);
  document.querySelector('#sections a[href="#explore"]').before(el("a", { href: "#events" }, "Events"));
  return root;
}

function loadStyles() {
  return new Promise((resolve, reject) => {
    document.head.append(el("link", { rel: "stylesheet", href: STYLES, onload: resolve, onerror: reject }));
  });
}
