/** Filters: terms such as country:DE, as text of the API's parameter and as chips on the page. */

import { byId, el } from "./dom.js";
import * as format from "./format.js";
import { regionName } from "./regions.js";

const NAMES = {
  country: "Country",
  region: "Region",
  city: "City",
  device: "Device",
  os: "System",
  browser: "Browser",
  source: "Source",
  route: "Page",
  event: "Event",
  room: "Room",
  room_id: "Room",
  room_state: "Rooms",
};
const STATES = { named: "with a name", unnamed: "without a name", deleted: "deleted" };

/** Split a filter at commas outside quotation marks: `a:1,b:"x, y"` becomes `["a:1", 'b:"x, y"']`. */
export function terms(filter) {
  const found = [];
  let [term, quoted] = ["", false];
  for (const character of filter) {
    if (character === '"') quoted = !quoted;
    if (character === "," && !quoted) {
      found.push(term);
      term = "";
    } else term += character;
  }
  return [...found, term].filter(Boolean);
}

/** `{dimension, negated, value}` of a term; the value is null if it is missing. */
export function parse(term) {
  const colon = term.indexOf(":");
  const dimension = term.slice(0, colon);
  const rest = term.slice(colon + 1);
  const negated = rest.startsWith("!");
  const text = negated ? rest.slice(1) : rest;
  if (text.startsWith('"')) return { dimension, negated, value: text.slice(1, -1).replaceAll('""', '"') };
  return { dimension, negated, value: text === "null" ? null : text };
}

/** A term as the API reads it. */
export function write({ dimension, negated = false, value }) {
  return `${dimension}:${negated ? "!" : ""}${quote(value)}`;
}

function quote(value) {
  if (value === null) return "null";
  const plain = value !== "" && value !== "null" && !/[,"]|^[\s!]|\s$/.test(value);
  return plain ? value : `"${value.replaceAll('"', '""')}"`;
}

/** The filter with the terms of `added`; a term that is there already is removed. */
export function toggle(filter, added) {
  const present = terms(filter);
  const given = terms(added);
  if (given.every((term) => present.includes(term))) return present.filter((term) => !given.includes(term)).join(",");
  return [...present, ...given.filter((term) => !present.includes(term))].join(",");
}

export const remove = (filter, term) =>
  terms(filter)
    .filter((each) => each !== term)
    .join(",");

const invert = (filter, term) => {
  const parsed = parse(term);
  const inverted = write({ ...parsed, negated: !parsed.negated });
  return terms(filter)
    .map((each) => (each === term ? inverted : each))
    .join(",");
};

/** "Country: Germany" or "Country: not Germany"; a region has its name in the only `country` of the filter. */
function words(term, country) {
  const { dimension, negated, value } = parse(term);
  return `${NAMES[dimension] ?? dimension}: ${negated ? "not " : ""}${valueWords(dimension, value, country)}`;
}

/** The country of a filter that has exactly one; otherwise null. */
function onlyCountry(filter) {
  const countries = terms(filter)
    .map(parse)
    .filter(({ dimension, negated }) => dimension === "country" && !negated);
  return countries.length === 1 ? countries[0].value : null;
}

export function valueWords(dimension, value, country = null) {
  if (value === null) return "unknown";
  if (dimension === "region") return regionName(country, value);
  if (dimension === "country") return format.country(value);
  if (dimension === "route" || dimension === "event") return format.words(value);
  if (dimension === "room_state") return STATES[value] ?? value;
  if (dimension === "device") return format.capital(value);
  return value || "(empty)";
}

/** Show the chips of `filter`; `onChange(filter)` is called with the filter that a chip leads to. */
export function showChips(filter, onChange) {
  const list = byId("chips");
  const chips = terms(filter).map((term) => chip(filter, term, onChange));
  if (chips.length > 1) {
    const clear = el("button", { class: "link", type: "button", onclick: () => onChange("") }, "Clear all");
    chips.push(el("li", {}, clear));
  }
  list.replaceChildren(...chips);
  list.hidden = chips.length === 0;
}

function chip(filter, term, onChange) {
  const text = words(term, onlyCountry(filter));
  const { negated } = parse(term);
  return el(
    "li",
    { class: "chip", "data-negated": negated },
    el(
      "button",
      {
        type: "button",
        class: "chip-text",
        title: negated ? "Show only these" : "Show all but these",
        onclick: () => onChange(invert(filter, term)),
      },
      text,
    ),
    el(
      "button",
      {
        type: "button",
        class: "chip-remove",
        "aria-label": `Remove filter ${text}`,
        onclick: () => onChange(remove(filter, term)),
      },
      "×",
    ),
  );
}
