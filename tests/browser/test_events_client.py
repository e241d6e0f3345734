"""The JavaScript client in Chromium: nothing is lost or doubled, whatever ends when."""

from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from playwright.sync_api import Browser, Page

from readmodel.sync.drain import drain
from tests.support.collectors import CollectorProcess, collector
from tests.support.events import TOKEN
from tests.support.programs import ROOT
from tests.support.stored_events import NOW, event_ids

pytestmark = pytest.mark.external

SETUP = """async ([url, token]) => {
    const { AnalyticsClient } = await import("/analytics.js");
    window.client = new AnalyticsClient(url, token, {
        flushMilliseconds: 60_000, firstPauseMilliseconds: 20, longestPauseMilliseconds: 100,
    });
}"""
TRACK = (
    "count => Array.from({ length: count }, () => client.track('click', { a: 1 }, 7))"
)
ONLY_STORED = (
    "ids => Object.keys(localStorage).every(key => ids.includes(key.split(':')[1]))"
)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def do_GET(self) -> None:
        """Answer ``/`` with an empty page, else with a file of the client."""
        if self.path != "/":
            super().do_GET()
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><link rel=icon href=data:>")


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """The origin of a page that may load the client."""
    handler = partial(_Quiet, directory=str(ROOT / "clients" / "js"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture
def running(tmp_path: Path, site: str) -> Iterator[CollectorProcess]:
    """A collector whose events the site may send."""
    with collector(tmp_path / "spool", CORS_ORIGINS=site) as process:
        yield process


def start(page: Page, site: str, running: CollectorProcess) -> None:
    """Open the site, and start a client."""
    page.goto(site)
    page.evaluate(SETUP, [running.url, TOKEN])


def stored(tmp_path: Path) -> list[str]:
    """The ids of the events that arrived."""
    drain(tmp_path / "data", tmp_path / "spool", lambda: NOW)
    return event_ids(tmp_path / "data")


@pytest.mark.long("test_a_page_that_goes_away_sends_what_waits")
def test_events_survive_a_killed_collector_and_a_closed_tab(
    browser: Browser, site: str, running: CollectorProcess, tmp_path: Path
) -> None:
    """The collector is away, then the page; what was not sent goes with the next page."""
    context = browser.new_context()
    page = context.new_page()
    start(page, site, running)
    ids = page.evaluate(TRACK, 10)
    page.wait_for_function("client.pending === 0")
    running.kill()
    ids += page.evaluate(TRACK, 15)
    page.evaluate("client.flush()")
    assert page.evaluate("client.pending") == 15
    running.start()
    page.wait_for_function("client.pending === 0")
    ids += page.evaluate(TRACK, 3)
    page.close()  # Fewer than a batch: the page's end sends them.
    page = context.new_page()
    page.goto(site)
    # Of these three only: the page may have ended while it forgot them one by one.
    page.wait_for_function(ONLY_STORED, arg=ids[-3:])
    running.kill()
    start(page, site, running)
    ids += page.evaluate(TRACK, 4)
    page.close()
    running.start()
    page = context.new_page()
    start(page, site, running)
    page.evaluate("client.flush()")
    page.wait_for_function("client.pending === 0 && localStorage.length === 0")
    context.close()
    assert stored(tmp_path) == sorted(ids)


def test_a_page_that_goes_away_sends_what_waits(
    browser: Browser, site: str, running: CollectorProcess, tmp_path: Path
) -> None:
    """Without storage, too: the request outlives the page."""
    context = browser.new_context()
    page = context.new_page()
    start(page, site, running)
    ids = page.evaluate(TRACK, 3)
    page.evaluate("localStorage.clear()")
    page.goto("about:blank")
    while len(found := stored(tmp_path)) < len(ids):
        page.wait_for_timeout(20)
    context.close()
    assert found == sorted(ids)
