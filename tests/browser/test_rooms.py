"""Rooms open, are found by name, number or id; and users return as a grid."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser import drawn
from tests.browser.shared_page import SharedPage
from tests.browser.visitor import Visitor, settled, show_view
from tests.support.effort import some_long
from tests.support.world import Server, World

pytestmark = pytest.mark.external

COHORTS = 12


@pytest.fixture
def busiest(server: Server, world: World) -> Any:
    """The room with the most votes, over all time."""
    return server.ask(f"/rooms/{world.busiest_room()}", period="all").json()


def search(page: Page, text: str) -> list[str]:
    """Names of the rooms that a search finds."""
    with page.expect_response(re.compile(r"/rooms\?.*q=")):
        page.get_by_label("Search rooms").fill(text)
    settled(page)
    expect(page.locator("#room-list .hint")).to_contain_text("“")
    return page.locator("#room-list tbody button").all_inner_texts()


def figure(page: Page, label: str) -> str:
    """A figure of the room's page."""
    tile = page.locator("#room-figures .tile").filter(
        has=page.get_by_text(label, exact=True)
    )
    return tile.locator(".value").inner_text()


@pytest.mark.parametrize("by", some_long(["name", "number", "room_id"]))
def test_a_room_is_found_and_opened(any_view: Page, busiest: Any, by: str) -> None:
    """By name, by number and by id; the address is the room's."""
    page = show_view(any_view, "?period=all")
    assert busiest["name"] in search(page, str(busiest[by]))
    room = page.locator("#room-list tbody tr").filter(
        has_text=str(busiest["number"] or busiest["room_id"])
    )
    room.get_by_role("button").first.click()
    settled(page)
    assert f"room={busiest['room_id']}" in page.url
    expect(page.locator("#room-title")).to_have_text(busiest["name"])
    assert figure(page, "Votes") == f"{busiest['stats']['votes']:,}"
    assert figure(page, "Members") == f"{busiest['members']:,}"
    assert (
        float(figure(page, "Spread of estimates")) == busiest["agreement"]["avg_spread"]
    )
    assert (
        sum(bar.value for bar in drawn.bars(page, "#room-charts article:first-child"))
        == (busiest["stats"]["votes"])
    )
    page.get_by_role("button", name="All rooms").click()
    settled(page)
    expect(page.locator("#everything")).to_be_visible()


def test_a_room_opens_from_its_address(
    visitor: Visitor, server: Server, busiest: Any
) -> None:
    """And leads back with Escape."""
    query = f"?period=all&room={busiest['room_id']}"
    page = visitor.sign_in(visitor.open_page(), server, query)
    expect(page.locator("#room-title")).to_have_text(busiest["name"])
    expect(page.locator("#everything")).to_be_hidden()
    page.keyboard.press("Escape")
    settled(page)
    assert "room=" not in page.url


def test_not_there_not_in_the_range_and_never_voted_are_three_answers(
    any_view: Page, shared_page: SharedPage, server: Server
) -> None:
    """Each in words; none shows nine zeros."""
    page = show_view(any_view, "?room=999999999")
    expect(page.locator("#room-status")).to_contain_text("There is no room with the id")
    expect(page.locator("#room-body")).to_be_hidden()
    expect(page.get_by_role("button", name="Room as CSV")).to_be_hidden()
    shared_page.expect_problem("404")
    rows = server.ask("/rooms", period="all", order="last_vote", limit=1000).json()[
        "rows"
    ]
    old = next(row for row in rows if row["last_vote_at"])
    show_view(page, f"?period=today&room={old['room_id']}")
    expect(page.locator("#room-status")).to_contain_text("it last voted on")
    expect(page.get_by_label("Compare with")).to_be_hidden()
    page.get_by_role("button", name="Show all its votes").click()
    settled(page)
    expect(page.locator("#room-body")).to_be_visible()
    assert "period=all" in page.url
    silent = next((row for row in rows if not row["last_vote_at"]), None)
    if silent:
        show_view(page, f"?room={silent['room_id']}")
        expect(page.locator("#room-status")).to_contain_text("has never voted")


def test_top_rooms_have_figures_and_open(page: Page, server: Server) -> None:
    """Those with the most votes in the range come first."""
    expected = server.ask("/rooms", period="90d", order="-votes", limit=10).json()[
        "rows"
    ]
    shown = page.locator("#room-list tbody tr")
    expect(shown).to_have_count(len(expected))
    for row, room in zip(shown.all(), expected, strict=True):
        assert row.locator("td").first.inner_text() == f"{room['votes']:,}"
    shown.first.get_by_role("button").click()
    settled(page)
    assert page.url.endswith(f"room={expected[0]['room_id']}")


@pytest.mark.long("test_not_there_not_in_the_range_and_never_voted_are_three_answers")
def test_a_search_without_a_result_says_so(page: Page) -> None:
    """It names what was searched."""
    with page.expect_response(re.compile(r"/rooms\?.*q=")):
        page.get_by_label("Search rooms").fill("no such room")
    expect(page.locator("#room-list .hint")).to_contain_text("No room has the name")


def test_the_spread_of_estimates_is_on_the_first_screen(
    page: Page, server: Server
) -> None:
    """Agreement is what planning poker is about."""
    votes = server.ask("/", period="90d").json()["data"]["votes"]
    tile = page.locator("#figures .tile").filter(has_text="Spread of estimates")
    box = tile.bounding_box()
    assert box
    assert box["y"] < 900
    spread = votes["avg_max_estimation"] - votes["avg_min_estimation"]
    assert float(tile.locator(".value").inner_text()) == pytest.approx(
        spread, abs=0.006
    )


def test_return_is_a_grid_of_weeks(page: Page) -> None:
    """Shares of the cohort by week; the sentence names the share of the first week."""
    with page.expect_response("**/retention?**") as answered:
        page.reload()
    settled(page)
    rows = answered.value.json()["rows"]
    lines = page.locator("#retention tbody tr")
    assert lines.count() == min(COHORTS, len(rows))
    for line, row in zip(lines.all(), rows[-COHORTS:], strict=True):
        cells = line.locator("td").all_inner_texts()
        assert cells[0] == f"{row['size']:,}"
        shares = [cell for cell in cells[1:] if cell]
        counts = row["returned"][:COHORTS] if row["size"] else []
        expected = [f"{int(count / row['size'] * 100 + 0.5)}%" for count in counts]
        assert shares == expected
    finished = [row for row in rows if len(row["returned"]) >= 2][-4:]
    share = sum(row["returned"][0] for row in finished) / sum(
        row["size"] for row in finished
    )
    sentence = page.locator("#returning-sentence").inner_text()
    assert f"{share * 100:.1f}".removesuffix(".0") in sentence
