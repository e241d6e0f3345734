/** The access token, stored for the life of this tab. */

const KEY = "fpp-analytics-token";

export const getToken = () => sessionStorage.getItem(KEY);

export function setToken(token) {
  sessionStorage.setItem(KEY, token);
  notify();
}

export function clearToken() {
  sessionStorage.removeItem(KEY);
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
