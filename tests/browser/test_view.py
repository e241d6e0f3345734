"""The view: range, options, zoom and order, and the URL that contains it."""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser import drawn
from tests.browser.visitor import Visitor, settled, show_view
from tests.support.effort import some_long
from tests.support.world import Server

pytestmark = pytest.mark.external


def shown_page_views(page: Page) -> str:
    """The number of page views that the page shows."""
    return page.locator('[data-metric="page_views"] .value').inner_text()


def expected_page_views(server: Server, **query: Any) -> str:
    """The number of page views that the API returns."""
    return f"{server.ask('/', **query).json()['data']['traffic']['page_views']:,}"


def choose(page: Page, label: str) -> None:
    """Choose the range called *label* and wait for its answer."""
    page.locator("#range").click()
    with page.expect_response(lambda response: "interval=" in response.url):
        page.get_by_role("button", name=label, exact=True).click()
    settled(page)


@pytest.mark.long("test_every_range_has_the_numbers_of_its_days")
def test_a_preset_changes_figures_and_url(page: Page, server: Server) -> None:
    """The browser's back button restores the previous view."""
    before = shown_page_views(page)
    choose(page, "30 days")
    assert shown_page_views(page) == expected_page_views(server, period="30d") != before
    assert page.url.endswith("?period=30d")
    page.wait_for_timeout(700)  # changes in quick succession share an entry
    choose(page, "All")
    assert shown_page_views(page) == expected_page_views(server, period="all")
    expect(page.get_by_label("Compare with")).to_be_disabled()
    expect(page.get_by_label("Compare with")).to_have_attribute(
        "title", re.compile("no earlier period")
    )
    page.go_back()
    expect(page.locator('[data-metric="page_views"] .value')).to_have_text(
        expected_page_views(server, period="30d")
    )
    expect(page.locator("#range-name")).to_have_text("30 days")


@pytest.mark.parametrize(
    ("label", "period"),
    some_long(
        [
            ("Today", "today"),
            ("Yesterday", "yesterday"),
            ("28 days", "28d"),
            ("91 days", "91d"),
            ("This month", "month"),
            ("Last month", "last_month"),
            ("Year to date", "year"),
            ("12 months", "12m"),
        ],
    ),
)
def test_every_range_has_the_numbers_of_its_days(
    any_view: Page, server: Server, label: str, period: str
) -> None:
    """The dates beside its name are those of the API."""
    page = any_view
    choose(page, label)
    assert shown_page_views(page) == expected_page_views(server, period=period)
    query = server.ask("/", period=period, sections="votes").json()["query"]
    last = date.fromisoformat(query["to"])
    expect(page.locator("#range-dates")).to_contain_text(f"{last.day} {last:%b %Y}")


def test_any_two_dates_can_be_entered(any_view: Page, server: Server) -> None:
    """Reversed dates show an error; corrected dates are applied."""
    page = any_view
    page.locator("#range").click()
    page.get_by_label("From", exact=True).fill("2026-03-01")
    page.locator("#to").fill("2026-02-01")
    page.get_by_role("button", name="Apply").click()
    expect(page.locator("#range-problem")).to_contain_text("later than the last")
    page.locator("#to").fill("2026-03-31")
    with page.expect_response("**/?from=2026-03-01&to=2026-03-31**"):
        page.get_by_role("button", name="Apply").click()
    settled(page)
    assert shown_page_views(page) == expected_page_views(
        server, **{"from": "2026-03-01", "to": "2026-03-31"}
    )
    assert "from=2026-03-01&to=2026-03-31" in page.url


