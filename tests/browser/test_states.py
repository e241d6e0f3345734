"""Honest states: loading, refused, empty, future, first run, print, and files that do not load."""

import re
import shutil
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, Route, ViewportSize, expect

from tests.browser import drawn
from tests.browser.shared_page import SharedPage
from tests.browser.visitor import (
    VIEW,
    Visitor,
    held_back,
    hold_no_more,
    settled,
    show_view,
)
from tests.support.effort import some_long
from tests.support.world import TOKEN, Server, World

pytestmark = pytest.mark.external

REFRESH_MS = 30_000
A4: ViewportSize = {"width": 718, "height": 1_000}
"""Pixels between the margins of the printed page."""

STATISTICS = re.compile(r"/\?.*interval=")
ROOMS = re.compile(r"/rooms\?.*q=a")
COUNTRIES = re.compile(r"/breakdown/country\?")


def test_a_slow_answer_shows_no_number_of_another_range(
    visitor: Visitor, server: Server
) -> None:
    """The sign of loading comes soon; the answer replaces it."""
    page = visitor.sign_in(visitor.open_page(), server)
    title = page.locator("[data-chart] h3")
    expect(title).to_have_text("Page views per day")
    routes = held_back(page, STATISTICS)
    page.keyboard.press("w")
    expect(page.locator("#range-name")).to_have_text("7 days")
    expect(title).to_have_text("Page views")
    expect(page.locator("#view")).to_have_class(re.compile("outdated"))
    expect(page.locator("#loading")).to_be_visible()
    expect(page.locator("#tiles .value[data-loading]")).to_have_count(5)
    values = page.locator("#tiles .value, #figures .value, #vote-figures .value")
    assert "".join(values.all_inner_texts()).strip() == ""
    assert page.locator("#range-text").inner_text().strip() == ""
    assert drawn.bars(page) == []
    expect(page.locator("#room-list tbody tr, #vote-bars tbody tr")).to_have_count(0)
    assert "Nothing in this range" not in page.locator("main").inner_text()
    hold_no_more(page, STATISTICS)  # The page may ask again.
    for route in routes:
        route.continue_()
    settled(page)
    expect(page.locator("#loading")).to_be_hidden()
    expect(page.locator("#view")).not_to_have_class(re.compile("outdated"))
    assert len(drawn.bars(page)) == 7


@pytest.mark.long(
    "tests/browser/test_refresh.py::test_only_the_last_chosen_range_is_shown"
)
def test_only_the_answer_to_the_last_question_is_shown(
    visitor: Visitor, server: Server
) -> None:
    """Rooms and countries of an earlier range may arrive after those of the present."""
    page = visitor.sign_in(visitor.open_page(), server, "?period=all")
    rooms = held_back(page, ROOMS)
    with page.expect_request(ROOMS):
        page.get_by_label("Search rooms").fill("a")
    with page.expect_request(ROOMS):
        page.evaluate(VIEW, "?period=7d")
    arrive_late(page, rooms, ROOMS)
    room = server.ask("/rooms", period="7d", q="a", order="-votes").json()["rows"][0]
    votes = page.locator("#room-list tbody td").first
    expect(votes).to_have_text(f"{room['votes']:,}")
    show_view(page, "?period=all")
    countries = held_back(page, COUNTRIES)
    card = page.locator('[data-bars="Countries"]')
    with page.expect_request(COUNTRIES):
        card.get_by_role("button", name=re.compile("Show all")).click()
    page.evaluate(VIEW, "?period=90d")
    settled(page)
    arrive_late(page, countries, COUNTRIES)
    if card.locator('.more[aria-expanded="false"]').is_visible():
        card.locator(".more").click()
        expect(card.locator(".more")).to_contain_text("Show the first")
    largest = server.ask("/breakdown/country", period="90d").json()["rows"][0]["count"]
    expect(card.locator("tbody td").first).to_have_text(f"{largest:,}")


def arrive_late(page: Page, routes: list[Route], pattern: re.Pattern[str]) -> None:
    """Let the answers arrive, the first of *routes* as the last."""
    hold_no_more(page, pattern)
    for route in reversed(routes):
        with page.expect_response(pattern) as answered:
            route.continue_()
        answered.value.finished()
    # Whoever waits for an earlier answer has it when a later one is read.
    page.evaluate("fetch('health').then((answer) => answer.json())")
    settled(page)


