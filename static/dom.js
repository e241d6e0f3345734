/** DOM helpers. They only ever write text, so data cannot inject markup. */

/**
 * Create an element. `props` are attributes: true is an empty one, null and false omit it,
 * and a function named `on…` is an event listener. Children are nodes or strings; null is omitted.
 */
export function el(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  setProps(element, props);
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Create an SVG element; see `el`. */
export function svg(tag, props = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  setProps(element, props);
  element.append(...children);
  return element;
}

function setProps(node, props) {
  for (const [name, value] of Object.entries(props)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
}

export const byId = (id) => document.getElementById(id);

/** Set the text if it differs, so that a refresh without changes leaves the DOM untouched. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Set an attribute if it differs; null removes it. */
export function setAttribute(node, name, value) {
  if (value === null) node.removeAttribute(name);
  else if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}
