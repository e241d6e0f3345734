"""Fixtures for tests of the dashboard in the system's headless Chromium."""

import os
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
    Page,
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
)
DESKTOP = {"width": 1280, "height": 900}
TIMEOUT_MS = 20_000


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Chromium for all tests; each test has its own context and thus its own profile."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    assert program, "install Chromium for the tests of the dashboard"
    # Chromium refuses to run its sandbox as root.
    flags = [*FLAGS, "--no-sandbox"] if os.getuid() == 0 else list(FLAGS)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=flags)
        yield chromium
        chromium.close()


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
    server.start()
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


class Contexts:
    """Contexts of the browser by their options, kept for all tests.

    A context keeps the page's files, which never change, with their compiled code:
    loading the page costs half as much then.
    """

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._kept: dict[str, BrowserContext] = {}

    def create(self, options: dict[str, Any]) -> BrowserContext:
        """A new context, of a user who was never here."""
        defaults = {
            "viewport": DESKTOP,
            "locale": "en-GB",
            "timezone_id": "Europe/Berlin",
        }
        context = self._browser.new_context(**defaults | options)
        context.set_default_timeout(TIMEOUT_MS)
        return context

    def kept(self, options: dict[str, Any]) -> BrowserContext:
        """The context with *options* that all tests use."""
        key = repr(sorted(options.items()))
        if key not in self._kept:
            self._kept[key] = self.create(options)
        return self._kept[key]


@pytest.fixture(scope="package")
def contexts(browser: Browser) -> Contexts:
    """The contexts that tests share."""
    return Contexts(browser)


class Visitor:
    """A user with a browser; records the browser's errors, warnings and requests."""

    def __init__(self, contexts: Contexts) -> None:
        self._contexts = contexts
        self._own: list[BrowserContext] = []
        self._pages: list[Page] = []
        self.problems: list[str] = []
        self.requests: list[str] = []

    def open_page(self, *, fresh: bool = False, **options: Any) -> Page:
        """Open a page; by default in British English on a desktop.

        A *fresh* one has a context of its own: an empty cache, and a clock to be set.
        """
        if fresh:
            context = self._contexts.create(options)
            self._own.append(context)
        else:
            context = self._contexts.kept(options)
        page = context.new_page()
        self._pages.append(page)
        page.on("console", self._record)
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        return page

    def sign_in(self, page: Page, server: Server, query: str = "") -> Page:
        """Open the dashboard, enter the token and wait for all figures."""
        page.goto(f"{server.page}{query}")
        page.get_by_label("Access token").fill(TOKEN)
        page.get_by_role("button", name="Sign in").click()
        return settled(page)

    def expect_problem(self, text: str) -> None:
        """Assert that the browser logged *text*, such as "401", and forget it."""
        assert any(text in problem for problem in self.problems), self.problems
        self.problems = [each for each in self.problems if text not in each]

    def _record(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.problems.append(message.text)

    def close(self) -> None:
        """Close all pages, and leave nothing of them in the contexts."""
        for page in self._pages:
            if page.url.startswith("http"):
                page.evaluate("localStorage.clear()")
            page.context.clear_cookies()
            page.close()
        for context in self._own:
            context.close()


def settled(page: Page) -> Page:
    """Wait until *page* shows all answers, or all of its room."""
    page.wait_for_selector(
        "#daily .value:not([data-loading]), #room-page:not([hidden])", state="attached"
    )
    page.wait_for_selector("#view:not([aria-busy])")
    return page


@contextmanager
def visiting(contexts: Contexts) -> Iterator[Visitor]:
    """A visitor whose browser must log no problem and contact no other host."""
    visitor = Visitor(contexts)
    yield visitor
    visitor.close()
    assert visitor.problems == []
    ours = ("http://127.0.0.1:", "blob:http://127.0.0.1:")
    assert [url for url in visitor.requests if not url.startswith(ours)] == []


@pytest.fixture
def visitor(contexts: Contexts) -> Iterator[Visitor]:
    """A visitor for one test."""
    with visiting(contexts) as visitor:
        yield visitor


@pytest.fixture
def page(visitor: Visitor, server: Server) -> Page:
    """The dashboard, signed in, with all figures."""
    return visitor.sign_in(visitor.open_page(), server)
