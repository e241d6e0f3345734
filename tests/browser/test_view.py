"""The view: range, options, zoom and order, and the URL that contains it."""

import re
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Visitor, settled, visiting
from tests.support.world import Server

pytestmark = pytest.mark.external


@pytest.fixture(scope="module")
def visitor(browser: Browser) -> Iterator[Visitor]:
    """A visitor that all tests share; signing in is tested elsewhere."""
    with visiting(browser) as visitor:
        yield visitor


@pytest.fixture(scope="module")
def signed_in(visitor: Visitor, server: Server) -> Page:
    """A page on which the visitor has signed in."""
    return visitor.sign_in(visitor.open_page(), server)


@pytest.fixture
def page(signed_in: Page, server: Server) -> Page:
    """The dashboard with its default view and all figures."""
    signed_in.goto(server.page)
    return settled(signed_in)


def shown_page_views(page: Page) -> str:
    """The number of page views that the page shows."""
    return page.locator("#tiles .value").nth(1).inner_text()


def expected_page_views(server: Server, **query: Any) -> str:
    """The number of page views that the API returns."""
    return f"{server.ask('/', **query).json()['data']['traffic']['page_views']:,}"


def choose(page: Page, label: str) -> None:
    """Click the segment *label* and wait for its answer."""
    with page.expect_response(lambda response: "interval=" in response.url):
        page.get_by_text(label, exact=True).click()
    settled(page)


def test_a_preset_changes_figures_and_url(page: Page, server: Server) -> None:
    """The browser's back button restores the previous view."""
    before = shown_page_views(page)
    choose(page, "30 days")
    assert shown_page_views(page) == expected_page_views(server, period="30d") != before
    assert page.url.endswith("?range=30d")
    choose(page, "All")
    assert shown_page_views(page) == expected_page_views(server, period="all")
    expect(page.get_by_label("Compare with previous")).to_be_disabled()
    page.go_back()
    expect(page.locator("#tiles .value").nth(1)).to_have_text(
        expected_page_views(server, period="30d")
    )
    expect(page.get_by_label("30 days")).to_be_checked()


def test_twelve_months_are_dates_up_to_today(page: Page, server: Server) -> None:
    """The API has no period of twelve months."""
    choose(page, "12 months")
    today = date.fromisoformat(server.ask("/", period="all").json()["query"]["to"])
    first = today.replace(year=today.year - 1) + timedelta(days=1)
    assert shown_page_views(page) == expected_page_views(
        server, **{"from": first, "to": today}
    )


def test_any_two_dates_can_be_entered(page: Page, server: Server) -> None:
    """Reversed dates show an error; corrected dates are applied."""
    page.get_by_label("From").fill("2026-03-01")
    page.get_by_label("to", exact=True).fill("2026-02-01")
    page.get_by_role("button", name="Apply").click()
    expect(page.locator("#range-problem")).to_contain_text("later than the last")
    page.get_by_label("to", exact=True).fill("2026-03-31")
    with page.expect_response("**/?from=2026-03-01&to=2026-03-31**"):
        page.get_by_role("button", name="Apply").click()
    settled(page)
    assert shown_page_views(page) == expected_page_views(
        server, **{"from": "2026-03-01", "to": "2026-03-31"}
    )
    assert "from=2026-03-01&to=2026-03-31" in page.url


def test_a_refused_range_shows_an_error(visitor: Visitor, server: Server) -> None:
    """The URL contains a range before the first day."""
    page = visitor.open_page()
    page.goto(f"{server.page}?from=2020-01-01&to=2020-01-31")
    page.get_by_label("Access token").fill("correct-horse-battery-staple")
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("#range-problem")).to_contain_text("2024-06-03")
    # No loading animation is left.
    assert page.evaluate("document.getAnimations().length") == 0
    visitor.expect_problem("422")


def test_a_shared_url_restores_the_view(visitor: Visitor, server: Server) -> None:
    """It contains range, time zone, interval, weekends and comparison."""
    query_string = "?range=30d&interval=week&tz=Asia%2FTokyo&weekends=true&compare=no"
    page = visitor.sign_in(visitor.open_page(), server, query_string)
    query = {"period": "30d", "tz": "Asia/Tokyo", "interval": "week"}
    answer = server.ask("/", **query, weekends=True).json()
    assert shown_page_views(page) == f"{answer['data']['traffic']['page_views']:,}"
    expect(page.get_by_label("Week", exact=True)).to_be_checked()
    expect(page.get_by_label("Time zone")).to_have_value("Asia/Tokyo")
    expect(page.get_by_label("Weekends in series")).to_be_checked()
    expect(page.get_by_label("Compare with previous")).not_to_be_checked()
    assert page.locator("#tiles .change").count() == 0
    slider = page.get_by_role("slider", name="Page views")
    rows = answer["data"]["historical"]
    assert slider.get_attribute("aria-valuemax") == str(len(rows) - 1)
    assert (slider.get_attribute("aria-valuetext") or "").startswith("Week of ")