def test_the_sign_of_loading_comes_within_150_milliseconds(
    visitor: Visitor, server: Server
) -> None:
    """By the page's own clock."""
    page = visitor.sign_in(visitor.open_page(fresh=True), server)
    held_back(page, STATISTICS)
    page.clock.install()
    # Otherwise the clock also runs by itself.
    page.clock.pause_at(page.evaluate("Date.now()") + 5_000)
    page.keyboard.press("w")
    page.clock.run_for(149)
    expect(page.locator("#loading")).to_be_hidden()
    page.clock.run_for(2)
    expect(page.locator("#loading")).to_be_visible()


@pytest.mark.long("test_the_sign_of_loading_comes_within_150_milliseconds")
def test_a_fast_answer_shows_no_sign_of_loading(page: Page) -> None:
    """Nothing flickers: tiles keep their numbers until the next ones are there."""
    page.evaluate(
        """() => { window.flickered = [];
        new MutationObserver((all) => {
          for (const { target } of all) if (!target.hidden) window.flickered.push(target.id);
        }).observe(document.getElementById("loading"), { attributes: true }); }"""
    )
    with page.expect_response(STATISTICS) as answered:
        page.keyboard.press("w")
    settled(page)
    took = answered.value.request.timing["responseEnd"]
    assert took > 140 or page.evaluate("window.flickered") == []


def test_a_range_that_begins_too_early_is_cut_and_says_so(
    any_view: Page, shared_page: SharedPage, server: Server
) -> None:
    """In the reader's words; address, dates and numbers are those of the range shown."""
    query = "?from=2024-01-01&to=2024-07-31&compare=none"
    page = show_view(any_view, query)
    expect(page.locator("#notes")).to_have_text(
        "There is data from 3 Jun 2024 on, so the range begins there."
    )
    assert "from=2024-06-03&to=2024-07-31" in page.url
    expect(page.locator("#range-text")).to_contain_text("3 Jun \N{EN DASH} 31 Jul 2024")
    data = server.ask("/", **{"from": "2024-06-03", "to": "2024-07-31"}).json()["data"]
    tile = page.locator('[data-metric="page_views"] .value')
    assert tile.inner_text() == f"{data['traffic']['page_views']:,}"
    shared_page.expect_problem("422")


TRANSPARENT = "rgba(0, 0, 0, 0)"
DASH = '"\N{EN DASH}"'
LOOKS = """([selector, part]) => {
  const style = getComputedStyle(document.querySelector(selector), part);
  return [style.content, style.backgroundColor];
}"""
"""Content and background of an element or a part of it."""


@pytest.mark.long("test_a_range_that_begins_too_early_is_cut_and_says_so")
def test_a_range_before_all_data_shows_no_number(
    visitor: Visitor, server: Server
) -> None:
    """Neither those of the range before, nor a loading animation."""
    page = visitor.sign_in(visitor.open_page(), server)
    shown = page.locator("#tiles .value").first.inner_text()
    page.locator("#range").click()
    page.get_by_label("From", exact=True).fill("2020-01-01")
    page.locator("#to").fill("2020-01-31")
    page.get_by_role("button", name="Apply").click()
    expect(page.locator("#banner")).to_contain_text("There is data from 3 Jun 2024 on")
    expect(page.locator("#banner")).to_contain_text("ends before that day")
    assert shown not in page.locator("#tiles").inner_text()
    assert page.evaluate("document.getAnimations().length") == 0
    assert page.evaluate(LOOKS, ["#tiles .value", "::before"]) == [DASH, TRANSPARENT]
    assert page.evaluate(LOOKS, ["#main-chart .plot", ""])[1] == TRANSPARENT
    page.keyboard.press("w")
    settled(page)
    expect(page.locator("#banner")).to_be_hidden()
    assert len(drawn.bars(page)) == 7
    visitor.expect_problem("422")


@pytest.mark.parametrize(
    ("query", "note"),
    some_long(
        [
            ("?tz=Mars/Phobos", "“Mars/Phobos” is not a time zone"),
            ("?period=fortnight", "There is no range called “fortnight”"),
            ("?interval=decade", "There is no interval called “decade”"),
            ("?compare=tomorrow", "There is no comparison called “tomorrow”"),
            ("?from=yesterday&to=2026-02-30", "“yesterday” is not a date"),
            ("?filter=planet:Mars", "The filter “planet:Mars” was removed"),
        ]
    ),
)
def test_an_unknown_option_in_the_address_gets_its_default_and_a_note(
    visitor: Visitor, server: Server, query: str, note: str
) -> None:
    """One bad option does not take the page away."""
    page = visitor.sign_in(visitor.open_page(), server, query)
    expect(page.locator("#notes")).to_contain_text(note)
    assert len(drawn.bars(page)) == 90
    if "filter" in query:
        visitor.expect_problem("422")


