"""A user's browser in a test: tabs, what a user does first, and problems that are noted."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Error,
    Page,
    Request,
    Route,
    ViewportSize,
)

from tests.support.world import TOKEN, Server

DESKTOP: ViewportSize = {"width": 1280, "height": 900}
MEDIA: Any = {"color_scheme": "light", "reduced_motion": "reduce"}
SIGHT = {"viewport": DESKTOP, **MEDIA}
"""What a tab can change. Animations would draw the page sixty times per second."""

TIMEOUT_MS = 20_000


class Tabs:
    """Contexts of the browser and their tabs, kept for all tests.

    A context keeps the page's files, which never change, with their compiled code, and a
    tab its process: the page costs half as much then. A tab that is given back has
    nothing left of its page, and a size and a media as if it were new.
    """

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._kept: dict[str, BrowserContext] = {}
        self._free: dict[BrowserContext, list[Page]] = {}

    def create(self, options: dict[str, Any]) -> BrowserContext:
        """A new context, of a user who was never here."""
        defaults = {"locale": "en-GB", "timezone_id": "Europe/Berlin"}
        context = self._browser.new_context(**defaults | SIGHT | options)
        context.set_default_timeout(TIMEOUT_MS)
        return context

    def take(self, options: dict[str, Any]) -> Page:
        """An empty tab with *options*, which nobody else uses."""
        sight = SIGHT | {name: options.pop(name) for name in SIGHT & options.keys()}
        context = self._context(options)
        free = self._free.setdefault(context, [])
        page = free.pop() if free else context.new_page()
        page.set_viewport_size(sight.pop("viewport"))
        page.emulate_media(media="null", **sight)
        return page

    def give_back(self, page: Page) -> None:
        """Leave the page, and remove what it stored."""
        page.unroute_all()
        if page.url.startswith("http"):
            page.evaluate("localStorage.clear(); sessionStorage.clear()")
        page.goto("about:blank")
        page.context.clear_cookies()
        self._free[page.context].append(page)

    def _context(self, options: dict[str, Any]) -> BrowserContext:
        key = repr(sorted(options.items()))
        if key not in self._kept:
            self._kept[key] = self.create(options)
        return self._kept[key]


class Visitor:
    """A user with a browser; records its errors and warnings, and requests where wanted."""

    def __init__(self, tabs: Tabs) -> None:
        self._tabs = tabs
        self._own: list[BrowserContext] = []
        self._pages: list[Page] = []
        self._recorded: list[Page] = []
        self.problems: list[str] = []
        self.requests: list[str] = []
        self._listeners = {
            "console": self._record,
            "pageerror": self._record_error,
        }

    def open_page(self, *, fresh: bool = False, **options: Any) -> Page:
        """Open a page; by default in British English on a desktop.

        A *fresh* one has a context of its own: an empty cache, no history, and a clock
        to be set.
        """
        page = self._fresh(options) if fresh else self._tabs.take(options)
        if not fresh:
            self._pages.append(page)
        for event, listener in self._listeners.items():
            page.on(event, listener)  # type: ignore[call-overload]
        return page

    def record_requests(self, page: Page) -> Page:
        """Note the addresses of all requests of *page* from now on in `requests`.

        Each request costs the driver and the test about a millisecond.
        """
        page.on("request", self._record_request)
        self._recorded.append(page)
        return page

    def _fresh(self, options: dict[str, Any]) -> Page:
        context = self._tabs.create(options)
        self._own.append(context)
        return context.new_page()

    def sign_in(
        self, page: Page, server: Server, query: str = "", token: str = TOKEN
    ) -> Page:
        """Open the dashboard with a token, as by a link, and wait for all figures."""
        page.goto(f"{server.page}{query}#token={token}")
        return settled(page)

    def expect_problem(self, text: str) -> None:
        """Assert that the browser logged *text*, such as "401", and forget it."""
        assert any(text in problem for problem in self.problems), self.problems
        self.problems = [each for each in self.problems if text not in each]

    def _record(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.problems.append(message.text)

    def _record_error(self, error: Error) -> None:
        self.problems.append(str(error))

    def _record_request(self, request: Request) -> None:
        self.requests.append(request.url)

    def close(self) -> None:
        """Leave all pages."""
        for page in self._pages:
            for event, listener in self._listeners.items():
                page.remove_listener(event, listener)
            if page in self._recorded:
                page.remove_listener("request", self._record_request)
            self._tabs.give_back(page)
        for context in self._own:
            context.close()


VIEW = """query => {
  history.pushState(null, "", location.pathname + query);
  dispatchEvent(new PopStateEvent("popstate"));
}"""


def show_view(page: Page, query: str = "") -> Page:
    """Show the view of *query* and wait for its figures.

    The page stays loaded, as when the reader goes back: half the work.
    """
    page.evaluate(VIEW, query)
    return settled(page)


def settled(page: Page) -> Page:
    """Wait until *page* shows all answers, or all of its room."""
    page.wait_for_selector(
        "#daily .value:not([data-loading]), #room-page:not([hidden])", state="attached"
    )
    page.wait_for_selector("#view:not([aria-busy])")
    return page


FRAMES_PASS = """() => new Promise((resolve) =>
  requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(resolve))))"""
"""Two frames later, after what observers of sizes do."""


def resize(page: Page, size: ViewportSize) -> None:
    """Give the window another size, and wait until the page has answered it."""
    page.set_viewport_size(size)
    page.evaluate(FRAMES_PASS)


INTERCEPTED = 204
UNTIL_INTERCEPTED = f"""async () => {{
  while ((await fetch("?intercepted")).status !== {INTERCEPTED});
}}"""


def intercept(
    page: Page, pattern: str | re.Pattern[str], handler: Callable[[Route], None]
) -> None:
    """Let *handler* answer the requests to *pattern* that the open *page* sends from now on.

    Chromium says that it intercepts requests before the page's process knows, so those
    sent in the next milliseconds can reach the server. Wait until one does not.
    """
    page.route("**/*?intercepted", lambda route: route.fulfill(status=INTERCEPTED))
    page.route(pattern, handler)
    page.evaluate(UNTIL_INTERCEPTED)


def held_back(page: Page, pattern: re.Pattern[str]) -> list[Route]:
    """Hold back the requests to *pattern* that *page* sends from now on."""
    routes: list[Route] = []

    def keep(route: Route) -> None:
        routes.append(route)

    intercept(page, pattern, keep)
    return routes


def hold_no_more(page: Page, pattern: re.Pattern[str]) -> None:
    """Let further requests to *pattern* through; those held back stay so."""
    page.route(pattern, lambda route: route.continue_())


@contextmanager
def visiting(tabs: Tabs) -> Iterator[Visitor]:
    """A visitor whose browser must log no problem, as contacting another host is."""
    visitor = Visitor(tabs)
    yield visitor
    visitor.close()
    assert visitor.problems == []
