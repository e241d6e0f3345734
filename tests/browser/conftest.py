"""Fixtures for tests of the dashboard in the system's headless Chromium."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Error,
    Page,
    Playwright,
    Request,
    Route,
    expect,
    sync_playwright,
)

from tests.support.world import SCALE, TOKEN, Server, World

PROGRAMS = (
    # Without a window's interface and a profile: a fifth less work.
    "chromium-headless-shell",
    *("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"),
)
FLAGS = (
    "--disable-gpu",
    "--in-process-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Another host cannot be contacted, and to try it is an error in the console.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
_POINTER = (
    *("primaryHoverType=2", "availableHoverTypes=2"),
    *("primaryPointerType=4", "availablePointerTypes=4"),
)
"""A mouse: what Playwright sets, and what our own setting would replace."""

UNDRAWN = f"--blink-settings={','.join(_POINTER)},acceleratedCompositingEnabled=false"
"""Everything but pixels, which only screenshots need: an eighth less work."""

DESKTOP = {"width": 1280, "height": 900}
SIGHT = {"viewport": DESKTOP, "color_scheme": "light", "reduced_motion": "reduce"}
"""What a tab can change. Animations would draw the page sixty times per second."""

TIMEOUT_MS = 20_000

QUERY_TOKEN = "token-of-ann-0123456789-0123456789"
"""It reads, and sends SQL."""


@pytest.fixture(scope="package", autouse=True)
def _patience() -> Iterator[None]:
    """Let expectations wait as long as everything else does on a busy machine."""
    expect.set_options(timeout=TIMEOUT_MS)
    yield
    expect.set_options(timeout=None)


@contextmanager
def chromium(playwright: Playwright, *flags: str) -> Iterator[Browser]:
    """The system's Chromium, started with FLAGS and *flags*."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    assert program, "install Chromium for the tests of the dashboard"
    # Chromium refuses to run its sandbox as root.
    sandbox = ["--no-sandbox"] if os.getuid() == 0 else []
    started = playwright.chromium.launch(
        executable_path=program, args=[*FLAGS, *flags, *sandbox]
    )
    yield started
    started.close()


@pytest.fixture(scope="package")
def playwright() -> Iterator[Playwright]:
    """The driver of browsers."""
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="package")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """Chromium for all tests; a test's tab has nothing left of another test."""
    with chromium(playwright, UNDRAWN) as browser:
        yield browser


@pytest.fixture(scope="package")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The sample database, synced once."""
    world = World(tmp_path_factory.mktemp("world"), SCALE)
    world.harm()
    world.sync()
    return world


@pytest.fixture(scope="package")
def server(world: World) -> Iterator[Server]:
    """The API that most tests share; no test stops it."""
    server = Server(world.data_dir)
    server.start(SQL_TOKENS=f"ann:{QUERY_TOKEN}")
    yield server
    server.stop()


@pytest.fixture(scope="package")
def restless_server(world: World) -> Iterator[Server]:
    """An API that some tests stop and start."""
    server = Server(world.data_dir)
    yield server
    server.stop()


@pytest.fixture
def own_server(restless_server: Server) -> Server:
    """An API to stop and start, running with the default settings."""
    restless_server.ensure()
    return restless_server


@pytest.fixture
def empty_server(tmp_path: Path) -> Iterator[Server]:
    """An API before the first sync, whose DATA_DIR is ``tmp_path / "data"``."""
    server = Server(tmp_path / "data")
    server.start()
    yield server
    server.stop()


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


@pytest.fixture(scope="package")
def tabs(browser: Browser) -> Tabs:
    """The tabs that tests share."""
    return Tabs(browser)


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


def held_back(page: Page, pattern: re.Pattern[str]) -> list[Route]:
    """Hold back the requests to *pattern* that *page* sends from now on."""
    routes: list[Route] = []

    def keep(route: Route) -> None:
        routes.append(route)

    page.route(pattern, keep)
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


@pytest.fixture
def visitor(tabs: Tabs) -> Iterator[Visitor]:
    """A visitor for one test."""
    with visiting(tabs) as visitor:
        yield visitor


@pytest.fixture(scope="module")
def shared_visitor(tabs: Tabs) -> Iterator[Visitor]:
    """A visitor whom all tests of a module share."""
    with visiting(tabs) as visitor:
        yield visitor


@pytest.fixture
def page(visitor: Visitor, server: Server) -> Page:
    """The dashboard, signed in, with all figures."""
    return visitor.sign_in(visitor.open_page(), server)
