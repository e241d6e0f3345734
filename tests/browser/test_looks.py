"""How the page looks in places that no figure depends on: nothing cut, covered or empty."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, ViewportSize, expect

from tests.browser.visitor import DESKTOP, Visitor, resize, settled, show_view
from tests.support.effort import fewer
from tests.support.world import Server

pytestmark = pytest.mark.external

PHONE: ViewportSize = {"width": 360, "height": 780}
A4: ViewportSize = {"width": 703, "height": 1009}

NOTHING = "\u2013"

CARDS = """cards => cards.map((card) => {
  const { top, left, width } = card.getBoundingClientRect();
  return [Math.round(top), left, width];
})"""

CUT = """() => [...document.querySelectorAll(".tile .note")]
  .filter((note) => note.scrollWidth > note.clientWidth)
  .map((note) => note.textContent)"""

HALF_SHOWN = """() => [...document.querySelectorAll(".name-line")].filter((line) => {
  const note = line.querySelector(".note")?.getBoundingClientRect();
  const space = line.getBoundingClientRect();
  return note && note.top < space.bottom - 2 && note.right > space.right + 1;
}).map((line) => line.textContent)"""


def box(page: Page, selector: str) -> Any:
    """Where an element is in the window."""
    found = page.locator(selector).bounding_box()
    assert found, selector
    return found


def bottom(page: Page, selector: str) -> float:
    """Where an element ends."""
    found = box(page, selector)
    return float(found["y"] + found["height"])


def test_the_section_in_view_is_marked(page: Page) -> None:
    """In the list of sections, which stays in sight above the question."""
    current = page.locator("#sections a[aria-current]")
    expect(current).to_have_text("Overview")
    for name in ("Votes", "Rooms", "Audience", "Return"):
        page.locator("#sections").get_by_role("link", name=name).click()
        expect(current).to_have_text(name)
        section = str(current.get_attribute("href"))
        assert box(page, "#sections")["y"] == 0
        assert bottom(page, "#sections") <= box(page, "#controls")["y"]
        assert bottom(page, "#controls") <= box(page, f"{section} h2")["y"]
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    expect(current).to_have_text("Sync")
    page.evaluate("scrollTo(0, 0)")
    expect(current).to_have_text("Overview")


def test_a_phone_shows_the_usual_page_instead_of_the_wall_view(any_view: Page) -> None:
    """Also from an address that asks for it: there is no room for one screen."""
    page = any_view
    page.set_viewport_size(PHONE)
    show_view(page, "?kiosk=true")
    assert bottom(page, "#main-chart") <= box(page, "#figures")["y"]
    assert page.evaluate("getComputedStyle(document.body).overflow") == "visible"


def test_no_change_is_cut(any_view: Page) -> None:
    """Whatever it is compared with, on a phone and on a desktop."""
    for query in fewer(("?period=yesterday", "?period=30d"), 1):
        show_view(any_view, query)
        for size in (PHONE, DESKTOP):
            resize(any_view, size)
            assert any_view.evaluate(CUT) == []


def test_a_name_is_shown_with_its_country_or_without(any_view: Page) -> None:
    """Never with a part of it; screen readers get both, apart."""
    page = show_view(any_view, "?period=all")
    for size in (PHONE, DESKTOP):
        resize(page, size)
        assert page.locator(".name-line .note").count() >= 10
        assert page.evaluate(HALF_SHOWN) == []
    tree = page.locator("[data-bars=Cities]").aria_snapshot()
    assert re.search(r'button "\w+ Germany"', tree)
    assert not re.search(r'button "[^"]*\wGermany"', tree)


def test_a_card_with_all_rows_leaves_its_neighbours_as_they_are(
    any_view: Page,
) -> None:
    """It grows alone."""
    page = show_view(any_view, "?period=all")
    card, neighbour = "[data-bars=Cities]", "[data-bars=Countries]"
    before = [box(page, each)["height"] for each in (card, neighbour)]
    page.locator(f"{card} .more").click()
    expect(page.locator(f"{card} tbody tr").nth(20)).to_be_attached()
    after = [box(page, each)["height"] for each in (card, neighbour)]
    assert after[0] > before[0]
    assert after[1] == before[1]


def test_rows_of_cards_are_full(page: Page) -> None:
    """No card stands alone beside an empty space, whatever the width."""
    for width in fewer((360, 768, 1280, 1440, 1920, 2560, 3840), 3):
        page.set_viewport_size({"width": width, "height": 900})
        for section in ("#vote-bars", "#visit-bars", "#audience-bars"):
            cards = page.locator(f"{section} > .card").evaluate_all(CARDS)
            space = box(page, section)
            ends = {top: left + wide for top, left, wide in cards}
            for end in ends.values():
                whole = space["x"] + space["width"]
                assert end == pytest.approx(whole, abs=1), (width, section)


def test_a_reason_takes_no_space_for_rows(any_view: Page) -> None:
    """A filter by country has no meaning for weekdays of votes."""
    page = show_view(any_view, "?filter=country:DE")
    card = page.locator("[data-bars=Weekdays]")
    expect(card).to_contain_text("does not apply")
    assert box(page, "[data-bars=Weekdays]")["height"] < 160


def test_cards_on_paper_fill_its_width_and_have_a_title(page: Page) -> None:
    """Two cards have no empty third column; buttons leave no empty line behind."""
    page.set_viewport_size(A4)
    page.emulate_media(media="print")
    for section in ("#vote-bars", "#visit-bars"):
        cards = page.locator(f"{section} > .card").evaluate_all(CARDS)
        assert len({top for top, *_ in cards}) == 1, section
        space, (_, left, wide) = box(page, section), cards[-1]
        assert left + wide == pytest.approx(space["x"] + space["width"], abs=1)
    for head in page.locator(".card > .heading:visible").all():
        assert head.inner_text().strip()


def test_the_share_dialog_leaves_a_margin_on_a_phone(page: Page) -> None:
    """Its edges are seen on both sides."""
    page.set_viewport_size(PHONE)
    page.get_by_role("button", name="Share").click()
    expect(page.locator("#share-status")).to_contain_text("It works until")
    dialog = box(page, "#share-dialog")
    assert dialog["x"] >= 8
    assert dialog["x"] + dialog["width"] <= PHONE["width"] - 8
    page.keyboard.press("Escape")


def test_nothing_looks_like_loading_while_the_api_is_away(
    visitor: Visitor, server: Server
) -> None:
    """Dashes instead of grey areas, once it is known that no answer comes."""
    page = visitor.open_page()
    page.route(re.compile(r"/\?"), lambda route: route.abort())
    page.goto(f"{server.page}#token=correct-horse-battery-staple")
    expect(page.locator(".no-data")).to_be_attached()
    expect(page.locator("#banner")).to_contain_text("not responding")
    looks = page.locator("#tiles .value").first.evaluate(
        "node => { const { backgroundColor, animationName } = getComputedStyle(node);"
        " return [backgroundColor, animationName,"
        " getComputedStyle(node, '::before').content]; }"
    )
    assert looks == ["rgba(0, 0, 0, 0)", "none", f'"{NOTHING}"']
    page.unroute_all()
    page.get_by_role("button", name="Try again now").click()
    settled(page)
    visitor.expect_problem("ERR_FAILED")
