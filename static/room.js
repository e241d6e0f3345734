/** A card that looks up the statistics of one room by its id. */

import { ApiError } from "./api.js";
import { el, setText } from "./dom.js";
import { Figures } from "./figures.js";
import { csvButton } from "./files.js";
import * as format from "./format.js";

const FIGURES = [
  { name: "votes", label: "Votes", format: format.count, good: 1 },
  { name: "duration", label: "Time per vote", format: format.seconds },
  { name: "estimations", label: "Estimations", format: format.count, good: 1 },
  { name: "estimations_per_vote", label: "Estimations per vote", format: format.number },
  { name: "avg_min_estimation", label: "Lowest estimation", format: format.number },
  { name: "avg_avg_estimation", label: "Mean estimation", format: format.number },
  { name: "avg_max_estimation", label: "Highest estimation", format: format.number },
  { name: "spectators", label: "Spectators", format: format.count },
  { name: "spectators_per_vote", label: "Spectators per vote", format: format.number },
];
const NAMES = FIGURES.map(({ name }) => name);
const HELP = "The room id is part of a room's URL.";

const valuesOf = (statistics) => NAMES.map((name) => statistics[name]);

/** `fetchRoom(id)` returns the room's statistics; `onRoom(id)` is called when an id is submitted. */
export class RoomCard {
  constructor(root, fetchRoom, onRoom) {
    this.fetchRoom = fetchRoom;
    this.onRoom = onRoom;
    this.id = null;
    this.input = el("input", {
      id: "room-id",
      name: "room",
      type: "text",
      inputmode: "numeric",
      autocomplete: "off",
      "aria-describedby": "room-problem",
    });
    this.problem = el("p", { class: "problem", id: "room-problem", role: "alert" });
    this.status = el("p", { class: "hint", role: "status" }, HELP);
    const list = el("dl", { class: "tiles compact", id: "room-figures" });
    this.figures = new Figures(list, FIGURES);
    this.csv = csvButton("Room", "room", { rows: () => [NAMES, valuesOf(this.room)] });
    this.csv.disabled = true;
    const form = el(
      "form",
      { class: "lookup", novalidate: true },
      el("label", { for: "room-id" }, "Room id"),
      this.input,
      el("button", { class: "button", type: "submit" }, "Look up"),
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit(this.input.value.trim());
    });
    root.append(
      el(
        "article",
        { class: "card" },
        el("div", { class: "heading small" }, el("h3", {}, "Room lookup"), el("div", { class: "tools" }, this.csv)),
        form,
        this.problem,
        this.status,
        list,
      ),
    );
    this.#reset();
  }

  clear() {
    this.id = null;
    this.input.value = "";
    setText(this.problem, "");
    this.#reset();
  }

  /** Load and show a room; null clears the card. */
  async show(id) {
    if (id === null) return this.clear();
    this.id = id;
    this.input.value = id;
    setText(this.problem, "");
    try {
      const room = await this.fetchRoom(id);
      if (this.id === id) this.#update(room);
    } catch (error) {
      if (!(error instanceof ApiError) || error.kind !== "invalid") throw error;
      this.#reset();
      setText(this.problem, `${id} is not a valid room id.`);
    }
  }

  #submit(id) {
    if (!/^\d{1,12}$/.test(id)) {
      setText(this.problem, "Enter a room id: a number such as 7.");
      this.input.focus();
      return;
    }
    this.onRoom(id);
  }

  #update(room) {
    this.room = room;
    this.csv.disabled = false;
    if (room.change) this.figures.update(valuesOf(room), valuesOf(room.change), valuesOf(room.previous));
    else this.figures.update(valuesOf(room));
    setText(
      this.status,
      room.votes
        ? `Room ${this.id} in the range shown above.`
        : `Room ${this.id} has no votes in this range, or does not exist.`,
    );
  }

  #reset() {
    this.room = null;
    this.csv.disabled = true;
    this.figures.update(NAMES.map(() => null));
    setText(this.status, HELP);
  }
}
