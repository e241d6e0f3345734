"""The system's Chromium, headless, and the page that it shows."""

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

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
DESKTOP = {"width": 1280, "height": 900}
PATIENCE_MS = 20_000


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """One for all tests; each has a context, and so a profile, of its own."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    assert program, "install Chromium for the tests of the dashboard"
    # Chromium's sandbox refuses to be run by root.
    flags = [*FLAGS, "--no-sandbox"] if os.getuid() == 0 else list(FLAGS)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=flags)
        yield chromium
        chromium.close()


@pytest.fixture(scope="package")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The sample, mirrored once."""
    world = World(tmp_path_factory.mktemp("world"), SCALE)
    world.harm()
    world.sync()
    return world


@pytest.fixture(scope="package")
def server(world: World) -> Iterator[Server]:
    """The API that most tests share; none of them stops it."""
    server = Server(world.data_dir)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="package")
def restless_server(world: World) -> Iterator[Server]:
    """One that some tests stop and start."""
    server = Server(world.data_dir)
    yield server
    server.stop()


@pytest.fixture
def own_server(restless_server: Server) -> Server:
    """An API to stop and start, up and with its usual settings."""
    restless_server.ensure()
    return restless_server


@pytest.fixture
def empty_server(tmp_path: Path) -> Iterator[Server]:
    """An API before the first sync, whose DATA_DIR is ``tmp_path / "data"``."""
    server = Server(tmp_path / "data")
    server.start()
    yield server
    server.stop()


class Visitor:
    """Somebody with a browser, and what the browser complained about meanwhile."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._contexts: list[BrowserContext] = []
        self.complaints: list[str] = []
        self.requests: list[str] = []

    def comes(self, **how: Any) -> Page:
        """A new page in a context as described; unless said, British at a desk."""
        given = {"viewport": DESKTOP, "locale": "en-GB", "timezone_id": "Europe/Berlin"}
        context = self._browser.new_context(**given | how)
        context.set_default_timeout(PATIENCE_MS)
        self._contexts.append(context)
        page = context.new_page()
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        return page

    def signs_in(self, page: Page, server: Server, query: str = "") -> Page:
        """Opens the dashboard, types the token and waits for all numbers."""
        page.goto(f"{server.page}{query}")
        page.get_by_label("Access token").fill(TOKEN)
        page.get_by_role("button", name="Sign in").click()
        return settled(page)

    def expects_complaint(self, text: str) -> None:
        """Browsers log answers such as 401; those that a test wants are no errors."""
        assert any(text in complaint for complaint in self.complaints), self.complaints
        self.complaints = [said for said in self.complaints if text not in said]

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def leaves(self) -> None:
        for context in self._contexts:
            context.close()


def settled(page: Page) -> Page:
    """*page*, once everything is answered and shown."""
    page.wait_for_selector("#daily .value:not([data-loading])")
    page.wait_for_selector("#view:not([aria-busy])")
    return page


@contextmanager
def visiting(browser: Browser) -> Iterator[Visitor]:
    """A visitor whose browser must complain of nothing, and ask nobody else."""
    visitor = Visitor(browser)
    yield visitor
    visitor.leaves()
    assert visitor.complaints == []
    ours = ("http://127.0.0.1:", "blob:http://127.0.0.1:")
    assert [url for url in visitor.requests if not url.startswith(ours)] == []


@pytest.fixture
def visitor(browser: Browser) -> Iterator[Visitor]:
    """Who comes for this test alone."""
    with visiting(browser) as visitor:
        yield visitor


@pytest.fixture
def page(visitor: Visitor, server: Server) -> Page:
    """The dashboard, signed in, with all numbers."""
    return visitor.signs_in(visitor.comes(), server)
