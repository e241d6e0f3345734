/** The dialog that makes a link to the present view, which works without a token until it ends. */

import { ApiError } from "./api.js";
import { byId, setText } from "./dom.js";
import * as format from "./format.js";

/** `fetchLink(days)` asks the API for a link: `{token, expires_at}`. `address()` is the view's address. */
export class Share {
  constructor({ fetchLink, address }) {
    this.fetchLink = fetchLink;
    this.address = address;
    this.dialog = byId("share-dialog");
    this.field = byId("share-link");
    byId("share").addEventListener("click", () => this.#open());
    byId("share-days").addEventListener("change", () => this.#make());
    byId("share-copy").addEventListener("click", () => this.#copy());
  }

  #open() {
    this.dialog.showModal();
    this.#make();
  }

  async #make() {
    const days = byId("share-days").value;
    this.field.value = "";
    byId("share-copy").disabled = true;
    setText(byId("share-status"), "Making the link …");
    try {
      const { token, expires_at: end } = await this.fetchLink(Number(days));
      // Meanwhile another number of days may have been chosen.
      if (days !== byId("share-days").value) return;
      this.field.value = `${location.origin}${this.address()}#link=${token}`;
      byId("share-copy").disabled = false;
      setText(byId("share-status"), `It works until ${format.dateTime(Date.parse(end))}.`);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      setText(byId("share-status"), error.message);
    }
  }

  /** Browsers write to the clipboard over HTTPS only; elsewhere the link is selected. */
  async #copy() {
    this.field.select();
    try {
      await navigator.clipboard.writeText(this.field.value);
      setText(byId("share-status"), "Copied.");
    } catch {
      setText(byId("share-status"), "The link is selected: copy it.");
    }
  }
}
