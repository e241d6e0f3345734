/** Entry point: signs in, loads the statistics, shows them and keeps them up to date. */

import { ApiError, get, send, serverNow } from "./api.js";
import { Controls } from "./controls.js";
import { byId, el, setText } from "./dom.js";
import { showEvents } from "./events.js";
import "./explore.js";
import { showChips, toggle } from "./filters.js";
import * as format from "./format.js";
import { Freshness, RUNS_SHOWN } from "./freshness.js";
import * as keys from "./keys.js";
import { followSections } from "./position.js";
import { loadRegions } from "./regions.js";
import { cohortQuery, Retention } from "./retention.js";
import { isMissing, RoomList, RoomPage } from "./rooms.js";
import { Sections } from "./sections.js";
import * as session from "./session.js";
import { Share } from "./share.js";
import * as theme from "./theme.js";
import * as views from "./view.js";

const REFRESH_MS = 30_000;
const FIRST_RETRY_MS = 5_000;
/** Refresh interval of data that has no ETag or changes without a sync. */
const SECONDARY_REFRESH_MS = 300_000;
/** After this time without an answer the page shows that it is loading. */
const SIGN_OF_LOADING_MS = 150;
/** Changes in quick succession share one request and one entry of the history. */
const RAPID_MS = 600;
const RAPID_DELAY_MS = 250;
const NOT_ACCEPTED = "This token is not accepted. Check it and try again.";

const { view: initialView, notes: initialNotes } = views.read(location.search);
const state = {
  view: initialView,
  notes: initialNotes,
  /** The statistics on screen and their ETag; null while another range is loading. */
  answer: null,
  etag: null,
  secondaryLoadedAt: 0,
  secondaryOutdated: false,
  failures: 0,
  timer: null,
  /** AbortController of the load in progress. */
  running: null,
  changedAt: Number.NEGATIVE_INFINITY,
};

const fetchJson = async (path, query) => (await get(path, { query, token: session.getToken() })).data;

const controls = new Controls({
  onChange: (changes) => changeView(changes),
  onStep: (direction) => stepRange(direction),
});
const sections = new Sections({
  queries: {
    filter: () => views.filterQuery(state.view),
    series: () => views.seriesQuery(state.view),
  },
  fetchJson,
  onRangeSelected: (from, to) => changeView({ period: null, from, to }),
  onMetric: (metric) => changeView({ metric }),
  onFilter: session.link ? null : (filter) => changeView({ filter: toggle(state.view.filter, filter) }),
});
const freshness = new Freshness();
const retention = new Retention();
const roomList = new RoomList(byId("room-cards"), {
  fetchRooms: (query) => fetchJson("rooms", { ...views.rangeQuery(state.view), ...query }),
  onRoom: (room) => changeView({ room }),
  csv: { request: () => ({ path: "breakdown/room.csv", query: views.rangeQuery(state.view) }) },
});
const roomPage = new RoomPage({
  onClose: () => changeView({ room: null }),
  onShowAll: session.link ? null : () => changeView({ period: "all", from: null, to: null }),
});
new Share({
  fetchLink: (days) => fetchJson("link", { ...views.linkQuery(state.view), days }),
  address: () => `${location.pathname}${views.write(state.view)}`,
});

function start() {
  byId("not-loaded").remove();
  theme.start();
  byId("sign-in-form").addEventListener("submit", signIn);
  byId("sign-out").addEventListener("click", () => signOut(""));
  byId("retry").addEventListener("click", () => load());
  byId("kiosk").addEventListener("click", () => changeView({ kiosk: !state.view.kiosk }));
  byId("accumulated").addEventListener("change", ({ target }) =>
    changeView({ series: target.checked ? "accumulated" : "daily" }),
  );
  addEventListener("popstate", () => {
    const { view, notes } = views.read(location.search);
    state.notes = notes;
    applyView(view);
  });
  addEventListener("beforeprint", () => setText(byId("printed-at"), `Printed on ${format.dateTime(Date.now())}`));
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && session.isSignedIn()) load();
  });
  listenToKeys();
  followSections();
  takeTokenFromFragment();
  if (session.link) openLink();
  else if (session.isSignedIn()) open();
  else showSignIn("");
}

