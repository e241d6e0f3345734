/** Entry point: signs in, loads the statistics, shows them and keeps them up to date. */

import { ApiError, get } from "./api.js";
import { Controls } from "./controls.js";
import { byId, setText } from "./dom.js";
import "./explore.js";
import * as format from "./format.js";
import { Freshness, RUNS_SHOWN } from "./freshness.js";
import { RoomCard } from "./room.js";
import { Sections } from "./sections.js";
import * as session from "./session.js";
import * as theme from "./theme.js";
import * as views from "./view.js";

const REFRESH_MS = 30_000;
const FIRST_RETRY_MS = 5_000;
/** Refresh interval of data that has no ETag or changes without a sync. */
const SECONDARY_REFRESH_MS = 300_000;

const state = {
  view: views.read(location.search),
  /** First and last day of all data, once known. */
  history: null,
  /** The statistics on screen and their ETag. */
  answer: null,
  etag: null,
  secondaryLoadedAt: 0,
  failures: 0,
  timer: null,
  /** AbortController of the load in progress. */
  running: null,
};

const controls = new Controls((changes) => changeView(changes));
const sections = new Sections({
  queries: {
    range: () => views.rangeQuery(state.view, state.history),
    series: () => ({ ...views.rangeQuery(state.view, state.history), ...views.seriesQuery(state.view) }),
  },
  onRangeSelected: (from, to) => changeView({ preset: null, from, to }),
});
const freshness = new Freshness();
const room = new RoomCard(byId("room-cards"), fetchRoom, (id) => changeView({ room: id }));

function start() {
  theme.start();
  byId("sign-in-form").addEventListener("submit", signIn);
  byId("sign-out").addEventListener("click", () => signOut(""));
  byId("retry").addEventListener("click", () => load());
  addEventListener("popstate", () => applyView(views.read(location.search)));
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && session.getToken()) load();
  });
  if (session.getToken()) open();
  else signOut("");
}

/* Signing in and out. */

function signIn(event) {
  event.preventDefault();
  const token = byId("token").value.trim();
  if (!/^[\x21-\x7e]+$/.test(token)) {
    setText(byId("sign-in-problem"), token ? "A token contains no spaces or special characters." : "Enter the token.");
    byId("token").focus();
    return;
  }
  session.setToken(token);
  byId("token").value = "";
  open();
  byId("main").focus();
}

function open() {
  setText(byId("sign-in-problem"), "");
  showSignedIn(true);
  freshness.clear();
  controls.show(state.view, null);
  announce("Loading");
  load();
}

/** Forget the token and all data; show `reason` on the sign-in form. */
function signOut(reason) {
  session.clearToken();
  stop();
  Object.assign(state, { answer: null, etag: null, history: null, secondaryLoadedAt: 0, failures: 0 });
  sections.clear();
  freshness.clear();
  room.clear();
  hideBanner();
  showSignedIn(false);
  setText(byId("sign-in-problem"), reason);
  byId("token").focus();
}

function showSignedIn(signedIn) {
  byId("sign-in").hidden = signedIn;
  // Hidden until the content above it is there, so that it does not jump.
  byId("bottom").hidden = false;
  for (const id of ["view", "freshness", "sign-out", "sections"]) byId(id).hidden = !signedIn;
}

/* The view: range, options and room. */

function changeView(changes) {
  const view = { ...state.view, ...changes };
  history.pushState(null, "", `${location.pathname}${views.write(view)}`);
  applyView(view);
}

function applyView(view) {
  const before = state.view;
  state.view = view;
  controls.setProblem("");
  controls.show(view, state.answer?.query ?? null);
  if (!session.getToken()) return;
  if (onlyChanged(before, view, "series")) sections.redraw(view);
  else if (onlyChanged(before, view, "room")) reportErrors(() => room.show(view.room));
  else {
    state.etag = null;
    sections.resetZoom();
    announce("Loading");
    load();
  }
}

/** True if no property other than `name` differs. */
const onlyChanged = (before, after, name) =>
  Object.keys(after).every((key) => before[key] === after[key] || key === name);

/* Loading. */

function stop() {
  clearTimeout(state.timer);
  state.running?.abort();
  state.running = null;
}

