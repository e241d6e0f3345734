/**
 * Sends events to the collector: in batches, again after failures, and when the page closes.
 *
 * Each event has an id of its own, so sending it again is harmless: the collector's events
 * are stored once per id. An event is forgotten only when the collector has answered for it.
 * Until then it is in memory and, in browsers, in localStorage, from which the next page
 * takes it.
 */

const DEFAULTS = {
  source: "web_app",
  batchSize: 10,
  flushMilliseconds: 5000,
  maxQueue: 1000,
  firstPauseMilliseconds: 500,
  longestPauseMilliseconds: 60_000,
  timeoutMilliseconds: 30_000,
  storageKey: "fpp-analytics",
};

/** Events of one request at most; the collector's own limit is 1,000. */
const LARGEST_BATCH = 100;
/** Bytes of one request at most; the collector's own limit is 1 MiB. */
const LARGEST_BODY = 512 * 1024;
/** Browsers allow 64 KiB of requests that outlive their page. */
const KEEPALIVE_BYTES = 60 * 1024;

const encoder = new TextEncoder();
const byteLength = (text) => encoder.encode(text).length;

export class AnalyticsClient {
  #url;
  #token;
  #lastToken = "";
  #options;
  #storage;
  #queue = new Map();
  #failures = 0;
  #notBefore = 0;
  #timer = null;
  #sending = null;
  #closed = false;
  #onHidden = () => this.#sendBeforeEnd();
  #onVisibility = () => globalThis.document.visibilityState === "hidden" && this.#sendBeforeEnd();

