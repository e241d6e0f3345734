/** The few ways in which this page writes to the document: always as text. */

/**
 * A new element. `props` are attributes; `on…` are listeners, `class` the class,
 * `null` and `false` leave an attribute out. Children are nodes or text.
 */
export function el(tag, props = {}, ...children) {
  const made = document.createElement(tag);
  assign(made, props);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** The same in SVG. */
export function svg(tag, props = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  assign(made, props);
  made.append(...children);
  return made;
}

function assign(node, props) {
  for (const [name, value] of Object.entries(props)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
}

export const byId = (id) => document.getElementById(id);

/** Write text only where it differs, so that a refresh touches nothing else. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** The same for an attribute; `null` removes it. */
export function setAttribute(node, name, value) {
  if (value === null) node.removeAttribute(name);
  else if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}
