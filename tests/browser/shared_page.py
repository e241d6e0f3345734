"""The dashboard that tests share: loaded once, and again only where that is needed.

A load takes half a second of processor time. What a test did to the page is undone by
showing the default view again, and a fingerprint of the document says whether that was
enough: if not, the page is loaded anew. So a test has the page of a reader who has just
come, whatever was done to it before.
"""

from playwright.sync_api import Page

from tests.browser.visitor import DESKTOP, MEDIA, Tabs, Visitor, show_view
from tests.support.world import Server

_TIDY = """() => {
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
  for (const details of document.querySelectorAll("details[open]")) details.open = false;
  for (const more of document.querySelectorAll('.more[aria-expanded="true"]')) more.click();
  const search = document.getElementById("room-search");
  if (search.value) {
    search.value = "";
    search.dispatchEvent(new Event("input", { bubbles: true }));
  }
  document.querySelector('#options-toggle[aria-expanded="true"]')?.click();
  document.activeElement?.blur();
  scrollTo({ top: 0, left: 0, behavior: "instant" });
  const media = ["print", "(prefers-color-scheme: dark)", "(prefers-reduced-motion: no-preference)"];
  return media.some((query) => matchMedia(query).matches);
}"""
"""Undo what needs no request. Returns true if another medium is emulated."""

_IGNORED = (
    "#freshness, #sync-figures, #live",  # times that go on, and the last announcement
    ".tip, .cursor, .selection",  # of a chart, placed and hidden
    "#printed-at",
    "#room-page, #explore, link[href$='explore.css']",  # filled when a reader comes to them
    "#share-dialog",  # it makes its link whenever it opens
)

_FINGERPRINT = """async (IGNORED) => {
  const copy = document.documentElement.cloneNode(true);
  for (const each of copy.querySelectorAll(IGNORED)) each.remove();
  const fields = [...document.querySelectorAll("input, select, textarea")].filter((field) => !field.closest(IGNORED));
  const state = JSON.stringify([
    copy.outerHTML.replaceAll(' class=""', ""),
    fields.map((field) => [field.value, field.checked]),
    [location.pathname, location.search, innerWidth, innerHeight, scrollX, scrollY],
    [Object.entries(localStorage), Object.entries(sessionStorage), document.cookie],
    document.activeElement === document.body,
    Object.keys(window).sort(),
  ]);
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(state));
  return new Uint8Array(digest).toHex();
}"""
"""A digest of all that a reader, a script or the next request may find changed."""


class SharedPage:
    """A signed-in dashboard of *server*."""

    def __init__(self, tabs: Tabs, server: Server) -> None:
        self._tabs = tabs
        self._server = server
        self._loaded: Page | None = None
        self._print = ""
        self._visitor = Visitor(tabs)

    def in_any_view(self) -> Page:
        """The view of the test before; for tests that begin with `show_view`."""
        if self._loaded is None or not self._is_signed_in(self._loaded):
            return self._load()
        page = self._loaded
        page.unroute_all()
        if page.viewport_size != DESKTOP:
            page.set_viewport_size(DESKTOP)
        if page.evaluate(_TIDY):
            page.emulate_media(media="null", **MEDIA)
        return page

    def untouched(self) -> Page:
        """The default view with all figures, as a reader has it who has just come."""
        page = self.in_any_view()
        if page.url == self._server.page and self._is_untouched(page):
            return page
        show_view(page)
        page.mouse.move(0, 0)
        return page if self._is_untouched(page) else self._load()

    def expect_problem(self, text: str) -> None:
        """Assert that the browser logged *text*, such as "401", and forget it."""
        self._visitor.expect_problem(text)

    def problems(self) -> list[str]:
        """What the browser has logged since the last call."""
        found, self._visitor.problems = self._visitor.problems, []
        return found

    def close(self) -> None:
        """Leave the page."""
        self._visitor.close()

    def _is_untouched(self, page: Page) -> bool:
        return self._fingerprint(page) == self._print

    def _fingerprint(self, page: Page) -> str:
        return str(page.evaluate(_FINGERPRINT, ", ".join(_IGNORED)))

    def _is_signed_in(self, page: Page) -> bool:
        return page.url.startswith(self._server.page) and page.is_visible("#view")

    def _load(self) -> Page:
        self.close()
        self._visitor = Visitor(self._tabs)
        page = self._visitor.sign_in(self._visitor.open_page(), self._server)
        self._loaded, self._print = page, self._fingerprint(page)
        return page
