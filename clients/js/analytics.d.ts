/** A text, or a function that returns the token of the moment. */
export type Token = string | (() => string | Promise<string>);

/** JSON, as far as types can say it. */
export type Json = string | number | boolean | null | Json[] | { [name: string]: Json };

/** An event as it is sent. */
export interface SentEvent {
  id: string;
  type: string;
  ts: string;
  src: string;
  payload: Json;
  user_id?: string | number;
}

/** The collector's verdict on an event that it rejected and kept as a dead letter. */
export interface RejectedEvent {
  index: number;
  id: string | null;
  code: string;
  message: string;
}

export interface AnalyticsOptions {
  /** The `src` of all events; "web_app" by default. */
  source?: string;
  /** Send as soon as so many events wait; 10 by default. */
  batchSize?: number;
  /** Send fewer events after this time; 5,000 by default. */
  flushMilliseconds?: number;
  /** Beyond so many waiting events the oldest are dropped; 1,000 by default. */
  maxQueue?: number;
  /** The pause after the first failure, doubled with each further one; 500 by default. */
  firstPauseMilliseconds?: number;
  /** The longest pause; 60,000 by default. */
  longestPauseMilliseconds?: number;
  /** How long to wait for an answer; 30,000 by default. */
  timeoutMilliseconds?: number;
  /** Where waiting events survive the page: localStorage by default, null for nowhere. */
  storage?: Storage | null;
  /** Prefix of the keys there; give each user another one. */
  storageKey?: string;
  /** Events that are given up: "queue_full", or "status_403" and the like. */
  onDrop?: (events: SentEvent[], reason: string) => void;
  /** Events that the collector rejected. */
  onReject?: (rejected: RejectedEvent[]) => void;
}

/** Sends events to the collector, each once, whatever fails. */
export class AnalyticsClient {
  constructor(url: string, token: Token, options?: AnalyticsOptions);
  /** Events that the collector has not answered for. */
  readonly pending: number;
  /** Takes another token and sends what waited for it. */
  setToken(token: Token): void;
  /** Adds an event to the queue; returns its id. Throws if the payload is not JSON. */
  track(type: string, payload?: Json, userId?: string | number | null): string;
  /** Sends what waits; resolves when the collector has answered or cannot be reached. */
  flush(): Promise<void>;
  /** Sends what waits and ends. */
  close(): Promise<void>;
}

/** A UUID of version 7. */
export function newId(now?: number): string;
