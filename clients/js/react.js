/** A React hook around AnalyticsClient. */

// biome-ignore lint/correctness/noUnresolvedImports: the application has React
import { useEffect, useMemo, useRef } from "react";
import { AnalyticsClient } from "./analytics.js";

/**
 * Returns `track` and `flush`, which stay the same functions. The client lives as long as the
 * component has the same address; another token is taken over without losing events.
 */
export function useAnalytics(url, token, options) {
  const client = useRef(null);
  const early = useRef([]);
  const latest = useRef({ token, options });
  latest.current = { token, options };
  useEffect(() => {
    const created = new AnalyticsClient(url, latest.current.token, latest.current.options);
    client.current = created;
    for (const event of early.current.splice(0)) created.track(...event);
    return () => {
      client.current = null;
      created.close();
    };
  }, [url]);
  useEffect(() => client.current?.setToken(token), [token]);
  return useMemo(
    () => ({
      // Before the first effect, and between two clients, there is none yet.
      track: (...event) => {
        if (client.current) return client.current.track(...event);
        early.current.push(event);
      },
      flush: async () => client.current?.flush(),
    }),
    [],
  );
}
