import type { AnalyticsOptions, Json, Token } from "./analytics.js";

export interface Analytics {
  /** Adds an event to the queue; returns its id, or undefined before the first effect. */
  track: (type: string, payload?: Json, userId?: string | number | null) => string | undefined;
  /** Sends what waits. */
  flush: () => Promise<void>;
}

/** A client for as long as the component is mounted; it is closed with it. */
export function useAnalytics(url: string, token: Token, options?: AnalyticsOptions): Analytics;
