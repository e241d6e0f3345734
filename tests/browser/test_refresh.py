"""The page refreshes itself, and says so if it cannot."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from readmodel.sync.lock import exclusive_lock
from readmodel.sync.snapshot_writer import SnapshotWriter
from tests.browser.visitor import Visitor, settled
from tests.support.world import TOKEN, Server, World

pytestmark = pytest.mark.external

REFRESH_MS = 30_000
LARGEST_REFRESH = 1_000  # bytes, including headers

WATCH = """() => {
  window.touched = [];
  new MutationObserver((changes) => {
    for (const { target } of changes) {
      const at = target.nodeType === Node.TEXT_NODE ? target.parentElement : target;
      if (!at.closest("#freshness, #sync-figures")) window.touched.push(at.outerHTML);
    }
  }).observe(document.querySelector("main"), { childList: true, characterData: true, subtree: true });
}"""


def page_with_clock(visitor: Visitor, server: Server) -> Page:
    """A signed-in page whose clock the test controls."""
    page = visitor.open_page(fresh=True)
    page.clock.install()
    return visitor.sign_in(page, server)


def test_a_refresh_without_new_data_is_small_and_changes_nothing(
    visitor: Visitor, server: Server
) -> None:
    """It sends one conditional request, gets 304 and modifies no node."""
    page = page_with_clock(visitor, server)
    page.evaluate(WATCH)
    visitor.record_requests(page)
    with page.expect_response("**/?**") as answered:
        page.clock.run_for(REFRESH_MS)
    settled(page)
    assert answered.value.status == 304  # which has no body
    headers = answered.value.headers_array()
    lines = [f"{header['name']}: {header['value']}\r\n" for header in headers]
    assert len("HTTP/1.1 304 Not Modified\r\n\r\n" + "".join(lines)) < LARGEST_REFRESH
    assert len(visitor.requests) == 1
    assert page.evaluate("window.touched") == []


def test_new_data_is_shown_and_announced(
    visitor: Visitor, server: Server, world: World
) -> None:
    """Tables that the reader opened stay open."""
    page = page_with_clock(visitor, server)
    page.get_by_text("Activity as a table").click()
    before = page.locator("#tiles .value").first.inner_text()
    runs = page.locator("#runs tbody tr").count()
    world.add_page_view()
    world.sync()
    page.clock.run_for(REFRESH_MS)
    after = f"{int(before.replace(',', '')) + 1:,}"
    expect(page.locator("#tiles .value").first).to_have_text(after)
    expect(page.get_by_role("status").first).to_contain_text("Data from")
    expect(page.locator("#activity-table tbody tr").first).to_be_visible()
    expect(page.locator("#runs tbody tr")).to_have_count(runs + 1)


def test_the_page_survives_an_outage(visitor: Visitor, own_server: Server) -> None:
    """During the outage it shows the last figures, marked as stale."""
    page = page_with_clock(visitor, own_server)
    shown = page.locator("#tiles .value").all_inner_texts()
    own_server.stop()
    page.clock.run_for(REFRESH_MS)
    banner = page.locator("#banner")
    expect(banner).to_contain_text("The API is not responding. Showing data from")
    expect(page.locator("#freshness")).to_contain_text("the API is not responding")
    assert page.locator("#tiles .value").all_inner_texts() == shown
    expect(page.locator("#view")).to_have_class("stale")
    own_server.start()
    page.clock.run_for(REFRESH_MS)
    expect(banner).to_be_hidden()
    expect(page.locator("#view")).not_to_have_class("stale")
    expect(page.locator("#freshness")).to_have_attribute("data-state", "fresh")
    visitor.expect_problem("ERR_CONNECTION_REFUSED")


@pytest.mark.long("test_the_page_survives_an_outage")
def test_an_outage_does_not_speak_of_data_that_is_not_shown(
    visitor: Visitor, own_server: Server
) -> None:
    """The reader has chosen another range, of which there is no answer."""
    page = page_with_clock(visitor, own_server)
    own_server.stop()
    page.keyboard.press("w")
    banner = page.locator("#banner")
    expect(banner).to_contain_text("The API is not responding.")
    expect(banner).not_to_contain_text("Showing data")
    expect(page.locator("#tiles .value[data-loading]")).to_have_count(5)
    expect(page.locator("#view")).to_have_class(re.compile("no-data"))
    own_server.start()
    page.get_by_role("button", name="Try again now").click()
    expect(banner).to_be_hidden()
    expect(page.locator("#view")).not_to_have_class(re.compile("no-data"))
    visitor.expect_problem("ERR_CONNECTION_REFUSED")


@pytest.mark.long("test_the_page_survives_an_outage")
def test_a_button_retries_at_once(visitor: Visitor, own_server: Server) -> None:
    """It does not wait for the next refresh."""
    page = page_with_clock(visitor, own_server)
    own_server.stop()
    page.clock.run_for(REFRESH_MS)
    retry = page.get_by_role("button", name="Try again now")
    expect(retry).to_be_visible()
    own_server.start()
    retry.click()
    expect(retry).to_be_hidden()
    visitor.expect_problem("ERR_CONNECTION_REFUSED")


def test_where_its_tables_are_not_mirrored_the_page_shows_all_else(
    visitor: Visitor, empty_server: Server, tmp_path: Path
) -> None:
    """Tables, reports and the sync; the reason is there, and nothing waits or failed."""
    data_dir = tmp_path / "data"
    with (
        exclusive_lock(data_dir),
        SnapshotWriter(data_dir, datetime.now(UTC)) as writer,
    ):
        writer.configured = ("players",)
        writer.publish()
    page = visitor.open_page()
    page.goto(empty_server.page)
    page.get_by_label("Access token").fill(TOKEN)
    page.get_by_role("button", name="Sign in").click()
    reason = page.locator("#no-statistics")
    expect(reason).to_contain_text("TABLES does not mirror all tables that they need")
    expect(page.locator("#banner")).to_be_hidden()
    for section in ("overview", "returning", "votes", "rooms", "visits", "audience"):
        expect(page.locator(f"#{section}")).to_be_hidden()
    expect(page.locator("#controls")).to_be_hidden()
    expect(page.locator("#sections a:visible")).to_have_text(["Explore", "Sync"])
    expect(page.locator("#explore-body")).to_contain_text("There are no derived tables")
    visitor.expect_problem("404")
    visitor.expect_problem("503")  # of /health: the table is not there yet


def test_stale_data_is_marked_as_late(visitor: Visitor, own_server: Server) -> None:
    """Data is stale after three intervals without a sync."""
    own_server.stop()
    own_server.start(SYNC_INTERVAL_SECONDS="1")
    page = visitor.sign_in(visitor.open_page(), own_server)
    expect(page.locator("#freshness")).to_have_attribute("data-state", "late")
    expect(page.locator("#freshness")).to_contain_text("the sync is late")


def test_only_the_last_chosen_range_is_shown(any_view: Page, server: Server) -> None:
    """The order in which answers arrive does not matter."""
    page = any_view
    for key in "wlnaw":
        page.keyboard.press(key)
    week = server.ask("/", period="7d").json()["data"]["traffic"]["page_views"]
    expect(page.locator("#tiles .value").first).to_have_text(f"{week:,}")
    settled(page)
    expect(page.locator("#range-name")).to_have_text("7 days")
