/** Rooms: a list that can be searched, and a page for one room. */

import { ApiError, serverNow } from "./api.js";
import { Chart } from "./charts.js";
import { byId, el, setText } from "./dom.js";
import { Figures } from "./figures.js";
import { csvButton, toast } from "./files.js";
import * as format from "./format.js";
import { rowName } from "./sections.js";
import { addDays, daysOfRow, earlierOf, incompleteness, laterOf } from "./series.js";

const ROWS = 10;
const MAX_ROWS = 100;
const SEARCH_DELAY_MS = 250;

const STATES = { unnamed: "Room without a name", deleted: "Deleted room" };

/** The name of a room for people. */
export const roomName = ({ name, state }) => STATES[state] ?? (name || "(empty)");

const number = (value) => (value === null || value === undefined ? "–" : format.number(value));
const share = (value) => (value === null || value === undefined ? "–" : format.share(value));

const COLUMNS = [
  { label: "Votes", text: ({ votes }) => format.count(votes) },
  { label: "Members", text: ({ members }) => format.count(members) },
  {
    label: "Spread",
    text: ({ avg_spread: spread }) => number(spread),
    hint: "Mean distance from the lowest to the highest estimate of a vote",
  },
  {
    label: "Unanimous",
    text: ({ unanimous }) => share(unanimous),
    hint: "Share of votes in which all estimates were equal",
  },
  { label: "Last vote", text: ({ last_vote_at: at }) => (at ? format.date(at) : "never") },
];

/** A searchable list. `fetchRooms(query)` returns an answer of /rooms, `onRoom(id)` opens a room. */
export class RoomList {
  constructor(root, { fetchRooms, onRoom, csv }) {
    this.fetchRooms = fetchRooms;
    this.onRoom = onRoom;
    this.limit = ROWS;
    /** Requests so far, so that only the answer to the last one is shown. */
    this.requests = 0;
    this.input = el("input", {
      id: "room-search",
      type: "search",
      class: "search",
      placeholder: "Name, number or id",
      autocomplete: "off",
      "aria-label": "Search rooms by name, number or id",
    });
    this.input.addEventListener("input", () => {
      clearTimeout(this.timer);
      this.limit = ROWS;
      this.timer = setTimeout(() => this.#search(), SEARCH_DELAY_MS);
    });
    this.body = el("tbody");
    this.status = el("p", { class: "hint", role: "status" }, "\u00a0");
    this.more = el("button", { class: "button quiet more", type: "button", hidden: true }, "Show more");
    this.more.addEventListener("click", () => {
      this.limit = this.limit === ROWS ? MAX_ROWS : ROWS;
      this.#search();
    });
    root.append(
      el(
        "article",
        { class: "card", id: "room-list" },
        el(
          "div",
          { class: "heading small" },
          this.input,
          el("div", { class: "tools" }, csvButton("Rooms", "room", csv)),
        ),
        el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Rooms, table" }, this.#table()),
        this.status,
        this.more,
      ),
    );
  }

  #table() {
    const columns = COLUMNS.map(({ label, hint }) => el("th", { scope: "col", class: "number", title: hint }, label));
    return el(
      "table",
      { class: "plain" },
      el("caption", { class: "visually-hidden" }, "Rooms"),
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Room"), ...columns)),
      this.body,
    );
  }

  clear() {
    this.input.value = "";
    this.limit = ROWS;
    this.clearRows();
  }

  /** Remove the rooms of another range; the search stays. */
  clearRows() {
    this.requests += 1;
    this.body.replaceChildren();
    this.more.hidden = true;
    setText(this.status, "\u00a0");
  }

  async #search() {
    await this.load().catch((error) => toast(`Rooms could not be loaded. ${error.message}`));
  }

  /** Show the rooms that the search finds; without a search, those with the most votes. */
  async load() {
    const text = this.input.value.trim();
    this.requests += 1;
    const request = this.requests;
    const answer = await this.fetchRooms({ q: text || null, limit: this.limit, order: "-votes" });
    if (request !== this.requests) return;
    this.body.replaceChildren(...answer.rows.map((room) => this.#row(room)));
    const found = answer.total
      ? `${format.plural(answer.total, "room")}${text ? ` for “${text}”` : ""}`
      : `No room has the name, number or id “${text}”.`;
    setText(this.status, answer.total || text ? found : "There are no rooms.");
    this.more.hidden = answer.total <= ROWS;
    setText(this.more, this.limit === ROWS ? `Show ${Math.min(answer.total, MAX_ROWS)}` : `Show the first ${ROWS}`);
  }

  #row(room) {
    const note = room.number ? String(room.number) : `id ${room.room_id}`;
    const open = el(
      "button",
      { type: "button", class: "link", onclick: () => this.onRoom(String(room.room_id)) },
      roomName(room),
    );
    return el(
      "tr",
      {},
      el("th", { scope: "row" }, open, el("span", { class: "room-number" }, note)),
      ...COLUMNS.map(({ text }) => el("td", { class: "number" }, text(room))),
    );
  }
}