function listenToKeys() {
  const period = (name) => () => changeView({ period: name, from: null, to: null }) ?? true;
  const whenOpen = (action) => () => (session.isSignedIn() ? (action() ?? true) : undefined);
  const actions = {
    t: period("today"),
    e: period("yesterday"),
    w: period("7d"),
    n: period("90d"),
    m: period("month"),
    p: period("last_month"),
    y: period("year"),
    l: period("12m"),
    a: period("all"),
    x: () => changeView({ compare: state.view.compare === "none" ? "previous" : "none" }),
    k: () => changeView({ kiosk: !state.view.kiosk }),
    arrowleft: () => stepRange(-1),
    arrowright: () => stepRange(1),
    c: () => controls.chooseRange(),
    "/": () => focusSearch(),
    escape: () => (state.view.room ? changeView({ room: null }) : undefined),
  };
  keys.listen(Object.fromEntries(Object.entries(actions).map(([key, action]) => [key, whenOpen(action)])));
}

function focusSearch() {
  if (state.view.room) changeView({ room: null });
  byId("room-search").scrollIntoView({ block: "center" });
  byId("room-search").focus({ preventScroll: true });
}

/* Signing in and out. */

/** An address with #token=… signs in; the token leaves the address at once. */
function takeTokenFromFragment() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (token === null) return;
  history.replaceState(null, "", location.pathname + location.search);
  if (isToken(token)) session.setToken(token);
}

const isToken = (token) => /^[\x21-\x7e]+$/.test(token);

async function signIn(event) {
  event.preventDefault();
  const token = byId("token")
    .value.trim()
    .replace(/^bearer\s+/i, "");
  if (!isToken(token)) {
    setText(byId("sign-in-problem"), token ? "A token contains no spaces or special characters." : "Enter the token.");
    byId("token").focus();
    return;
  }
  if (byId("keep").checked) {
    const problem = await keepSignedIn(token);
    if (problem) {
      setText(byId("sign-in-problem"), problem);
      byId("token").focus();
      return;
    }
  } else {
    session.setToken(token);
  }
  byId("token").value = "";
  open();
  byId("main").focus({ preventScroll: true });
}

/** Exchange the token for a cookie. Returns the problem, if there is one. */
async function keepSignedIn(token) {
  try {
    await send("POST", "session", { token });
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    return error.kind === "unauthorized" ? NOT_ACCEPTED : error.message;
  }
  session.keep();
  return "";
}

/** Go to the content without replacing the fragment, which holds the token of the link. */
function keepFragment(event) {
  event.preventDefault();
  byId("main").focus();
}

/** Show the view of a link, and nothing else. */
async function openLink() {
  document.documentElement.classList.add("shared");
  for (const anchor of document.querySelectorAll('a[href="#main"]')) anchor.addEventListener("click", keepFragment);
  try {
    const { view, expires_at: end } = await fetchJson("session");
    Object.assign(state, views.readShared(view, location.search));
    setText(byId("shared-until"), format.dateTime(Date.parse(end)));
    byId("shared").hidden = false;
    open();
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    const ended = "This link has ended, or is incomplete. Ask for another one.";
    showSignIn(error.kind === "unauthorized" ? ended : error.message);
  }
}

function open() {
  setText(byId("sign-in-problem"), "");
  showSignedIn(true);
  freshness.clear();
  loadRegions();
  showView();
  announce("Loading");
  load();
}

/** Sign out of the session, too; show `reason` on the sign-in form. */
function signOut(reason) {
  if (session.isKept()) endSession();
  session.clear();
  showSignIn(reason);
}

