"""Everybody can use the page: by keyboard, by ear, on slow lines."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visitor, settled
from tests.support.world import Server

AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text(encoding="utf-8")
LARGEST_LOAD = 200_000  # bytes, compressed, without the data
LONGEST_SHOWING = 1_000  # milliseconds from the answer to what is shown
LARGEST_SHIFT = 0.02  # of layout, where 0.1 counts as good

WATCH_SHIFTS = """
  window.shifted = 0;
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) window.shifted += entry.value;
  }).observe({ type: "layout-shift", buffered: true });
"""


def faults(page: Page) -> list[Any]:
    """What axe-core holds for serious or critical."""
    page.evaluate(AXE)
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    return [
        (fault["id"], [node["html"] for node in fault["nodes"]])
        for fault in found["violations"]
        if fault["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 360)])
def test_axe_finds_no_serious_fault(
    visitor: Visitor, server: Server, scheme: Any, width: int
) -> None:
    """Signed out, signed in, with every table open."""
    screen = {"width": width, "height": 900}
    page = visitor.comes(color_scheme=scheme, viewport=screen, reduced_motion="reduce")
    page.goto(server.page)
    assert faults(page) == []
    visitor.signs_in(page, server, "?range=7d")
    for summary in page.locator("summary").all():
        summary.click()
    assert faults(page) == []


def test_the_keyboard_reaches_everything(page: Page) -> None:
    """First the way past the head; then series day by day, and their zoom."""
    page.reload()
    settled(page)
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the content")
    expect(skip).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    slider = page.get_by_role("slider", name="Page views")
    slider.focus()
    newest = slider.get_attribute("aria-valuetext")
    last = int(slider.get_attribute("aria-valuenow") or 0)
    page.keyboard.press("ArrowLeft")
    expect(slider).to_have_attribute("aria-valuenow", str(last - 1))
    assert slider.get_attribute("aria-valuetext") != newest
    expect(page.locator('[data-chart="Page views"] .tip')).to_be_visible()
    page.keyboard.press("Home")
    expect(slider).to_have_attribute("aria-valuenow", "0")
    page.keyboard.press("+")
    expect(page.get_by_role("button", name="Reset zoom")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Reset zoom")).to_be_hidden()


def test_a_preset_is_chosen_by_arrow_keys(page: Page) -> None:
    """They are radio buttons."""
    page.get_by_label("90 days").focus()
    with page.expect_response("**/?period=30d**"):
        page.keyboard.press("ArrowLeft")
    expect(page.get_by_label("30 days")).to_be_checked()


def test_who_wants_no_motion_gets_none(visitor: Visitor, server: Server) -> None:
    """Nothing is animated, not even while waiting."""
    page = visitor.comes(reduced_motion="reduce")
    page.goto(server.page)
    page.locator("#view").evaluate("view => { view.hidden = false; }")
    assert page.evaluate("document.getAnimations().length") == 0


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_jumps_while_the_numbers_arrive(
    visitor: Visitor, server: Server, width: int
) -> None:
    """Room is kept for what is still to come."""
    screen = {"width": width, "height": 900}
    page = visitor.signs_in(visitor.comes(viewport=screen), server)
    page.add_init_script(WATCH_SHIFTS)
    page.reload()
    settled(page)
    page.wait_for_function("document.readyState === 'complete'")
    assert page.evaluate("window.shifted") < LARGEST_SHIFT


def test_the_first_load_is_small(visitor: Visitor, server: Server) -> None:
    """All files together, as they travel; the API's answers aside."""
    page = visitor.comes()
    sizes: list[int] = []
    page.on(
        "requestfinished",
        lambda request: sizes.append(request.sizes()["responseBodySize"]),
    )
    page.goto(server.page)
    page.wait_for_load_state("networkidle")
    assert len(sizes) > 10
    assert sum(sizes) < LARGEST_LOAD


def test_numbers_are_shown_within_a_second_of_their_arrival(page: Page) -> None:
    """All charts and tables, of the longest range."""
    with page.expect_response("**/?period=all&interval=**"):
        page.get_by_text("All", exact=True).click()
    settled(page)
    took = page.evaluate("performance.getEntriesByName('show').at(-1).duration")
    assert took < LONGEST_SHOWING


def test_files_are_known_by_their_etag_and_served_compressed(server: Server) -> None:
    """The second visit transfers nothing that did not change."""
    for path in ("/dashboard", "/dashboard/assets/app.js"):
        first = httpx.get(server.url + path, headers={"Accept-Encoding": "gzip"})
        assert first.headers["content-encoding"] == "gzip"
        assert first.headers["cache-control"] == "no-cache"
        tag = {"If-None-Match": first.headers["etag"]}
        assert httpx.get(server.url + path, headers=tag).status_code == 304


def test_the_page_may_run_nothing_but_its_own_files(server: Server) -> None:
    """No script or style in the page, no other host, no frame around it."""
    policy = httpx.get(server.page).headers["content-security-policy"]
    assert policy == (
        "default-src 'none'; script-src 'self'; style-src 'self'; "
        "img-src 'self' data:; connect-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    )


def test_only_files_of_the_page_are_served(server: Server) -> None:
    """Neither what lies hstack them nor a folder."""
    for path in ("../main.py", "%2e%2e/main.py", "vendor", "nothing.js"):
        got = httpx.get(f"{server.url}/dashboard/assets/{path}")
        assert got.status_code == 404, path
