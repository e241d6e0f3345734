/** The Explore section: the list of derived tables and reports, and one of them. */

import { el, setText } from "../dom.js";
import { addressOf, readAddress } from "./address.js";
import { Detail } from "./detail.js";
import { Editor } from "./editor.js";
import { listNodes } from "./list.js";
import { fetchDocument } from "./requests.js";
import { Task } from "./task.js";

/** The right to send SQL. */
const QUERY = "query";

export class Section {
  constructor(root) {
    this.live = el("p", { class: "visually-hidden", role: "status" });
    this.messages = el("div");
    this.content = el("div");
    this.task = new Task(this.messages, (text) => this.#announce(text));
    root.replaceChildren(this.live, this.messages, this.content);
    this.root = root;
    this.clear();
  }

  /** Forget everything that was loaded, and what was written. */
  clear() {
    this.task.stop();
    this.detail?.stop();
    this.editor?.stop();
    Object.assign(this, { view: null, catalogue: null, rights: [], outdated: false, detail: null, editor: null });
    this.content.replaceChildren();
    setText(this.live, "");
  }

  async show(view) {
    const isShown = JSON.stringify(view) === JSON.stringify(this.view) && this.content.hasChildNodes();
    if (isShown) return;
    this.view = view;
    const isOutdated = this.outdated && view.name !== this.detail?.definition.name;
    if (this.catalogue === null || isOutdated) await this.#loadCatalogue();
    if (this.catalogue === null || this.view !== view) return;
    if (view.sql) this.#showEditor();
    else if (view.name === null) this.#showList();
    else this.#showDefinition(view);
  }

  async #loadCatalogue() {
    const answers = await this.task.run(
      (signal) => Promise.all([fetchDocument("views", { signal }), fetchDocument("session", { signal })]),
      {
        retry: () => this.show(readAddress()),
        onWait: () => this.content.replaceChildren(),
        onError: () => this.content.replaceChildren(),
      },
    );
    const [views, session] = answers ?? [];
    this.catalogue = views?.data ?? null;
    this.rights = session?.data.rights ?? [];
    this.outdated = false;
  }

  get #mayQuery() {
    return this.rights.includes(QUERY);
  }

  #showList() {
    this.#leave();
    const onSql = this.#mayQuery ? () => this.#go({ name: null, sql: true }) : null;
    this.content.replaceChildren(...listNodes(this.catalogue, (name) => this.#go({ name }), onSql));
  }

  /** Stop what the view before this one was loading. The editor keeps what was written. */
  #leave() {
    this.detail?.stop();
    this.detail = null;
    this.editor?.stop();
  }

  #showEditor() {
    if (!this.#mayQuery) {
      this.#showMessage("This token may not send SQL.");
      return;
    }
    this.#leave();
    this.editor ??= new Editor({ onBack: () => this.#go(null), announce: (text) => this.#announce(text) });
    this.content.replaceChildren(this.editor.root);
    this.editor.load();
  }

  #showDefinition(view) {
    const definition = this.#find(view.name);
    if (!definition) {
      this.#showMissing(view.name);
      return;
    }
    this.editor?.stop();
    if (this.detail?.definition !== definition) this.#create(definition);
    this.detail.show(view);
  }

  #find(name) {
    return [...this.catalogue.views, ...this.catalogue.reports].find((each) => each.name === name);
  }

  #create(definition) {
    this.detail?.stop();
    this.detail = new Detail(definition, {
      onView: (view) => this.#go(view),
      onData: (updatedAt) => this.#follow(updatedAt),
      announce: (text) => this.#announce(text),
    });
    this.content.replaceChildren(this.detail.root);
  }

  #showMissing(name) {
    const faults = [...this.catalogue.errors, ...this.catalogue.unmirrored];
    const fault = faults.find((each) => each.name === name);
    const text = fault
      ? `${name} cannot be shown, ${fault.file}:${fault.line}: ${fault.message}`
      : `There is no derived table or report called ${name}.`;
    this.#showMessage(text);
  }

  #showMessage(text) {
    this.#leave();
    const back = el("button", { class: "button", type: "button", onclick: () => this.#go(null) }, "Show all");
    this.content.replaceChildren(el("div", { class: "banner", "data-kind": "info" }, el("p", {}, text), back));
    this.#announce(text);
  }

  /** Show another view, and remember it in the history. */
  async #go(view) {
    const before = this.view;
    history.pushState(null, "", addressOf(view ?? { name: null }));
    await this.show(readAddress());
    if (before?.name !== this.view.name || before?.sql !== this.view.sql) this.#focus(before?.name ?? "");
  }

  /** From the list to a heading, and back to the link that was followed. */
  #focus(before) {
    const link = this.content.querySelector(`a[data-name="${CSS.escape(before)}"]`);
    const heading = this.view.sql ? this.editor?.heading : this.detail?.heading;
    (heading ?? link)?.focus({ preventScroll: true });
    const section = this.root.parentElement;
    if (section.getBoundingClientRect().top < 0) section.scrollIntoView({ behavior: "instant" });
  }

  /** A newer snapshot may have other definitions and states: the list is loaded again when it is next shown. */
  #follow(updatedAt) {
    if (this.catalogue && this.catalogue.data_updated_at !== updatedAt) this.outdated = true;
  }

  #announce(text) {
    setText(this.live, text);
  }
}