/** Remove the cookie. */
async function endSession() {
  try {
    await send("DELETE", "session");
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    setText(byId("sign-in-problem"), "This browser may still be signed in: the API is not responding.");
  }
}

/** Forget all data and ask for a token. */
function showSignIn(reason) {
  stop();
  Object.assign(state, { answer: null, etag: null, secondaryLoadedAt: 0, failures: 0 });
  sections.clear();
  freshness.clear();
  retention.clear();
  roomList.clear();
  roomPage.clear();
  hideBanner();
  showSignedIn(false);
  byId("shared").hidden = true;
  setText(byId("sign-in-problem"), reason);
  byId("token").focus();
}

function showSignedIn(signedIn) {
  byId("sign-in").hidden = signedIn;
  byId("main").hidden = false;
  // Hidden until the content above it is there, so that it does not jump.
  byId("bottom").hidden = false;
  for (const id of ["view", "freshness", "sign-out", "share", "sections", "controls", "kiosk", "show-keys"])
    byId(id).hidden = !signedIn;
}

/* The view: range, options, filters and room. */

function changeView(changes) {
  if (session.link && !Object.keys(changes).every((key) => DRAWN_ONLY.includes(key))) return;
  const view = { ...state.view, ...changes };
  const address = addressOf(view);
  const rapid = performance.now() - state.changedAt < RAPID_MS;
  state.changedAt = performance.now();
  if (rapid) history.replaceState(null, "", address);
  else history.pushState(null, "", address);
  state.notes = [];
  applyView(view, { rapid });
}

/** The address of a view; the token of a link stays in it. */
const addressOf = (view) => `${location.pathname}${views.write(view)}${session.link ? location.hash : ""}`;

/** Properties that change what is drawn, but not what is asked for. */
const DRAWN_ONLY = ["metric", "series", "kiosk"];

function applyView(view, { rapid = false } = {}) {
  const before = state.view;
  state.view = view;
  if (!session.isSignedIn()) return;
  const changed = Object.keys(view).filter((key) => before[key] !== view[key]);
  const redraws = changed.every((key) => DRAWN_ONLY.includes(key)) && state.answer;
  if (!redraws) outdate(before, changed);
  showView();
  if (redraws) {
    sections.redraw(view);
    return;
  }
  announce("Loading");
  load(rapid ? RAPID_DELAY_MS : 0);
}

/** What is on screen belongs to another question: dim it at once, remove it if the answer takes long. */
function outdate(before, changed) {
  state.etag = null;
  state.secondaryOutdated = true;
  byId("view").classList.add("outdated");
  clearTimeout(state.outdateTimer);
  state.outdateTimer = setTimeout(() => clearNumbers(), SIGN_OF_LOADING_MS);
  if (changed.includes("room")) {
    roomPage.clear();
    if (before.room === null) scrollTo({ top: 0, behavior: "instant" });
  }
}

function clearNumbers() {
  state.answer = null;
  sections.clearFigures();
  clearSecondary();
  setText(byId("range-text"), "\u00a0");
  if (state.view.room) roomPage.clear();
}

/** Remove rooms and cohorts of another range; they arrive after the statistics. */
function clearSecondary() {
  if (state.secondaryOutdated) {
    roomList.clearRows();
    retention.clear();
  }
  state.secondaryOutdated = false;
}

/** Everything is up to date, or will stay as it is. */
function settle() {
  clearTimeout(state.outdateTimer);
  byId("view").classList.remove("outdated");
}