@pytest.mark.parametrize("query", some_long(["?range=30d", "?period=30d"]))
def test_old_and_new_names_of_the_range_are_understood(
    any_view: Page, query: str
) -> None:
    """The page writes the API's."""
    page = show_view(any_view, query)
    assert len(drawn.bars(page)) == 30
    page.keyboard.press("w")
    settled(page)
    assert page.url.endswith("?period=7d")


@pytest.mark.long("test_old_and_new_names_of_the_range_are_understood")
def test_a_single_date_in_the_address_is_a_range(
    visitor: Visitor, server: Server
) -> None:
    """From that day until today."""
    today = datetime.now(UTC).date()
    query = f"?from={today - timedelta(9)}"
    page = visitor.sign_in(visitor.open_page(), server, query)
    assert len(drawn.bars(page)) == 10


def test_a_future_range_has_not_begun(any_view: Page) -> None:
    """There is no number, and no change of something that has not happened."""
    today = datetime.now(UTC).date()
    query = f"?from={today + timedelta(10)}&to={today + timedelta(20)}"
    page = show_view(any_view, query)
    expect(page.locator("#main-chart .empty")).to_have_text("This range has not begun.")
    expect(page.locator("#range-text")).to_contain_text("this range has not begun")
    for tile in page.locator("#tiles .value, #figures .value").all():
        assert tile.inner_text() == "\N{EN DASH}"
    assert page.locator("#tiles .change, #figures .change").count() == 0


def test_before_the_first_sync_one_card_says_what_to_do(
    visitor: Visitor, empty_server: Server, world: World, tmp_path: Path
) -> None:
    """It has the command, hides the empty sections, and goes away by itself."""
    page = visitor.open_page(fresh=True)
    page.clock.install()
    page.goto(empty_server.page)
    page.get_by_label("Access token").fill(TOKEN)
    page.get_by_role("button", name="Sign in").click()
    card = page.locator("#first-run")
    expect(card).to_contain_text("There is no data yet")
    expect(card).to_contain_text("update_readmodel.py")
    expect(card).to_contain_text("This page continues by itself.")
    expect(
        page.get_by_text("Nothing in this range.").filter(visible=True)
    ).to_have_count(0)
    expect(page.locator("#everything")).to_be_hidden()
    needless = page.locator("#sections, #share, #kiosk")
    expect(needless.filter(visible=True)).to_have_count(0)
    page.set_viewport_size({"width": 360, "height": 740})
    assert card.locator("pre").evaluate("pre => pre.scrollWidth <= pre.clientWidth")
    shutil.copytree(world.data_dir, tmp_path / "data", symlinks=True)
    page.clock.run_for(REFRESH_MS)
    settled(page)
    expect(card).to_be_hidden()
    expect(page.locator("#everything")).to_be_visible()
    visitor.expect_problem("503")


@pytest.mark.long("test_the_first_view_is_one_request")
def test_reloading_often_stays_within_a_small_rate_limit(
    visitor: Visitor, own_server: Server
) -> None:
    """Files of the page do not count, and are fetched once."""
    own_server.stop()
    own_server.start(RATE_LIMIT_PER_MINUTE="30")
    page = visitor.record_requests(visitor.open_page(fresh=True))
    visitor.sign_in(page, own_server)
    first = len([url for url in visitor.requests if "/dashboard/assets/" in url])
    assert first > 10
    for _ in range(2):
        page.reload()
        settled(page)
    expect(page.locator("#banner")).to_be_hidden()
    assert len(drawn.bars(page)) == 90
    with httpx.Client() as client:
        for _ in range(100):
            assert client.get(own_server.page).status_code == 200


def test_files_are_immutable_below_the_address_of_their_content(server: Server) -> None:
    """Another version's address is revalidated, and so is the page."""
    page = httpx.get(server.page)
    assert page.headers["cache-control"] == "no-cache"
    (version,) = set(re.findall(r"dashboard/assets/([0-9a-f]{16})/", page.text))
    script = httpx.get(f"{server.url}/dashboard/assets/{version}/app.js")
    assert script.headers["cache-control"] == "public, max-age=31536000, immutable"
    unversioned = httpx.get(f"{server.url}/dashboard/assets/app.js")
    assert unversioned.headers["cache-control"] == "no-cache"
    assert unversioned.content == script.content


