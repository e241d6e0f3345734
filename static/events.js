/** Adds the Events section, if the read model has events; without them the page has no trace of it. */

import { request } from "./api.js";
import { byId, el } from "./dom.js";
import { getToken, isSignedIn, link, onSessionChange } from "./session.js";

const STYLES = new URL("./events/events.css", import.meta.url);

let section = null;
let asked = 0;

onSessionChange(onSession);
onSession();

async function onSession() {
  section?.clear();
  asked += 1;
  const mine = asked;
  if (link || !isSignedIn() || !(await hasEvents())) return;
  const [{ Section }] = await Promise.all([import("./events/section.js"), section ? null : loadStyles()]);
  // Somebody may have signed out meanwhile.
  if (mine !== asked) return;
  section ??= new Section(place());
  section.show();
}

async function hasEvents() {
  try {
    const response = await request("health", { token: getToken(), anyStatus: true });
    const { components } = await response.json();
    return "events" in components;
  } catch {
    // The API is away, which the page says elsewhere, or it answers something else.
    return false;
  }
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