function showView() {
  const { view } = state;
  controls.show(view, state.etag ? (state.answer?.query ?? null) : null);
  // A room is one, whoever its users are.
  showChips(view.room ? "" : view.filter, (filter) => changeView({ filter }));
  byId("sections").hidden = view.room !== null || !session.isSignedIn();
  byId("accumulated").checked = view.series === "accumulated";
  document.documentElement.classList.toggle("room", view.room !== null);
  byId("everything").hidden = view.room !== null;
  byId("room-page").hidden = view.room === null;
  document.documentElement.classList.toggle("kiosk", view.kiosk);
  byId("kiosk").setAttribute("aria-pressed", String(view.kiosk));
  byId("notes").replaceChildren(...state.notes.map((note) => el("p", {}, note)));
  byId("notes").hidden = state.notes.length === 0;
}

function stepRange(direction) {
  const query = state.answer?.query ?? state.query;
  if (!query) return;
  const today = format.localMoment(serverNow(), query.tz).slice(0, 10);
  const base = state.view.period === null && state.view.from && state.view.to ? state.view : query;
  const moved = views.step(base, direction, today);
  if (moved) changeView(moved);
}

/* Loading. */

function stop() {
  clearTimeout(state.timer);
  clearTimeout(state.signTimer);
  state.running?.abort();
  state.running = null;
}

/** Load the present view after `wait` ms, and schedule the next refresh. */
async function load(wait = 0) {
  stop();
  const running = new AbortController();
  state.running = running;
  byId("view").setAttribute("aria-busy", "true");
  state.signTimer = setTimeout(() => showLoading(true), SIGN_OF_LOADING_MS);
  const fetchPart = (path, query, etag) =>
    get(path, { query, etag, token: session.getToken(), signal: running.signal });
  if (wait) await new Promise((resolve) => setTimeout(resolve, wait));
  if (state.running !== running) return;
  const delay = await reportErrors(async () => {
    const changed = state.view.room ? await loadRoom(fetchPart) : await loadStatistics(fetchPart);
    settle();
    showLoading(false);
    if (changed || Date.now() - state.secondaryLoadedAt >= SECONDARY_REFRESH_MS) await loadSecondary(fetchPart);
  });
  if (state.running !== running) return;
  clearTimeout(state.signTimer);
  showLoading(false);
  byId("view").removeAttribute("aria-busy");
  state.running = null;
  if (session.isSignedIn() && delay !== null) state.timer = setTimeout(refresh, delay);
}

function showLoading(loading) {
  byId("loading").hidden = !loading;
  if (!loading) clearTimeout(state.signTimer);
}

/** A hidden page does not refresh; becoming visible starts it again. */
function refresh() {
  if (!document.hidden) load();
}

/** Returns true if the statistics have changed. */
async function loadStatistics(fetchPart) {
  const { view } = state;
  const query = { ...views.seriesQuery(view), ...views.comparisonQuery(view) };
  const response = await fetchPart("", query, state.etag);
  if (response === null) return false;
  const { data, etag } = response;
  const isNewData = state.answer?.data_updated_at !== data.data_updated_at;
  Object.assign(state, { answer: data, etag, query: data.query });
  settle();
  clearSecondary();
  showStatistics(true);
  sections.update(data, view);
  controls.setProblem("");
  showView();
  freshness.setUpdatedAt(data.data_updated_at);
  announce(isNewData ? `Data from ${format.time(Date.parse(data.data_updated_at))}` : "Range updated");
  return true;
}

/** Returns true if the room has changed. */
async function loadRoom(fetchPart) {
  const { view } = state;
  const interval = views.intervalOf(view);
  const query = { ...views.rangeQuery(view), interval: interval === "hour" ? "day" : interval };
  try {
    const response = await fetchPart(`rooms/${view.room}`, query, state.etag);
    if (response === null) return false;
    Object.assign(state, { answer: response.data, etag: response.etag, query: response.data.query });
    roomPage.update(response.data);
    freshness.setUpdatedAt(response.data.data_updated_at);
    announce("Room updated");
  } catch (error) {
    if (!isMissing(error)) throw error;
    roomPage.showMissing(view.room);
  }
  showView();
  return true;
}