def test_the_range_steps_back_and_on(any_view: Page) -> None:
    """By its own length; whole months step by months; never into the future."""
    page = show_view(any_view, "?period=7d")
    today = datetime.now(UTC).date()
    page.get_by_role("button", name="Later range").click()
    assert page.url.endswith("?period=7d")
    page.get_by_role("button", name="Earlier range").click()
    settled(page)
    assert f"from={today - timedelta(13)}&to={today - timedelta(7)}" in page.url
    show_view(page, "?from=2026-03-01&to=2026-03-31")
    page.get_by_role("button", name="Earlier range").click()
    settled(page)
    assert "from=2026-02-01&to=2026-02-28" in page.url
    page.get_by_role("button", name="Later range").click()
    settled(page)
    assert "from=2026-03-01&to=2026-03-31" in page.url


@pytest.mark.long("test_any_two_dates_can_be_entered")
def test_own_dates_can_be_compared(page: Page, server: Server) -> None:
    """The comparison is in the address, and its dates beside the range.

    The range is over: with one that is not, the last day compared with would be cut.
    """
    show_view(page, "?from=2026-03-01&to=2026-03-30")
    page.get_by_label("Compare with").select_option("custom")
    page.locator("#compare-from").fill("2026-01-01")
    page.locator("#compare-to").fill("2026-01-30")
    page.get_by_role("button", name="Compare", exact=True).click()
    settled(page)
    assert "compare_from=2026-01-01&compare_to=2026-01-30" in page.url
    expect(page.locator("#range-text")).to_contain_text(
        "compared with 1 \N{EN DASH} 30 Jan 2026"
    )
    before = expected_page_views(server, **{"from": "2026-01-01", "to": "2026-01-30"})
    note = page.locator('[data-metric="page_views"] .note').text_content() or ""
    assert before in note or before == "0"


def test_a_shared_url_restores_the_view(
    shared_visitor: Visitor, server: Server
) -> None:
    """It contains range, time zone, interval, days and comparison."""
    query_string = (
        "?period=30d&interval=week&tz=Asia%2FTokyo&weekends=false&compare=none"
    )
    page = shared_visitor.sign_in(shared_visitor.open_page(), server, query_string)
    query = {"period": "30d", "tz": "Asia/Tokyo", "interval": "week"}
    answer = server.ask("/", **query).json()
    rows = answer["data"]["historical"]
    assert shown_page_views(page) == f"{sum(row['page_views'] for row in rows):,}"
    expect(page.get_by_label("Interval")).to_have_value("week")
    expect(page.get_by_label("Time zone")).to_have_value("Asia/Tokyo")
    expect(page.get_by_label("Days", exact=True)).to_have_value("false")
    expect(page.get_by_label("Compare with")).to_have_value("none")
    assert page.locator("#tiles .change").count() == 0
    slider = page.get_by_role("slider", name="Page views")
    assert slider.get_attribute("aria-valuemax") == str(len(rows) - 1)


def test_the_time_zone_is_chosen_by_typing(page: Page) -> None:
    """The server's own has its name; an unknown one shows an error and keeps the view."""
    field = page.get_by_label("Time zone")
    expect(field).to_have_attribute("placeholder", "UTC (server)")
    field.fill("Mars/Phobos")
    field.blur()
    expect(page.locator("#zone-problem")).to_contain_text("is not a time zone")
    field.fill("America/New York")
    with page.expect_response("**/?period=90d&tz=America%2FNew_York**"):
        field.blur()
    settled(page)
    expect(page.locator("#range-text")).to_contain_text("America/New York")
    expect(page.locator("#zone-problem")).to_be_hidden()
    assert page.url.endswith("?tz=America%2FNew_York")


@pytest.mark.parametrize("width", some_long([360, 1280]))
def test_the_question_stays_in_sight_while_scrolling(page: Page, width: int) -> None:
    """Range and options are in reach at every position; on a phone as a sheet."""
    page.set_viewport_size({"width": width, "height": 780})
    page.locator("#audience").scroll_into_view_if_needed()
    expect(page.locator("#range")).to_be_in_viewport()
    page.locator("#range").click()
    expect(page.locator("#presets")).to_be_in_viewport(ratio=0.9)
    page.keyboard.press("Escape")
    if width == 360:
        page.locator("#options-toggle").click()
    expect(page.get_by_label("Interval")).to_be_in_viewport()