def test_time_zone_and_options_reach_the_api(page: Page, server: Server) -> None:
    """Each change sends a request and changes the URL."""
    with page.expect_response("**/?period=90d&tz=America%2FNew_York**"):
        page.get_by_label("Time zone").select_option("America/New_York")
    settled(page)
    expect(page.locator("#range-text")).to_contain_text("America/New_York")
    with page.expect_response("**weekends=true**"):
        page.get_by_label("Weekends in series").check()
    settled(page)
    assert page.url.endswith("?tz=America%2FNew_York&weekends=true")
    rows = server.ask("/", period="90d", weekends=True).json()["data"]["historical"]
    slider = page.get_by_role("slider", name="Page views")
    assert slider.get_attribute("aria-valuemax") == str(len(rows) - 1)


def test_accumulated_series_need_no_request(
    visitor: Visitor, page: Page, server: Server
) -> None:
    """The answer already contains the sums."""
    visitor.requests.clear()
    page.get_by_text("Accumulated", exact=True).click()
    last = server.ask("/", period="90d").json()["data"]["historical"][-1]
    slider = page.get_by_role("slider", name="Page views")
    expect(slider).to_have_attribute(
        "aria-valuetext", re.compile(rf"Accumulated {last['acc_page_views']:,}\b")
    )
    assert not [url for url in visitor.requests if "interval=" in url]
    assert page.url.endswith("?series=accumulated")


def test_dragging_zooms_and_the_zoom_can_become_the_range(page: Page) -> None:
    """Reset removes the zoom; "Use as range" applies it to the whole page."""
    plot = page.locator('[data-chart="Page views"] .u-over')
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    assert box

    def drag() -> None:
        page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 60)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + 60, steps=4)
        page.mouse.up()

    drag()
    page.get_by_role("button", name="Reset zoom").click()
    expect(page.get_by_role("button", name="Reset zoom")).to_be_hidden()
    drag()
    with page.expect_response("**/?from=**"):
        page.get_by_role("button", name="Use as range").click()
    settled(page)
    first, last = re.findall(r"\d{4}-\d{2}-\d{2}", page.url)
    days = (date.fromisoformat(last) - date.fromisoformat(first)).days
    assert 20 < days < 32  # three tenths of 90, between working days


def test_hovering_a_day_shows_its_exact_values(page: Page, server: Server) -> None:
    """The values are in a tooltip."""
    plot = page.locator('[data-chart="Page views"] .u-over')
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] - 8, box["y"] + 50)
    tip = page.locator('[data-chart="Page views"] .tip')
    expect(tip).to_be_visible()
    last = server.ask("/", period="90d").json()["data"]["historical"][-1]
    expect(tip.locator("dd").first).to_have_text(f"{last['page_views']:,}")


def test_breakdowns_can_be_sorted_by_name_or_count(page: Page) -> None:
    """A second click on a column header reverses the order."""
    card = page.locator('[data-bars="Systems"]')
    names = card.locator("tbody .name")
    by_count = names.all_inner_texts()
    card.get_by_role("button", name="System", exact=True).click()
    by_name = names.all_inner_texts()
    assert by_name != by_count
    assert sorted(by_name) == sorted(by_count)
    head = card.get_by_role("columnheader", name="System")
    expect(head).to_have_attribute("aria-sort", "ascending")
    card.get_by_role("button", name="System", exact=True).click()
    expect(head).to_have_attribute("aria-sort", "descending")
    assert names.all_inner_texts() == by_name[::-1]


@pytest.mark.parametrize("width", [360, 3840])
def test_the_page_fits_narrow_and_wide_screens(
    visitor: Visitor, server: Server, width: int
) -> None:
    """No section extends beyond the window."""
    screen = {"width": width, "height": 800}
    page = visitor.sign_in(visitor.open_page(viewport=screen), server)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    for section in page.locator("main section:visible").all():
        box = section.bounding_box()
        assert box
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width


def test_an_empty_range_shows_a_message(visitor: Visitor, server: Server) -> None:
    """The page shows no empty chart, and no NaN or undefined."""
    weekend = "?from=2024-06-08&to=2024-06-08&compare=no"
    page = visitor.sign_in(visitor.open_page(), server, weekend)
    empty = page.locator('[data-chart="Page views"]').get_by_text("Nothing in this")
    expect(empty).to_be_visible()
    assert "NaN" not in page.locator("main").inner_text()
    assert "undefined" not in page.locator("main").inner_text()


def test_dark_mode_follows_the_system_unless_chosen(
    visitor: Visitor, server: Server
) -> None:
    """Charts are redrawn, and the choice survives a reload."""
    page = visitor.sign_in(visitor.open_page(color_scheme="light"), server)

    def background() -> str:
        colour: str = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return colour

    def chart() -> str:
        return str(page.locator("canvas").first.evaluate("drawn => drawn.toDataURL()"))

    light, light_chart = background(), chart()
    page.emulate_media(color_scheme="dark")
    expect(page.locator("body")).not_to_have_css("background-color", light)
    dark = background()
    assert chart() != light_chart
    page.get_by_label("Appearance").select_option("light")
    assert background() == light
    page.reload()
    settled(page)
    assert background() == light != dark
