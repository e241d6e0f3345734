/**
 * How this tab is signed in: by a token, by the cookie of a session, or by a link to one view.
 *
 * A token is stored for the life of the tab. Scripts cannot read the cookie; a mark in local storage says
 * that it was set. The token of a link stays in the page's address.
 */

const TOKEN = "fpp-analytics-token";
const KEPT = "fpp-analytics-kept";

/** The token of the link that the page was opened with; null without one. */
export const link = new URLSearchParams(location.hash.slice(1)).get("link");

/** The token to send; null where the cookie stands for it. */
export const getToken = () => link ?? sessionStorage.getItem(TOKEN);

export const isKept = () => getToken() === null && localStorage.getItem(KEPT) !== null;

export const isSignedIn = () => getToken() !== null || isKept();

export function setToken(token) {
  sessionStorage.setItem(TOKEN, token);
  notify();
}

/** The cookie was set. */
export function keep() {
  sessionStorage.removeItem(TOKEN);
  localStorage.setItem(KEPT, "true");
  notify();
}

export function clear() {
  sessionStorage.removeItem(TOKEN);
  localStorage.removeItem(KEPT);
  notify();
}

const listeners = new Set();

/** Call `listener` after every sign-in and sign-out. */
export function onSessionChange(listener) {
  listeners.add(listener);
}

function notify() {
  for (const listener of listeners) listener();
}