@pytest.mark.parametrize("file", some_long(["app.js", "axis.js"]))
def test_a_page_without_a_script_says_so(
    visitor: Visitor, server: Server, file: str
) -> None:
    """The message is in the page itself, and waits for slow connections."""
    page = visitor.open_page()
    page.route(f"**/{file}", lambda route: route.abort())
    page.goto(server.page)
    message = page.locator("#not-loaded")
    expect(message).to_be_hidden()
    page.evaluate("for (const each of document.getAnimations()) each.finish()")
    expect(message).to_be_visible()
    expect(message).to_contain_text("could not be loaded")
    visitor.expect_problem("ERR_FAILED")


@pytest.mark.long("tests/browser/test_content.py::test_regions_and_devices_have_names")
def test_without_their_names_regions_have_their_codes(
    visitor: Visitor, server: Server
) -> None:
    """The list is asked for again with the next answer."""
    page = visitor.open_page()
    page.route("**/regions.txt", lambda route: route.abort())
    visitor.sign_in(page, server)
    names = page.locator('[data-bars="Regions"] tbody .name')
    expect(names.filter(has_text=re.compile("^(BE|BY|NW)Germany"))).not_to_have_count(0)
    page.unroute_all()
    page.keyboard.press("n")
    page.keyboard.press("w")
    settled(page)
    expect(names.filter(has_text=re.compile("^(BE|BY|NW)Germany"))).to_have_count(0)
    visitor.expect_problem("ERR_FAILED")


def test_the_first_view_is_one_request(visitor: Visitor, server: Server) -> None:
    """Everything on the first screen comes with one answer, asked for once."""
    visitor.sign_in(visitor.record_requests(visitor.open_page()), server)
    assert all(url.startswith(f"{server.url}/") for url in visitor.requests)
    asked = [url.removeprefix(server.url) for url in visitor.requests]
    ours = [path for path in asked if not path.startswith("/dashboard")]
    assert len([path for path in ours if path.startswith("/?")]) == 1
    assert ours[0].startswith("/?")


EDGE = """() => Math.max(...[...document.querySelectorAll("#vote-bars .card")]
  .map((card) => card.getBoundingClientRect().right))"""
"""The right edge of cards that are two in a row."""


@pytest.mark.parametrize("scheme", some_long(["light", "dark"]))
def test_paper_has_title_range_and_date_and_no_controls(
    any_view: Page, scheme: Any
) -> None:
    """Charts fit between the margins, on white; no label is cut or lies on another."""
    any_view.set_viewport_size(A4)
    page = show_view(any_view, "?period=90d")
    page.emulate_media(media="print", color_scheme=scheme)
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    expect(page.locator(".brand")).to_contain_text("FPP Analytics")
    expect(page.locator(".skip")).to_be_hidden()
    expect(page.locator("#range-text")).to_contain_text(re.compile(r"\d{4}, UTC"))
    expect(page.locator("#printed-at")).to_contain_text(
        re.compile(r"Printed on \d+ \w+ \d{4}")
    )
    expect(
        page.locator("button:visible:not(.tile, .name, .link, .sort)")
    ).to_have_count(0)
    expect(
        page.locator("input:visible, select:visible, summary:visible")
    ).to_have_count(0)
    assert (
        page.evaluate("getComputedStyle(document.body).backgroundColor")
        == "rgb(255, 255, 255)"
    )
    assert page.evaluate("document.documentElement.scrollWidth") == A4["width"]
    for drawing in page.locator(".drawing:visible").all():
        box = drawing.bounding_box()
        assert box
        assert box["x"] + box["width"] <= A4["width"]
    # A border at the very edge would be cut.
    assert page.evaluate(EDGE) == A4["width"] - 1
    expect(page.locator("#explore")).to_be_hidden()  # Nobody has scrolled to it.
    ticks = drawn.dates(page)
    for before, after in pairwise(ticks):
        assert before.right < after.left
    assert ticks[-1].right <= A4["width"]


@pytest.mark.long("test_paper_has_title_range_and_date_and_no_controls")
def test_a_pdf_has_few_pages(page: Page) -> None:
    """Four sheets of A4 hold everything."""
    document = page.pdf(prefer_css_page_size=True)
    pages = re.findall(rb"/Type\s*/Page\b(?!s)", document)
    assert 2 <= len(pages) <= 4
