/** HTTP client of the API, with one error type for every way in which a request can fail. */

/** Base URL of the API: the page's own folder, whatever path prefix both are served under. */
const BASE = new URL(".", document.baseURI);

const TIMEOUT_MS = 60_000;

/** A failed request. `kind` is unauthorized, unavailable, invalid, missing, unreachable or failed. */
export class ApiError extends Error {
  constructor(message, { kind, retryAfter = null, parameter = null, cause }) {
    super(message, { cause });
    this.kind = kind;
    /** Name of the invalid parameter, if the API says so. */
    this.parameter = parameter;
    /** Seconds to wait before the next attempt, if the API sent Retry-After. */
    this.retryAfter = retryAfter;
  }
}

let clockOffsetMs = 0;

/** The current time by the server's clock, estimated from its Date headers. */
export const serverNow = () => Date.now() + clockOffsetMs;

/**
 * GET `path` as JSON. Entries of `query` that are null or undefined are omitted.
 * With `etag`, returns null if the response has not changed.
 */
export async function get(path, { query = {}, token, etag, signal } = {}) {
  const response = await request(path, { query, token, etag, signal });
  if (response.status === 304) return null;
  return { data: await orUnreachable(response.json()), etag: response.headers.get("ETag") };
}

/** GET `path` as a Blob, and its name as the API suggests it. */
export async function download(path, { query = {}, token } = {}) {
  const response = await request(path, { query, token });
  const [, name = null] = /filename="([^"]+)"/.exec(response.headers.get("Content-Disposition") ?? "") ?? [];
  return { blob: await orUnreachable(response.blob()), name };
}

/** Send a request without a body that has an effect. */
export async function send(method, path, { token } = {}) {
  await request(path, { method, token, setsCookie: true });
}

/** Request `path`, with `content` as JSON; a Response. Without `token` the session's cookie is sent. Raises ApiError, for an error of the API only without `anyStatus`. */
export async function request(path, options = {}) {
  const { query = {}, token, etag, signal, method = "GET", anyStatus = false, setsCookie = false } = options;
  const { content, accept } = options;
  const url = new URL(path, BASE);
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined) url.searchParams.set(name, value);
  }
  const headers = new Headers();
  if (token) headers.set("Authorization", `Bearer ${token}`);
  if (etag) headers.set("If-None-Match", etag);
  if (accept) headers.set("Accept", accept);
  if (content) headers.set("Content-Type", "application/json");
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  const response = await orUnreachable(
    fetch(url, {
      method,
      headers,
      body: content && JSON.stringify(content),
      cache: "no-store",
      credentials: token && !setsCookie ? "omit" : "same-origin",
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
    }),
  );
  updateClockOffset(response);
  if (response.ok || response.status === 304 || anyStatus) return response;
  throw await toError(response);
}

/** Convert network errors, timeouts and incomplete bodies to ApiError; rethrow our own aborts. */
async function orUnreachable(promise) {
  try {
    return await promise;
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("The API is not responding.", { kind: "unreachable", cause: error });
  }
}

function updateClockOffset(response) {
  const sentAt = Date.parse(response.headers.get("Date") ?? "");
  // The header has a resolution of one second: ignore smaller differences.
  if (!Number.isNaN(sentAt) && Math.abs(sentAt - Date.now()) > 2_000) clockOffsetMs = sentAt - Date.now();
}

async function toError(response) {
  const retryAfter = Number.parseInt(response.headers.get("Retry-After") ?? "", 10) || null;
  const { message, parameter } = await errorMessage(response);
  switch (response.status) {
    case 401:
      return new ApiError(message, { kind: "unauthorized" });
    case 503:
      return new ApiError(message, { kind: "unavailable", retryAfter });
    case 400:
    case 422:
      return new ApiError(message, { kind: "invalid", parameter });
    case 404:
      return new ApiError(message, { kind: "missing" });
    case 429:
      return new ApiError(message, { kind: "failed", retryAfter });
    // A proxy's response when the API behind it is down.
    case 502:
    case 504:
      return new ApiError("The API is not responding.", { kind: "unreachable", retryAfter });
    default:
      return new ApiError(message, { kind: "failed", retryAfter });
  }
}

/** The API's error message as one line, and the first invalid parameter. */
async function errorMessage(response) {
  const { detail, errors } = await readError(response);
  if (errors.length)
    return { message: errors.map(({ message }) => message).join("; "), parameter: errors[0].parameter };
  return { message: detail ?? `The API returned status ${response.status}.` };
}

/** `{detail, errors}` of the API: a text or null, and `{parameter, message}` for each invalid parameter. */
export async function readError(response) {
  try {
    const { detail, errors } = await response.json();
    return { detail: typeof detail === "string" ? detail : null, errors: Array.isArray(errors) ? errors : [] };
  } catch {
    return { detail: null, errors: [] }; // The response is a proxy's.
  }
}
