/** The API as this page asks it, and what can go wrong there. */

/** Where the API is: beside the page, under whatever path both are served. */
const BASE = new URL(".", document.baseURI);

const TIMEOUT_MS = 60_000;

/** An answer that is none. `kind`: unauthorized, unavailable, invalid, unreachable, failed. */
export class ApiError extends Error {
  constructor(message, { kind, retryAfter = null, cause }) {
    super(message, { cause });
    this.kind = kind;
    /** Seconds after which to ask again, where the API says so. */
    this.retryAfter = retryAfter;
  }
}

let skewMs = 0;

/** Now by the server's clock, as far as its answers tell it. */
export const serverNow = () => Date.now() + skewMs;

/**
 * GET `path` with `query` (an object; null and undefined are left out).
 * With `etag`, an answer that did not change is `null`.
 */
export async function get(path, { query = {}, token, etag, signal } = {}) {
  const response = await request(path, { query, token, etag, signal });
  if (response.status === 304) return null;
  return { data: await body(response.json()), etag: response.headers.get("ETag") };
}

/** GET `path` as a file. */
export async function download(path, { query = {}, token } = {}) {
  const response = await request(path, { query, token });
  return body(response.blob());
}

async function request(path, { query, token, etag, signal }) {
  const url = new URL(path, BASE);
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined) url.searchParams.set(name, value);
  }
  const headers = new Headers();
  if (token) headers.set("Authorization", `Bearer ${token}`);
  if (etag) headers.set("If-None-Match", etag);
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  const response = await reach(
    fetch(url, {
      headers,
      cache: "no-store",
      credentials: "omit",
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
    }),
  );
  learnTime(response);
  if (response.ok || response.status === 304) return response;
  throw await refusal(response);
}

/** Whatever keeps the network from answering is one kind of error; our own abort is none. */
async function reach(promise) {
  try {
    return await promise;
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("The API does not answer.", { kind: "unreachable", cause: error });
  }
}

const body = reach;

function learnTime(response) {
  const sent = Date.parse(response.headers.get("Date") ?? "");
  // The header has whole seconds: smaller differences mean nothing.
  if (!Number.isNaN(sent) && Math.abs(sent - Date.now()) > 2_000) skewMs = sent - Date.now();
}

async function refusal(response) {
  const retryAfter = Number.parseInt(response.headers.get("Retry-After") ?? "", 10) || null;
  const said = await detail(response);
  switch (response.status) {
    case 401:
      return new ApiError(said, { kind: "unauthorized" });
    case 503:
      return new ApiError(said, { kind: "unavailable", retryAfter });
    case 400:
    case 422:
      return new ApiError(said, { kind: "invalid" });
    case 429:
      return new ApiError(said, { kind: "failed", retryAfter });
    // What a proxy says when the API behind it is gone.
    case 502:
    case 504:
      return new ApiError("The API does not answer.", { kind: "unreachable", retryAfter });
    default:
      return new ApiError(said, { kind: "failed", retryAfter });
  }
}

/** What the API says in its answer, as one line. */
async function detail(response) {
  let said = null;
  try {
    said = (await response.json()).detail;
  } catch {
    // An answer from something else than the API has no detail.
  }
  if (Array.isArray(said)) {
    return said.map((part) => `${part.loc?.at(-1)}: ${part.msg}`).join("; ");
  }
  return typeof said === "string" ? said : `The API answered ${response.status}.`;
}
