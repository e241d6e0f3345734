/**
 * The part of the page's address that belongs to the Explore section: `explore` is the name of a table or
 * report, `explore.…` are parameters of its request, and `explore-number` is the column of the chart.
 * `explore-sql` shows the editor; a statement is never in an address.
 */

const NAME = "explore";
const PARAMETER = "explore.";
const NUMBER = "explore-number";
const SQL = "explore-sql";

/** The view in the address: `{name, query, number, sql}`; `name` is null for the list, and for the editor. */
export function readAddress() {
  const params = new URLSearchParams(location.search);
  const query = {};
  for (const [key, value] of params) {
    if (key.startsWith(PARAMETER)) query[key.slice(PARAMETER.length)] = value;
  }
  const name = params.get(NAME) || null;
  return { name, query, number: params.get(NUMBER), sql: name === null && params.has(SQL) };
}

/** The address of a view, with the rest of the page's query as it is. */
export function addressOf({ name, query = {}, number = null, sql = false }) {
  const params = new URLSearchParams(location.search);
  for (const key of [...params.keys()]) {
    if (isOurs(key)) params.delete(key);
  }
  if (name) params.set(NAME, name);
  else if (sql) params.set(SQL, "");
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

const isOurs = (key) => [NAME, NUMBER, SQL].includes(key) || key.startsWith(PARAMETER);
