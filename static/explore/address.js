/**
 * The part of the page's address that belongs to the Explore section: `explore` is the name of a table or
 * report, `explore.…` are parameters of its request, and `explore-number` is the column of the chart.
 */

const NAME = "explore";
const PARAMETER = "explore.";
const NUMBER = "explore-number";

/** The view in the address: `{name, query, number}`; `name` is null for the list. */
export function readAddress() {
  const params = new URLSearchParams(location.search);
  const query = {};
  for (const [key, value] of params) {
    if (key.startsWith(PARAMETER)) query[key.slice(PARAMETER.length)] = value;
  }
  return { name: params.get(NAME) || null, query, number: params.get(NUMBER) };
}

/** The address of a view, with the rest of the page's query as it is. */
export function addressOf({ name, query = {}, number = null }) {
  const params = new URLSearchParams(location.search);
  for (const key of [...params.keys()]) {
    if (isOurs(key)) params.delete(key);
  }
  if (name) params.set(NAME, name);
  if (name && number) params.set(NUMBER, number);
  for (const [key, value] of Object.entries(name ? query : {})) params.set(PARAMETER + key, value);
  const text = params.toString();
  return location.pathname + (text ? `?${text}` : "");
}

/** Copy the section's parameters from the address to `params`. */
export function keepAddress(params) {
  for (const [key, value] of new URLSearchParams(location.search)) {
    if (isOurs(key)) params.set(key, value);
  }
}

const isOurs = (key) => key === NAME || key === NUMBER || key.startsWith(PARAMETER);
