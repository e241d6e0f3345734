/** Shows that something is loading, that it takes long, that it failed; and lets the reader cancel it. */

import { ApiError } from "../api.js";
import { el, setText } from "../dom.js";
import { Refused } from "./requests.js";

/** After this time without an answer the page says that it is loading. */
const SIGN_MS = 150;
/** After this time it says that this takes long. */
const SLOW_MS = 3_000;
const SLOW = "Still loading. You can wait, or cancel.";

export class Task {
  /** `root` holds the messages; `announce(text)` speaks to screen readers. */
  constructor(root, announce) {
    this.root = root;
    this.announce = announce;
    this.running = null;
    this.timers = [];
  }

  /**
   * Await `work(signal)`; returns its result, or null if it failed, was cancelled or was replaced by
   * another one. `onWait` is called once the loading is visible, `onError(error)` returns true if it has shown
   * the error itself, and `retry` starts the work again.
   */
  async run(work, { retry, onWait = () => null, onError = () => false }) {
    this.stop();
    const running = new AbortController();
    this.running = running;
    const text = el("span", {}, "Loading…");
    this.timers = [
      setTimeout(() => this.#wait(text, onWait, retry), SIGN_MS),
      setTimeout(() => this.#slow(text), SLOW_MS),
    ];
    try {
      const result = await work(running.signal);
      if (this.running !== running) return null;
      this.stop();
      return result;
    } catch (error) {
      if (this.running !== running) return null;
      this.stop();
      if (!isExpected(error)) throw error;
      if (!onError(error)) this.#showError(error, retry);
      return null;
    }
  }

  /** Abort what is running, and remove its messages. */
  stop() {
    for (const timer of this.timers) clearTimeout(timer);
    this.running?.abort();
    this.running = null;
    this.root.replaceChildren();
  }

  #showError(error, retry) {
    const button = el("button", { class: "button", type: "button", onclick: retry }, "Try again");
    this.root.replaceChildren(
      el("div", { class: "banner", "data-kind": "error", role: "alert" }, el("p", {}, error.message), button),
    );
  }

  #wait(text, onWait, retry) {
    onWait();
    const cancel = el("button", { class: "button quiet", type: "button" }, "Cancel");
    cancel.addEventListener("click", () => this.#cancel(retry));
    this.root.replaceChildren(el("p", { class: "explore-loading" }, text, cancel));
    this.announce("Loading");
  }

  #slow(text) {
    setText(text, SLOW);
    this.announce(SLOW);
  }

  #cancel(retry) {
    this.stop();
    const again = el("button", { class: "button", type: "button", onclick: retry }, "Load again");
    this.root.replaceChildren(el("p", { class: "explore-loading" }, "Cancelled.", again));
    again.focus();
    this.announce("Cancelled");
  }
}

const isExpected = (error) => error instanceof ApiError || error instanceof Refused;