/** Load the last 24 hours, the recent sync runs, the size of the copy, rooms and return by week. */
async function loadSecondary(fetchPart) {
  const { view } = state;
  state.secondaryLoadedAt = Date.now();
  if (session.link) return;
  const today = format.localMoment(serverNow(), state.query?.tz ?? "UTC").slice(0, 10);
  const parts = [
    fetchPart("sync/runs", { limit: RUNS_SHOWN }).then(({ data }) => freshness.setRuns(data)),
    fetchPart("health", {}).then(({ data }) => showHealth(data)),
  ];
  if (!view.room) {
    const daily = { compare: "previous", tz: view.tz, filter: view.filter || null };
    parts.push(fetchPart("daily-analytics", daily).then(({ data }) => sections.updateDaily(data)));
    parts.push(loadRetention(fetchPart, today), roomList.load());
  }
  await Promise.all(parts.map((part) => part.catch(unlessMissing)));
}

function showHealth(health) {
  freshness.setHealth(health);
  return showEvents(health);
}

/** Whether the sections of the statistics are there, with all that belongs to them. */
function showStatistics(served) {
  document.documentElement.classList.toggle("no-statistics", !served);
  setText(byId("page-title"), served ? "Free Planning Poker in numbers" : "Tables and reports");
}

/** Without statistics there are tables, reports, perhaps events, and the state of the sync. */
async function loadState() {
  try {
    const runs = fetchJson("sync/runs", { limit: RUNS_SHOWN });
    const [health, recent] = await Promise.all([fetchJson("health"), runs]);
    const { data_updated_at: at } = health.components.freshness;
    if (at) freshness.setUpdatedAt(at);
    freshness.setRuns(recent);
    await showHealth(health);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
  }
}

/** Another API than that of Free Planning Poker lacks some parts; the others still show. */
function unlessMissing(error) {
  if (!isMissing(error)) throw error;
}

async function loadRetention(fetchPart, today) {
  const { data } = await fetchPart("retention", { ...cohortQuery(state.query.to, today), tz: state.view.tz });
  retention.update(data.rows, today);
}

/** The first day of all data, which the API names when a range begins before it; otherwise null. */
function firstAllowedDay({ kind, parameter, message }) {
  if (kind !== "invalid" || parameter !== "from") return null;
  return /\d{4}-\d{2}-\d{2}/.exec(message)?.[0] ?? null;
}

/* Errors. */

/** Run `task` and show its error, if any. Returns the delay of the next attempt in ms, or null for none. */
async function reportErrors(task) {
  try {
    await task();
  } catch (error) {
    if (error.name === "AbortError") return REFRESH_MS;
    if (!(error instanceof ApiError)) throw error;
    return showError(error);
  }
  clearError();
  return REFRESH_MS;
}

function clearError() {
  state.failures = 0;
  byId("view").classList.remove("no-data");
  byId("first-run").hidden = true;
  freshness.setReachable(true);
  hideBanner();
}

function showError(error) {
  if (error.kind === "unauthorized") {
    signOut(refusalText());
    return REFRESH_MS;
  }
  if (error.kind === "invalid") return repair(error);
  if (error.kind === "missing") {
    // The statistics' tables are not mirrored. Nothing has failed: all else is shown.
    clearError();
    markMissingData();
    showStatistics(false);
    setText(byId("no-statistics"), error.message);
    if (!session.link) loadState();
    return REFRESH_MS;
  }
  // What is still on screen belongs to another question.
  if (byId("view").classList.contains("outdated")) {
    clearTimeout(state.outdateTimer);
    clearNumbers();
  }
  // Runs and health may change during the outage without a new ETag of the statistics.
  state.secondaryLoadedAt = 0;
  state.failures += 1;
  const backoff = Math.min(REFRESH_MS, FIRST_RETRY_MS * 2 ** (state.failures - 1));
  const delay = error.retryAfter ? error.retryAfter * 1000 : backoff;
  markMissingData();
  freshness.setReachable(error.kind === "unavailable");
  if (error.kind === "unavailable" && !freshness.isKnown()) showFirstRun(error, delay);
  else showBanner(`${errorText(error)} Retrying in ${format.duration(delay)}.`, "error");
  return delay;
}

