/** The section in view, marked in the list of sections. */

import { byId, setAttribute } from "./dom.js";

/** A section is in view once it begins above this part of the window. */
const LINE = 1 / 3;

/** Mark the link to the section in view from now on. Links may be added later. */
export function followSections() {
  const nav = byId("sections");
  const observer = new IntersectionObserver(() => mark(nav), {
    rootMargin: `-${LINE * 100}% 0px ${LINE * 100 - 99}% 0px`,
  });
  const observe = () => {
    for (const { section } of entries(nav)) observer.observe(section);
  };
  observe();
  new MutationObserver(observe).observe(nav, { childList: true });
  // The last sections may be too short to reach the line.
  new IntersectionObserver(() => mark(nav), { threshold: 1 }).observe(byId("bottom"));
}

const entries = (nav) =>
  [...nav.querySelectorAll("a")]
    .map((link) => ({ link, section: document.querySelector(link.getAttribute("href")) }))
    .filter(({ section }) => section !== null);

function mark(nav) {
  const shown = entries(nav).filter(({ section }) => section.getClientRects().length > 0);
  const atEnd = byId("bottom").getBoundingClientRect().bottom <= innerHeight + 1 && scrollY > 0;
  const line = atEnd ? innerHeight : innerHeight * LINE;
  const current = shown.findLast(({ section }) => section.getBoundingClientRect().top <= line) ?? shown[0];
  for (const { link } of entries(nav)) setAttribute(link, "aria-current", link === current?.link ? "true" : null);
}
