/** The page: signs in, asks the API, shows its answers, and keeps them fresh. */

import { ApiError, get } from "./api.js";
import { Controls } from "./controls.js";
import { byId, setText } from "./dom.js";
import * as format from "./format.js";
import { Freshness, RUNS_SHOWN } from "./freshness.js";
import { RoomCard } from "./room.js";
import { Sections } from "./sections.js";
import * as session from "./session.js";
import * as theme from "./theme.js";
import * as views from "./view.js";

const REFRESH_MS = 30_000;
const FIRST_RETRY_MS = 5_000;
/** What has no ETag, or changes without new data, is asked for less often. */
const ASIDE_MS = 300_000;

const state = {
  view: views.read(location.search),
  /** The first and the last day there is, once the API has told. */
  history: null,
  /** The answer that is shown, and the tag to ask with for a newer one. */
  answer: null,
  etag: null,
  asideAt: 0,
  failures: 0,
  timer: null,
  running: null,
};

const controls = new Controls((part) => change(part));
const sections = new Sections({
  asks: {
    range: () => views.range(state.view, state.history),
    series: () => ({ ...views.range(state.view, state.history), ...views.fineness(state.view) }),
  },
  onZoomedRange: (from, to) => change({ preset: null, from, to }),
});
const freshness = new Freshness();
const room = new RoomCard(byId("room-cards"), askRoom, (id) => change({ room: id }));

function start() {
  theme.start();
  byId("sign-in-form").addEventListener("submit", signIn);
  byId("sign-out").addEventListener("click", () => signOut(""));
  byId("retry").addEventListener("click", () => load());
  addEventListener("popstate", () => look(views.read(location.search)));
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && session.token()) load();
  });
  if (session.token()) open();
  else signOut("");
}

/* Signing in and out. */

function signIn(event) {
  event.preventDefault();
  const given = byId("token").value.trim();
  if (!/^[\x21-\x7e]+$/.test(given)) {
    setText(byId("sign-in-problem"), given ? "A token has no spaces and no special letters." : "Type the token.");
    byId("token").focus();
    return;
  }
  session.keep(given);
  byId("token").value = "";
  open();
  byId("main").focus();
}

function open() {
  setText(byId("sign-in-problem"), "");
  shows({ signedIn: true });
  freshness.clear();
  controls.show(state.view, null);
  say("Loading");
  load();
}

/** Forget the token and every number; `why` is told, if there is a reason. */
function signOut(why) {
  session.forget();
  stop();
  Object.assign(state, { answer: null, etag: null, history: null, asideAt: 0, failures: 0 });
  sections.clear();
  freshness.clear();
  room.clear();
  banner(null);
  shows({ signedIn: false });
  setText(byId("sign-in-problem"), why);
  byId("token").focus();
}

function shows({ signedIn }) {
  byId("sign-in").hidden = signedIn;
  // It is not there before what stands above it.
  byId("bottom").hidden = false;
  for (const id of ["view", "freshness", "sign-out", "sections"]) byId(id).hidden = !signedIn;
}

/* What is looked at. */

function change(part) {
  const view = { ...state.view, ...part };
  history.pushState(null, "", `${location.pathname}${views.write(view)}`);
  look(view);
}

function look(view) {
  const before = state.view;
  state.view = view;
  controls.setProblem("");
  controls.show(view, state.answer?.query ?? null);
  if (!session.token()) return;
  if (onlyDrawn(before, view)) sections.redraw(view);
  else if (onlyRoom(before, view)) guarded(() => room.show(view.room));
  else {
    state.etag = null;
    sections.unzoom();
    say("Loading");
    load();
  }
}

const differs = (before, after, names) =>
  Object.keys(after).every((name) => before[name] === after[name] || names.includes(name));
const onlyDrawn = (before, after) => differs(before, after, ["series"]);
const onlyRoom = (before, after) => differs(before, after, ["room"]);

/* Asking. */

function stop() {
  clearTimeout(state.timer);
  state.running?.abort();
  state.running = null;
}

/** Ask for what is looked at, now; then again and again. */
async function load() {
  stop();
  const running = new AbortController();
  state.running = running;
  byId("view").setAttribute("aria-busy", "true");
  const ask = (path, query, etag) => get(path, { query, etag, token: session.token(), signal: running.signal });
  const next = await guarded(async () => {
    state.history ??= await askHistory(ask);
    controls.setHistory(state.history);
    const isNew = await loadStatistics(ask);
    if (isNew || Date.now() - state.asideAt >= ASIDE_MS) await loadAside(ask);
  });
  if (state.running !== running) return;
  byId("view").removeAttribute("aria-busy");
  state.running = null;
  if (session.token() && next !== null) state.timer = setTimeout(tick, next);
}