const FIGURES = [
  { name: "votes", label: "Votes", format: format.count, value: ({ stats }) => stats.votes },
  {
    name: "members",
    label: "Members",
    format: format.count,
    value: ({ members }) => members,
    hint: "Different users who estimated",
  },
  {
    name: "avg_spread",
    label: "Spread of estimates",
    format: format.number,
    value: ({ agreement }) => agreement?.avg_spread,
    hint: "Agreement: the mean distance from the lowest to the highest estimate of a vote",
  },
  {
    name: "max_spread",
    label: "Largest spread",
    format: format.number,
    value: ({ agreement }) => agreement?.max_spread,
  },
  { name: "unanimous", label: "Unanimous votes", format: format.share, value: ({ agreement }) => agreement?.unanimous },
  { name: "duration", label: "Time per vote", format: format.seconds, value: ({ stats }) => stats.duration },
  { name: "meetings", label: "Days with votes", format: format.count, value: ({ pace }) => pace?.meetings },
  {
    name: "votes_per_meeting",
    label: "Votes per such day",
    format: format.number,
    value: ({ pace }) => pace?.votes_per_meeting,
  },
  {
    name: "days_between",
    label: "Days between them",
    format: format.number,
    value: ({ pace }) => pace?.days_between_meetings,
  },
  {
    name: "estimations_per_vote",
    label: "Estimations per vote",
    format: format.number,
    value: ({ stats }) => stats.estimations_per_vote,
  },
  {
    name: "spectators_per_vote",
    label: "Spectators per vote",
    format: format.number,
    value: ({ stats }) => stats.spectators_per_vote,
  },
  {
    name: "avg_avg_estimation",
    label: "Mean estimate",
    format: format.number,
    value: ({ stats }) => stats.avg_avg_estimation,
  },
];

/** The page of one room. `onClose` leads back to all rooms, `onShowAll` to a range with all of its votes. */
export class RoomPage {
  constructor({ onClose, onShowAll }) {
    this.figures = new Figures(byId("room-figures"), FIGURES);
    this.votes = new Chart(byId("room-charts"));
    this.spread = new Chart(byId("room-charts"));
    byId("room-back").addEventListener("click", onClose);
    this.showAll = onShowAll && byId("room-all");
    this.showAll?.addEventListener("click", onShowAll);
    byId("room-tools").append(csvButton("Room", "room", { rows: () => csvRows(this.room) }));
    this.clear();
  }

  clear() {
    this.room = null;
    this.figures.clear();
    this.votes.clear();
    this.spread.clear();
    byId("room-body").hidden = false;
    byId("room-tools").hidden = false;
    this.#offerAll(false);
    setText(byId("room-title"), "\u00a0");
    setText(byId("room-status"), "\u00a0");
  }

  /** Show an answer of `/rooms/{id}`. */
  update(room) {
    this.room = room;
    const { query, status } = room;
    setText(byId("room-title"), roomName(room));
    setText(byId("room-status"), statusText(room));
    const voted = status === "voted";
    byId("room-body").hidden = !voted;
    this.#offerAll(status === "not_in_range");
    if (!voted) return;
    this.figures.update(FIGURES.map(({ value }) => value(room) ?? null));
    const rows = filled(room);
    const now = format.localMoment(serverNow(), query.tz);
    this.#draw(
      this.votes,
      { rows, query, now },
      { name: "votes", title: "Votes", whole: true, formatValue: format.count },
    );
    this.#draw(
      this.spread,
      { rows, query, now },
      { name: "avg_spread", title: "Spread of estimates", whole: false, formatValue: format.number },
    );
  }

  #offerAll(offers) {
    if (this.showAll) this.showAll.hidden = !offers;
  }

  /** Say that there is no room `id`. */
  showMissing(id) {
    this.clear();
    byId("room-body").hidden = true;
    byId("room-tools").hidden = true;
    setText(byId("room-title"), `Room ${id}`);
    setText(byId("room-status"), `There is no room with the id ${id}: it was never used, or the id is mistyped.`);
  }

  #draw(chart, { rows, query, now }, { name, title, whole, formatValue }) {
    const points = rows.map((row) => ({
      date: row.date,
      name: rowName(row, query.interval),
      value: row[name],
      average: null,
      before: null,
      note: incompleteness(row, query.interval, { range: query, now }),
    }));
    chart.update({
      points,
      title,
      unit: `per ${query.interval}`,
      total: "",
      interval: query.interval,
      from: query.from,
      whole,
      formatValue: (value) => (value === null ? "no vote" : formatValue(value)),
      accumulated: false,
    });
  }
}

/** Whether a request failed because there is no such room. */
export const isMissing = (error) => error instanceof ApiError && error.kind === "missing";

function statusText({ status, room_id: id, number: roomNumber, first_vote_at: first, last_vote_at: last, query }) {
  const names = roomNumber ? `Number ${roomNumber}, id ${id}` : `Id ${id}`;
  const range = format.range(query.from, query.to);
  if (status === "never_voted") return `${names}. This room has never voted.`;
  if (status === "not_in_range")
    return `${names}. No vote in this range, ${range}: it last voted on ${format.date(last)}.`;
  return `${names}. First vote on ${format.date(first)}, last on ${format.date(last)}. Below: ${range}, ${query.tz}.`;
}

/** The room's series with a row for each day, week or month of the range, up to today. */
function filled({ series, query, first_vote_at: first }) {
  const byDate = new Map(series.map((row) => [row.date, row]));
  const today = format.localMoment(serverNow(), query.tz).slice(0, 10);
  const last = earlierOf(query.to, today);
  const from = laterOf(first.slice(0, 10), query.from);
  const rows = [];
  for (
    let date = startOfRow(from, query.interval);
    date <= last;
    date = addDays(daysOfRow(date, query.interval)[1], 1)
  ) {
    rows.push(byDate.get(date) ?? { date, votes: 0, avg_spread: null });
  }
  return rows;
}

function startOfRow(date, interval) {
  if (interval === "month") return `${date.slice(0, 7)}-01`;
  if (interval === "week") return addDays(date, -((new Date(`${date}T00:00:00Z`).getUTCDay() + 6) % 7));
  return date;
}

function csvRows(room) {
  const names = ["date", "votes", "estimations", "avg_spread", "unanimous", "duration"];
  return [names, ...(room?.series ?? []).map((row) => names.map((name) => row[name]))];
}
