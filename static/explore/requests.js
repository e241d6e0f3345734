/** Requests to the API of which headers, exact numbers and the server's own sentences matter. */

import { ApiError, readError, request } from "../api.js";
import { getToken } from "../session.js";

/** Digits that a double keeps. */
const EXACT_DIGITS = 15;

/** An answer that is an error. `problems` are `{parameter, message}`, one for each invalid parameter. */
export class Refused extends Error {
  constructor(message, status, problems = []) {
    super(message);
    this.status = status;
    this.problems = problems;
  }
}

/** GET a document: its `data`, and since when it is stale, or null. */
export async function fetchDocument(path, { query, signal } = {}) {
  const response = await send(path, { query, signal });
  const data = parse(await body(response.text()));
  return { data, staleSince: response.headers.get("X-Stale-Since") };
}

/** GET a file: `{blob, name, truncated}`, with the API's name for it. */
export const fetchFile = async (path, query) => fileOf(await send(path, { query }));

/** POST `content` for a document: its `data`. */
export async function postForDocument(path, content, { signal } = {}) {
  const response = await post(path, content, { signal });
  return parse(await body(response.text()));
}

/** POST `content` for a file in the format `accept`: `{blob, name, truncated}`. */
export const postForFile = async (path, content, accept) => fileOf(await post(path, content, { accept }));

const post = (path, content, options) => send(path, { ...options, method: "POST", content });

async function send(path, options) {
  const response = await request(path, { ...options, token: getToken(), anyStatus: true });
  if (!response.ok) throw await refusal(response);
  return response;
}

async function fileOf(response) {
  const [, name = null] = /filename="([^"]+)"/.exec(response.headers.get("Content-Disposition") ?? "") ?? [];
  return { blob: await body(response.blob()), name, truncated: response.headers.has("X-Truncated") };
}

async function body(promise) {
  try {
    return await promise;
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("The answer was not complete.", { kind: "unreachable", cause: error });
  }
}

async function refusal(response) {
  const { status } = response;
  if (status === 401) return new Refused("The token is no longer accepted: sign out and in again.", status);
  const { detail, errors } = await readError(response);
  if (errors.length) return new Refused(errors.map(({ message }) => message).join("; "), status, errors);
  return new Refused(detail ? sentence(detail) : noDetail(status), status);
}

const noDetail = (status) =>
  status === 502 || status === 504 ? "The API is not responding." : `The API returned status ${status}.`;

export const sentence = (text) => (/[.!?]$/.test(text) ? text : `${text}.`);

/** Parse JSON. A number that a double would round becomes its text, where the browser shows it. */
function parse(text) {
  return JSON.parse(text, (_, value, context) => {
    if (typeof value !== "number" || !context?.source) return value;
    const digits = context.source.replace(/e.*$/i, "").replace(/\D/g, "").replace(/^0+/, "");
    return digits.length > EXACT_DIGITS && String(value) !== context.source ? context.source : value;
  });
}