/** Load the current view now, and schedule the next refresh. */
async function load() {
  stop();
  const running = new AbortController();
  state.running = running;
  byId("view").setAttribute("aria-busy", "true");
  const fetchJson = (path, query, etag) =>
    get(path, { query, etag, token: session.getToken(), signal: running.signal });
  const delay = await reportErrors(async () => {
    state.history ??= await fetchHistory(fetchJson);
    controls.setHistory(state.history);
    const changed = await loadStatistics(fetchJson);
    if (changed || Date.now() - state.secondaryLoadedAt >= SECONDARY_REFRESH_MS) await loadSecondary(fetchJson);
  });
  if (state.running !== running) return;
  byId("view").removeAttribute("aria-busy");
  state.running = null;
  if (session.getToken() && delay !== null) state.timer = setTimeout(refresh, delay);
}

/** A hidden page does not refresh; becoming visible starts it again. */
function refresh() {
  if (!document.hidden) load();
}

async function fetchHistory(fetchJson) {
  const { data } = await fetchJson("", { period: "all", sections: "traffic" });
  return { from: data.query.from, to: data.query.to };
}

/** Returns true if the statistics have changed. */
async function loadStatistics(fetchJson) {
  const { view } = state;
  const query = {
    ...views.rangeQuery(view, state.history),
    ...views.seriesQuery(view),
    compare: views.comparesPrevious(view) ? "previous" : null,
  };
  const response = await fetchJson("", query, state.etag);
  if (response === null) return false;
  const receivedAt = performance.now();
  const { data, etag } = response;
  const isNewData = state.answer?.data_updated_at !== data.data_updated_at;
  Object.assign(state, { answer: data, etag });
  sections.update(data, view);
  controls.setProblem("");
  controls.show(view, data.query);
  freshness.setUpdatedAt(data.data_updated_at);
  performance.measure("show", { start: receivedAt, end: performance.now() });
  announce(isNewData ? `Data from ${format.time(Date.parse(data.data_updated_at))}` : "Range updated");
  return true;
}

/** Load the last 24 hours, the recent sync runs, the size of the copy, and the room. */
async function loadSecondary(fetchJson) {
  const { view } = state;
  const [daily, runs, health] = await Promise.all([
    fetchJson("daily-analytics", { compare: "previous", tz: view.tz }),
    fetchJson("sync/runs", { limit: RUNS_SHOWN }),
    fetchJson("health", {}),
  ]);
  sections.updateDaily(daily.data);
  freshness.setRuns(runs.data);
  freshness.setHealth(health.data);
  await room.show(view.room);
  state.secondaryLoadedAt = Date.now();
}

async function fetchRoom(id) {
  const { view } = state;
  const query = {
    ...views.rangeQuery(view, state.history),
    compare: views.comparesPrevious(view) ? "previous" : null,
  };
  const { data } = await get(`room/${id}/stats`, { query, token: session.getToken() });
  return data;
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
  freshness.setReachable(true);
  hideBanner();
}

function showError(error) {
  if (error.kind === "unauthorized") {
    signOut(
      state.answer
        ? "The token is no longer accepted. Sign in with a valid one."
        : "This token is not accepted. Check it and try again.",
    );
    return REFRESH_MS;
  }
  if (error.kind === "invalid") {
    clearError();
    markMissingData();
    controls.setProblem(error.message);
    return null; // The same request would fail again.
  }
  if (error.kind === "missing") {
    // The statistics' tables are not mirrored: the reason is shown, and nothing has failed.
    markMissingData();
    freshness.setReachable(true);
    showBanner(error.message, "info");
    return REFRESH_MS;
  }
  // Runs and health may change during the outage without a new ETag of the statistics.
  state.secondaryLoadedAt = 0;
  state.failures += 1;
  const backoff = Math.min(REFRESH_MS, FIRST_RETRY_MS * 2 ** (state.failures - 1));
  const delay = error.retryAfter ? error.retryAfter * 1000 : backoff;
  markMissingData();
  freshness.setReachable(error.kind === "unavailable");
  showBanner(
    `${errorText(error)} Retrying in ${format.duration(delay)}.`,
    error.kind === "unavailable" ? "info" : "error",
  );
  return delay;
}

/** Without data, stop the animation of the skeletons: nothing is loading. */
function markMissingData() {
  byId("view").classList.toggle("no-data", state.answer === null);
}

function errorText(error) {
  const shown = state.answer ? ` Showing data from ${format.dateTime(Date.parse(state.answer.data_updated_at))}.` : "";
  if (error.kind === "unavailable") return `There is no data yet: the first sync has not finished.${shown}`;
  return `${error.message}${shown}`;
}

function showBanner(text, kind) {
  byId("banner").hidden = false;
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