  constructor(url, token, options = {}) {
    this.#url = `${String(url).replace(/\/+$/, "")}/events`;
    this.#token = token;
    this.#options = { ...DEFAULTS, ...options };
    this.#storage = options.storage === undefined ? localStorageOrNull() : options.storage;
    this.#adopt();
    globalThis.addEventListener?.("pagehide", this.#onHidden);
    globalThis.document?.addEventListener("visibilitychange", this.#onVisibility);
    if (this.#queue.size) this.#schedule();
  }

  /** Events that the collector has not answered for. */
  get pending() {
    return this.#queue.size;
  }

  /** Takes another token, a text or a function that returns one, and sends what waited. */
  setToken(token) {
    if (token === this.#token) return;
    this.#token = token;
    this.#notBefore = 0;
    if (this.#queue.size) this.#send();
  }

  /** Adds an event to the queue; returns its id. Throws if *payload* is not JSON. */
  track(type, payload = {}, userId = null) {
    if (this.#closed) throw new Error("The client is closed");
    const id = newId();
    const event = { id, type, ts: new Date().toISOString(), src: this.#options.source, payload };
    if (userId !== null) event.user_id = userId;
    const text = JSON.stringify(event);
    this.#queue.set(id, text);
    this.#store(id, text);
    this.#keepBounds();
    this.#schedule();
    return id;
  }

  /** Sends what waits now; resolves when the collector has answered or cannot be reached. */
  async flush() {
    this.#notBefore = 0;
    await this.#send();
  }

  /** Sends what waits and ends; what cannot be sent stays in localStorage. */
  async close() {
    this.#closed = true;
    globalThis.removeEventListener?.("pagehide", this.#onHidden);
    globalThis.document?.removeEventListener("visibilitychange", this.#onVisibility);
    await this.flush();
    clearTimeout(this.#timer);
  }

  /** Takes over what earlier pages could not send. */
  #adopt() {
    const prefix = this.#prefix();
    for (const key of keysOf(this.#storage)) {
      if (!key.startsWith(prefix)) continue;
      const text = this.#storage.getItem(key);
      if (isEvent(text)) this.#queue.set(key.slice(prefix.length), text);
      else this.#storage.removeItem(key);
    }
    this.#keepBounds();
  }

  #prefix() {
    return `${this.#options.storageKey}:`;
  }

  #store(id, text) {
    try {
      this.#storage?.setItem(this.#prefix() + id, text);
    } catch {
      // Full or forbidden: the event is in memory alone, and is sent from there.
      this.#storage?.removeItem(this.#prefix() + id);
    }
  }

  #forget(ids) {
    for (const id of ids) {
      this.#queue.delete(id);
      this.#storage?.removeItem(this.#prefix() + id);
    }
  }

  /** Those of *ids* that were not dropped meanwhile. */
  #waiting(ids) {
    return ids.filter((id) => this.#queue.has(id));
  }

  #keepBounds() {
    const excess = this.#queue.size - this.#options.maxQueue;
    if (excess > 0) this.#drop([...this.#queue.keys()].slice(0, excess), "queue_full");
  }

  #drop(ids, reason) {
    const events = this.#waiting(ids).map((id) => JSON.parse(this.#queue.get(id)));
    this.#forget(ids);
    this.#options.onDrop?.(events, reason);
  }

  /** Sends at once with a whole batch, else after a few seconds; never before a pause ends. */
  #schedule() {
    if (this.#sending) return;
    const pause = Math.max(0, this.#notBefore - Date.now());
    const isFull = this.#queue.size >= this.#options.batchSize;
    const wait = isFull || pause ? pause : this.#options.flushMilliseconds;
    if (this.#timer !== null && !isFull) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#send();
    }, wait);
    if (!this.#closed) this.#timer.unref?.();
  }

  #send() {
    this.#sending ??= this.#sendAll().finally(() => {
      this.#sending = null;
      if (this.#queue.size && !this.#closed) this.#schedule();
    });
    return this.#sending;
  }

  /** Sends batch after batch, until nothing waits or one fails. */
  async #sendAll() {
    clearTimeout(this.#timer);
    this.#timer = null;
    const tried = new Set();
    let batch = this.#nextBatch(tried, LARGEST_BODY);
    while (batch.length && this.#notBefore <= Date.now()) {
      for (const id of batch) tried.add(id);
      // One request after the other: they share the pause after a failure.
      // biome-ignore lint/performance/noAwaitInLoops: see above
      await this.#deliver(batch);
      batch = this.#nextBatch(tried, LARGEST_BODY);
    }
  }

  /** The ids of the next events, with at most *bytes* but at least one. */
  #nextBatch(except, bytes) {
    const ids = [];
    let size = 0;
    for (const [id, text] of this.#queue) {
      if (except.has(id)) continue;
      size += byteLength(text) + 40;
      if (ids.length && (size > bytes || ids.length === LARGEST_BATCH)) break;
      ids.push(id);
    }
    return ids;
  }

  async #deliver(batch) {
    const ids = this.#waiting(batch);
    if (!ids.length) return;
    const answer = await this.#post(ids, { signal: AbortSignal.timeout(this.#options.timeoutMilliseconds) });
    if (answer?.ok) {
      this.#failures = 0;
      this.#forget(ids);
      await this.#report(answer);
    } else if (answer === null || answer.status === 429 || answer.status >= 500) {
      this.#pause(answer);
    } else if (answer.status === 401) {
      // Not the events' fault: they wait for another token.
      this.#notBefore = Date.now() + this.#options.longestPauseMilliseconds;
    } else {
      await this.#refused(ids, answer);
    }
  }

  /** A refused batch is divided, so that one event does not take the others with it. */
  async #refused(ids, answer) {
    if (ids.length === 1) {
      this.#drop(ids, `status_${answer.status}`);
      return;
    }
    const middle = Math.ceil(ids.length / 2);
    await this.#deliver(ids.slice(0, middle));
    if (this.#notBefore <= Date.now()) await this.#deliver(ids.slice(middle));
  }

  async #report(answer) {
    // The events are stored, even if the connection breaks before all verdicts arrived.
    const { rejected } = await answer.json().catch(() => ({}));
    if (rejected?.length) this.#options.onReject?.(rejected);
  }

  /** Waits for Retry-After, or twice as long as the last time; a random part spreads clients. */
  #pause(answer) {
    const { firstPauseMilliseconds, longestPauseMilliseconds } = this.#options;
    const pause = Math.min(firstPauseMilliseconds * 2 ** this.#failures, longestPauseMilliseconds);
    const told = Number(answer?.headers.get("Retry-After") ?? 0) * 1000 || 0;
    this.#failures += 1;
    this.#notBefore = Date.now() + Math.max(told, pause * (0.5 + Math.random() / 2));
  }

  /** The answer, or null without one. */
  async #post(ids, init) {
    try {
      if (typeof this.#token === "function") this.#lastToken = await this.#token();
      const request = this.#request(this.#waiting(ids));
      return await fetch(this.#url, { ...request, ...init });
    } catch {
      return null;
    }
  }

  #request(ids) {
    const token = typeof this.#token === "function" ? this.#lastToken : this.#token;
    const sent = JSON.stringify(new Date().toISOString());
    const texts = ids.map((id) => `${this.#queue.get(id).slice(0, -1)},"sent_at":${sent}}`);
    return {
      method: "POST",
      headers: { "Content-Type": "application/json", Authorization: `Bearer ${token}` },
      body: `[${texts.join(",")}]`,
      credentials: "omit",
    };
  }

  /** Sends what waits by requests that outlive the page; also what is being sent. */
  #sendBeforeEnd() {
    const ids = this.#nextBatch(new Set(), KEEPALIVE_BYTES);
    if (!ids.length) return;
    fetch(this.#url, { ...this.#request(ids), keepalive: true }).then(
      (answer) => answer.ok && this.#forget(ids),
      () => this.#pause(null),
    );
  }
}

/** A UUID of version 7: they sort by time, which makes finding repetitions cheap. */
export function newId(now = Date.now()) {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  for (let index = 0; index < 6; index += 1) bytes[index] = Math.floor(now / 256 ** (5 - index)) % 256;
  bytes[6] = (bytes[6] % 16) + 0x70;
  bytes[8] = (bytes[8] % 64) + 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

function localStorageOrNull() {
  try {
    return globalThis.localStorage ?? null;
  } catch {
    return null; // Forbidden by the browser's settings.
  }
}

function isEvent(text) {
  try {
    return typeof JSON.parse(text).id === "string";
  } catch {
    return false;
  }
}

function keysOf(storage) {
  const length = storage?.length ?? 0;
  return Array.from({ length }, (_, index) => storage.key(index));
}
