"""The page stays fresh, and honest where it cannot."""

import shutil
from typing import Any

from playwright.sync_api import Page, expect

from tests.browser.conftest import Visitor, settled
from tests.support.world import TOKEN, Server, World

REFRESH_MS = 30_000
LONGEST_REFRESH = 1_000  # bytes, headers and all

WATCH = """() => {
  window.touched = [];
  new MutationObserver((changes) => {
    for (const { target } of changes) {
      const at = target.nodeType === Node.TEXT_NODE ? target.parentElement : target;
      if (!at.closest("#freshness, #sync-figures")) window.touched.push(at.outerHTML);
    }
  }).observe(document.querySelector("main"), { childList: true, characterData: true, subtree: true });
}"""


def waiting(visitor: Visitor, server: Server) -> Page:
    """A page whose clock goes as the test says."""
    page = visitor.comes()
    page.clock.install()
    return visitor.signs_in(page, server)


def test_a_refresh_without_change_is_small_and_touches_nothing(
    visitor: Visitor, server: Server
) -> None:
    """One conditional request, answered 304; not one node is written."""
    page = waiting(visitor, server)
    page.evaluate(WATCH)
    before = len(visitor.requests)
    with page.expect_response("**/?**") as answered:
        page.clock.run_for(REFRESH_MS)
    settled(page)
    assert answered.value.status == 304  # and so without a body
    headers = answered.value.headers_array()
    lines = [f"{header['name']}: {header['value']}\r\n" for header in headers]
    assert len("HTTP/1.1 304 Not Modified\r\n\r\n" + "".join(lines)) < LONGEST_REFRESH
    assert len(visitor.requests) == before + 1
    assert page.evaluate("window.touched") == []


def test_new_data_is_shown_and_said(
    visitor: Visitor, server: Server, world: World
) -> None:
    """What the reader opened and ordered stays as it is."""
    page = waiting(visitor, server)
    page.get_by_text("Activity as a table").click()
    before = page.locator("#tiles .value").nth(1).inner_text()
    runs = page.locator("#runs tbody tr").count()
    world.add_page_view()
    world.sync()
    page.clock.run_for(REFRESH_MS)
    after = f"{int(before.replace(',', '')) + 1:,}"
    expect(page.locator("#tiles .value").nth(1)).to_have_text(after)
    expect(page.get_by_role("status").first).to_contain_text("Data from")
    expect(page.locator("#activity-table tbody tr").first).to_be_visible()
    expect(page.locator("#runs tbody tr")).to_have_count(runs + 1)


def test_the_api_goes_and_comes_back(visitor: Visitor, own_server: Server) -> None:
    """Meanwhile the old numbers stay, marked as old; then all is as before."""
    page = waiting(visitor, own_server)
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
    visitor.expects_complaint("ERR_CONNECTION_REFUSED")


def test_one_can_try_again_at_once(visitor: Visitor, own_server: Server) -> None:
    """Without waiting for the next try."""
    page = waiting(visitor, own_server)
    own_server.stop()
    page.clock.run_for(REFRESH_MS)
    retry = page.get_by_role("button", name="Try again now")
    expect(retry).to_be_visible()
    own_server.start()
    retry.click()
    expect(retry).to_be_hidden()
    visitor.expects_complaint("ERR_CONNECTION_REFUSED")


def test_before_the_first_sync_the_page_waits_and_then_shows(
    visitor: Visitor, empty_server: Server, world: World, tmp_path: Any
) -> None:
    """The token is taken; the data comes by itself."""
    page = visitor.comes()
    page.clock.install()
    page.goto(empty_server.page)
    page.get_by_label("Access token").fill(TOKEN)
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("#banner")).to_contain_text(
        "There is no data yet: the first sync has not finished."
    )
    shutil.copytree(world.data_dir, tmp_path / "data", symlinks=True)
    page.clock.run_for(REFRESH_MS)
    settled(page)
    expect(page.locator("#banner")).to_be_hidden()
    visitor.expects_complaint("503")


def test_data_that_is_not_renewed_is_called_late(
    visitor: Visitor, own_server: Server
) -> None:
    """After three intervals without a sync."""
    own_server.stop()
    own_server.start(SYNC_INTERVAL_SECONDS="1")
    page = visitor.signs_in(visitor.comes(), own_server)
    expect(page.locator("#freshness")).to_have_attribute("data-state", "late")
    expect(page.locator("#freshness")).to_contain_text("the sync is late")


def test_a_change_of_range_overtakes_the_one_before(page: Page, server: Server) -> None:
    """Only the last choice is shown, however the answers arrive."""
    for label in ("7 days", "30 days", "12 months", "7 days"):
        page.get_by_text(label, exact=True).click()
    week = server.ask("/", period="7d").json()["data"]["traffic"]["page_views"]
    expect(page.locator("#tiles .value").nth(1)).to_have_text(f"{week:,}")
    settled(page)
    expect(page.get_by_label("7 days")).to_be_checked()
