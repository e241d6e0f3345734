/** One room, looked up by its id. */

import { ApiError } from "./api.js";
import { el, setText } from "./dom.js";
import { Figures } from "./figures.js";
import { csvButton } from "./files.js";
import * as format from "./format.js";

const SHOWN = [
  ["votes", { label: "Votes", format: format.count, good: 1 }],
  ["duration", { label: "Time per vote", format: format.seconds }],
  ["estimations", { label: "Estimations", format: format.count, good: 1 }],
  ["estimations_per_vote", { label: "Estimations per vote", format: format.number }],
  ["avg_min_estimation", { label: "Lowest estimation", format: format.number }],
  ["avg_avg_estimation", { label: "Mean estimation", format: format.number }],
  ["avg_max_estimation", { label: "Highest estimation", format: format.number }],
  ["spectators", { label: "Spectators", format: format.count }],
  ["spectators_per_vote", { label: "Spectators per vote", format: format.number }],
];

/** A card with a form; `ask(id)` answers with the room's statistics, `onRoom(id)` is told. */
export class RoomCard {
  constructor(root, ask, onRoom) {
    this.ask = ask;
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
    this.told = el("p", { class: "hint", role: "status" }, "A room's id stands in its address.");
    const list = el("dl", { class: "tiles compact", id: "room-figures" });
    this.figures = new Figures(
      list,
      SHOWN.map(([, shown]) => shown),
    );
    this.csv = csvButton("Room", "room", {
      rows: () => [SHOWN.map(([name]) => name), SHOWN.map(([name]) => this.room[name])],
    });
    this.csv.disabled = true;
    const form = el(
      "form",
      { class: "look-up", novalidate: true },
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
        el("div", { class: "heading small" }, el("h3", {}, "One room"), el("div", { class: "tools" }, this.csv)),
        form,
        this.problem,
        this.told,
        list,
      ),
    );
    this.#blank();
  }

  clear() {
    this.id = null;
    this.input.value = "";
    setText(this.problem, "");
    this.#blank();
  }

  /** Show the room with this id; null shows none. */
  async show(id) {
    if (id === null) return this.clear();
    this.id = id;
    this.input.value = id;
    setText(this.problem, "");
    try {
      const room = await this.ask(id);
      if (this.id === id) this.#tell(room);
    } catch (error) {
      if (!(error instanceof ApiError) || error.kind !== "invalid") throw error;
      this.#blank();
      setText(this.problem, `There can be no room ${id}.`);
    }
  }

  #submit(given) {
    if (!/^\d{1,12}$/.test(given)) {
      setText(this.problem, "Type a room's id: a number such as 7.");
      this.input.focus();
      return;
    }
    this.onRoom(given);
  }

  #tell(room) {
    this.room = room;
    this.csv.disabled = false;
    const values = SHOWN.map(([name]) => room[name]);
    if (room.change) {
      this.figures.update(
        values,
        SHOWN.map(([name]) => room.change[name]),
        SHOWN.map(([name]) => room.previous[name]),
      );
    } else {
      this.figures.update(values);
    }
    setText(
      this.told,
      room.votes
        ? `Room ${this.id} in the range shown above.`
        : `Room ${this.id} has no votes in this range, or is not there.`,
    );
  }

  #blank() {
    this.room = null;
    this.csv.disabled = true;
    this.figures.update(SHOWN.map(() => null));
    setText(this.told, "A room's id stands in its address.");
  }
}
