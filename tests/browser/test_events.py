"""The Events section: figures, chart, live tail and dead letters, if there are events."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from readmodel.sync.drain import drain
from tests.browser.test_access import violations
from tests.browser.visitor import TIMEOUT_MS, Visitor
from tests.support.events import line, rejected_line, write_spool
from tests.support.programs import ROOT
from tests.support.world import HOSTILE, Server, World

pytestmark = pytest.mark.external

MINUTE = 60


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, world: World) -> Path:
    """A read model with some events, and the reports about them."""
    folder = tmp_path_factory.mktemp("events")
    shutil.copytree(world.data_dir, folder / "data", symlinks=True)
    (folder / "views").mkdir()
    shutil.copytree(ROOT / "views" / "events", folder / "views" / "events")
    take(
        folder,
        1,
        *(sent(f"e{n}", 5, name="page_view", user_id=f"u{n % 2}") for n in range(4)),
        sent("e4", 90 * MINUTE, name="sign_up", user_id=HOSTILE),
        sent("e5", 10, name=HOSTILE, properties='{"a": "<b>"}'),
        {**rejected_line("r1", "schema"), "received_at": now(), "raw": HOSTILE},
        {**rejected_line("r2", "clock"), "received_at": now(), "sender": HOSTILE},
    )
    return folder


@pytest.fixture(scope="module")
def events_server(folder: Path) -> Iterator[Server]:
    """The API over it."""
    server = Server(folder / "data")
    server.start(VIEWS_DIR=str(folder / "views"))
    yield server
    server.stop()


def now(seconds_ago: float = 0) -> int:
    """An instant as lines of the spool have it."""
    return round((time.time() - seconds_ago) * 1_000_000)


def sent(event_id: str, seconds_ago: float, **fields: Any) -> dict[str, Any]:
    """A line of an event that happened and arrived some seconds ago."""
    at = now(seconds_ago)
    found: dict[str, Any] = line(event_id, **fields)
    return {**found, "at": at, "received_at": at}


def take(folder: Path, number: int, *lines: dict[str, Any]) -> None:
    """Drain *lines* into the read model."""
    write_spool(folder / "spool", lines, number)
    drain(folder / "data", folder / "spool")


def test_without_events_there_is_no_section(page: Page) -> None:
    """Free Planning Poker's page has no trace of it."""
    expect(page.locator("#explore-body")).to_be_attached()
    assert page.locator("#events, #sections a[href='#events']").count() == 0


def test_the_section_shows_what_happens(
    visitor: Visitor, events_server: Server, folder: Path
) -> None:
    """Figures of a window, and the newest events while they arrive; texts stay text."""
    page = visitor.sign_in(visitor.open_page(), events_server)
    page.locator("#sections").get_by_role("link", name="Events").click()
    section = page.locator("#events")
    tiles = section.locator(".tiles .value")
    expect(tiles.nth(0)).to_have_text("6", timeout=TIMEOUT_MS)
    expect(tiles.nth(1)).to_have_text("3")
    expect(tiles.nth(2)).to_have_text("2")
    expect(section.locator(".events-chart rect").first).to_be_attached()
    top = section.get_by_role("region", name="Top events").locator("tbody tr")
    expect(top.first).to_contain_text("page_view")
    expect(top.first).to_contain_text("66.7%")
    letters = section.get_by_role("region", name="Dead letters")
    expect(letters).to_contain_text("schema 1")
    expect(letters.locator("tbody tr")).to_have_count(2)
    tail = section.get_by_role("region", name="Newest events").locator("tbody tr")
    expect(tail).to_have_count(6)
    expect(section).to_contain_text(HOSTILE)
    assert page.evaluate("typeof hacked") == "undefined"
    take(folder, 2, sent("e6", 0, name="just_now", user_id="u9"))
    expect(tail.first).to_contain_text("just_now")
    expect(tail.first).to_have_class("fresh")
    page.get_by_label("Window of the events").select_option("1h")
    expect(section.locator("figcaption")).to_contain_text("last hour")
    expect(tiles.nth(0)).to_have_text("6")  # of seven, one happened before
    assert violations(page, "#events") == []
    # Paper does not scroll: a table that is cut would cover what follows.
    page.emulate_media(media="print")
    heights = section.locator(".scroll").evaluate_all(
        "nodes => nodes.map((node) => getComputedStyle(node).maxHeight)"
    )
    assert set(heights) == {"none"}
    expect(page.locator("#explore")).to_be_hidden()  # a list of links
    page.emulate_media(media="screen")
    page.get_by_role("button", name="Sign out").click()
    expect(tail).to_have_count(0)