/** A page that nobody sees asks nothing; it asks when it is seen again. */
function tick() {
  if (!document.hidden) load();
}

async function askHistory(ask) {
  const { data } = await ask("", { period: "all", sections: "traffic" });
  return { from: data.query.from, to: data.query.to };
}

/** Whether there was anything new. */
async function loadStatistics(ask) {
  const { view } = state;
  const query = {
    ...views.range(view, state.history),
    ...views.fineness(view),
    compare: views.compares(view) ? "previous" : null,
  };
  const answered = await ask("", query, state.etag);
  if (answered === null) return false;
  const began = performance.now();
  const wasNew = state.answer?.data_updated_at !== answered.data.data_updated_at;
  Object.assign(state, { answer: answered.data, etag: answered.etag });
  sections.update(answered.data, view);
  controls.setProblem("");
  controls.show(view, answered.data.query);
  freshness.setUpdatedAt(answered.data.data_updated_at);
  performance.measure("show", { start: began, end: performance.now() });
  say(wasNew ? `Data from ${format.time(Date.parse(answered.data.data_updated_at))}` : "The range is shown");
  // What is beside the statistics follows the same range and data.
  return true;
}

/** The last day, the last runs, the copy's size, and the room. */
async function loadAside(ask) {
  const { view } = state;
  const [daily, runs, health] = await Promise.all([
    ask("daily-analytics", { compare: "previous", tz: view.tz }),
    ask("sync/runs", { limit: RUNS_SHOWN }),
    ask("health", {}),
  ]);
  sections.updateDaily(daily.data);
  freshness.setRuns(runs.data);
  freshness.setHealth(health.data);
  await room.show(view.room);
  state.asideAt = Date.now();
}

async function askRoom(id) {
  const query = { ...views.range(state.view, state.history), compare: views.compares(state.view) ? "previous" : null };
  const { data } = await get(`room/${id}/stats`, { query, token: session.token() });
  return data;
}

/* What may go wrong. */

/** Do it; show what went wrong, if anything did. Milliseconds until the next try, if any. */
async function guarded(work) {
  try {
    await work();
  } catch (error) {
    if (error.name === "AbortError") return REFRESH_MS;
    if (!(error instanceof ApiError)) throw error;
    return failed(error);
  }
  recovered();
  return REFRESH_MS;
}

function recovered() {
  state.failures = 0;
  byId("view").classList.remove("blank");
  freshness.setReachable(true);
  banner(null);
}

function failed(error) {
  if (error.kind === "unauthorized") {
    signOut(
      state.answer
        ? "The token is no longer accepted. Sign in with a valid one."
        : "This token is not accepted. Check it and try again.",
    );
    return REFRESH_MS;
  }
  if (error.kind === "invalid") {
    recovered();
    blank();
    controls.setProblem(error.message);
    return null; // To ask the same again would be no use.
  }
  // Something may have changed meanwhile that the statistics' tag does not tell.
  state.asideAt = 0;
  state.failures += 1;
  const grown = Math.min(REFRESH_MS, FIRST_RETRY_MS * 2 ** (state.failures - 1));
  const wait = error.retryAfter ? error.retryAfter * 1000 : grown;
  blank();
  freshness.setReachable(error.kind === "unavailable");
  banner(
    `${problem(error)} The next try is in ${format.stretch(wait)}.`,
    error.kind === "unavailable" ? "info" : "error",
  );
  return wait;
}

/** Nothing is on its way, so nothing moves as if it were. */
function blank() {
  byId("view").classList.toggle("blank", state.answer === null);
}

function problem(error) {
  const stale = state.answer
    ? ` What is shown is from ${format.instant(Date.parse(state.answer.data_updated_at))}.`
    : "";
  if (error.kind === "unavailable") return `There is no data yet: the first sync has not finished.${stale}`;
  return `${error.message}${stale}`;
}

function banner(text, kind) {
  byId("banner").hidden = text === null;
  byId("view").classList.toggle("stale", text !== null && state.answer !== null);
  if (text === null) return;
  byId("banner").dataset.kind = kind;
  setText(byId("banner-text"), text);
}

/** Tell who listens instead of looking. */
function say(text) {
  setText(byId("live"), text);
}

start();