/**
 * A refused parameter gets its default, or the nearest value that is allowed, and a note says so.
 * Returns the delay until the repaired view is loaded, or null if it cannot be repaired.
 */
function repair(error) {
  clearError();
  settle();
  clearNumbers();
  markMissingData();
  const { changes, note } = repairOf(error, state.view);
  if (changes === null) {
    showBanner(note, "info");
    byId("retry").hidden = true;
    showView();
    return null;
  }
  state.view = { ...state.view, ...changes };
  state.notes = [...state.notes, note];
  history.replaceState(null, "", addressOf(state.view));
  showView();
  return 0;
}

function repairOf(error, view) {
  const { parameter, message } = error;
  const firstDay = firstAllowedDay(error);
  if (firstDay && view.from < firstDay) {
    const note = `There is data from ${format.date(firstDay)} on`;
    if (view.to && view.to < firstDay) return { changes: null, note: `${note}, and this range ends before that day.` };
    return { changes: { from: firstDay }, note: `${note}, so the range begins there.` };
  }
  if (parameter === "tz" && view.tz) {
    return {
      changes: { tz: null },
      note: `The server does not know the time zone “${view.tz}”; days begin in its own.`,
    };
  }
  if (parameter === "filter" && view.filter) {
    return { changes: { filter: "" }, note: `The filter “${view.filter}” was removed: ${message}.` };
  }
  if (["compare", "compare_from", "compare_to", "match"].includes(parameter) && view.compare !== "none") {
    return { changes: { compare: "none" }, note: `There is no comparison: ${message}.` };
  }
  if (parameter === "interval" && view.interval) {
    return { changes: { interval: null }, note: `The interval suits the range: ${message}.` };
  }
  return { changes: null, note: `${message.charAt(0).toUpperCase()}${message.slice(1)}.` };
}

/** Without data, stop the animation of the skeletons: nothing is loading. */
function markMissingData() {
  byId("view").classList.toggle("no-data", state.answer === null);
}

/** Before the first sync: what is missing, and the command that helps. */
async function showFirstRun(error, delay) {
  hideBanner();
  byId("first-run").hidden = false;
  setText(byId("first-run-text"), error.message.endsWith(".") ? error.message : `${error.message}.`);
  setText(byId("first-run-retry"), `Next look in ${format.duration(delay)}.`);
  try {
    const { runs } = await fetchJson("sync/runs", { limit: 1 });
    setText(byId("first-run-last"), runs.length ? `The last run says: ${runs[0].message}` : "No run has ended yet.");
  } catch (problem) {
    if (!(problem instanceof ApiError)) throw problem;
    setText(byId("first-run-last"), "");
  }
}

function refusalText() {
  if (session.link) return "This link has ended. Ask for another one.";
  if (session.isKept()) return "The session has ended. Sign in again.";
  return state.answer ? "The token is no longer accepted. Sign in with a valid one." : NOT_ACCEPTED;
}

function errorText(error) {
  const shown = state.answer ? ` Showing data from ${format.dateTime(Date.parse(state.answer.data_updated_at))}.` : "";
  return `${error.message}${shown}`;
}

function showBanner(text, kind) {
  byId("banner").hidden = false;
  byId("retry").hidden = false;
  byId("banner").dataset.kind = kind;
  byId("view").classList.toggle("stale", state.answer !== null);
  setText(byId("banner-text"), text);
}

function hideBanner() {
  byId("banner").hidden = true;
  byId("view").classList.remove("stale");
}

/** Announce `text` to screen readers. */
function announce(text) {
  setText(byId("live"), text);
}

start();