@pytest.mark.long("test_the_question_stays_in_sight_while_scrolling")
def test_a_phone_shows_the_chart_on_its_first_screen(
    shared_visitor: Visitor, server: Server
) -> None:
    """Controls take one line."""
    screen = {"width": 360, "height": 780}
    page = shared_visitor.sign_in(shared_visitor.open_page(viewport=screen), server)
    controls = page.locator("#controls").bounding_box()
    plot = page.locator("#main-chart .plot").bounding_box()
    assert controls
    assert plot
    assert controls["height"] < 64
    assert plot["y"] < 760
    first = server.ask("/", period="90d", interval="week").json()["query"]["from"]
    assert drawn.dates(page)[0].text == f"{date.fromisoformat(first):%-d %b}"
    under = page.locator(".under-chart").bounding_box()
    assert under
    assert under["height"] < 56  # one line
    page.get_by_role("button", name="Share").click()
    dialog = page.locator("#share-dialog").bounding_box()
    assert dialog
    assert dialog["x"] >= 16


def test_accumulated_series_need_no_request(page: Page, server: Server) -> None:
    """The answer already contains the sums."""
    asked: list[str] = []  # by this page; another one may refresh itself
    page.on("request", lambda request: asked.append(request.url))
    page.get_by_label("Accumulated").check()
    last = server.ask("/", period="90d", weekends=True).json()["data"]["historical"][-1]
    slider = page.get_by_role("slider", name="Page views")
    expect(slider).to_have_attribute(
        "aria-valuetext", re.compile(rf"Page views {last['acc_page_views']:,}\b")
    )
    assert not [url for url in asked if "interval=" in url]
    assert page.url.endswith("?series=accumulated")


def test_dragging_zooms_and_the_zoom_can_become_the_range(page: Page) -> None:
    """Reset removes the zoom; "Use as range" applies it to the whole page."""
    plot = page.locator("#main-chart .plot")
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
    assert 25 < days < 30  # three tenths of 90


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


@pytest.mark.long("test_the_question_stays_in_sight_while_scrolling")
@pytest.mark.parametrize("width", some_long([360, 3840]))
def test_the_page_fits_narrow_and_wide_screens(
    shared_visitor: Visitor, server: Server, width: int
) -> None:
    """No section extends beyond the window."""
    screen = {"width": width, "height": 800}
    page = shared_visitor.sign_in(shared_visitor.open_page(viewport=screen), server)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    for section in page.locator("main section:visible").all():
        box = section.bounding_box()
        assert box
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width


def test_an_empty_range_shows_a_message(any_view: Page) -> None:
    """The page shows no empty chart, and no NaN or undefined."""
    page = show_view(any_view, "?from=2024-06-08&to=2024-06-08&compare=none")
    expect(page.locator('[data-metric="page_views"] .value')).to_have_text("0")
    empty = page.locator('[data-bars="Pages"]').get_by_text("Nothing in this")
    expect(empty).to_be_visible()
    assert "NaN" not in page.locator("main").inner_text()
    assert "undefined" not in page.locator("main").inner_text()


@pytest.mark.long(
    "tests/browser/test_charts.py::test_marks_have_a_contrast_of_three_to_one"
)
def test_dark_mode_follows_the_system_unless_chosen(
    shared_visitor: Visitor, server: Server
) -> None:
    """Charts follow, and the choice survives a reload."""
    page = shared_visitor.sign_in(
        shared_visitor.open_page(color_scheme="light"), server
    )

    def background() -> str:
        colour: str = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return colour

    def chart() -> str:
        bar = page.locator("#main-chart rect.bar").first
        return str(bar.evaluate("bar => getComputedStyle(bar).fill"))

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
