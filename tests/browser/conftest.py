"""Fixtures for tests of the dashboard in the system's headless Chromium."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright

from tests.browser.shared_page import SharedPage
from tests.browser.visitor import TIMEOUT_MS, Tabs, Visitor, visiting
from tests.support.world import SCALE, Server, World

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


@pytest.fixture(scope="package")
def tabs(browser: Browser) -> Tabs:
    """The tabs that tests share."""
    return Tabs(browser)


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


@pytest.fixture(scope="package")
def shared_page(tabs: Tabs, server: Server) -> Iterator[SharedPage]:
    """The dashboard that tests share."""
    shared = SharedPage(tabs, server)
    yield shared
    shared.close()


@pytest.fixture
def page(shared_page: SharedPage) -> Iterator[Page]:
    """The dashboard, signed in, with its default view and all figures."""
    yield shared_page.untouched()
    assert shared_page.problems() == []


@pytest.fixture
def any_view(shared_page: SharedPage) -> Iterator[Page]:
    """The dashboard, signed in, with some view: for tests that begin with `show_view`."""
    yield shared_page.in_any_view()
    assert shared_page.problems() == []
