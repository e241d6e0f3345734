"""A click filters everything, and chips and the address keep the filter."""

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from playwright.sync_api import Page, expect

from tests.browser import drawn
from tests.browser.visitor import Tabs, Visitor, settled
from tests.support.world import Server

pytestmark = pytest.mark.external

NAMES = {
    "Countries": "country",
    "Regions": "region",
    "Cities": "city",
    "Devices": "device",
    "Systems": "os",
    "Browsers": "browser",
    "Sources": "source",
    "Pages": "route",
    "Events": "event",
}


def filter_of(page: Page) -> str:
    """The filter in the address."""
    return parse_qs(urlsplit(page.url).query).get("filter", [""])[0]


def click_row(page: Page, card: str, name: str) -> None:
    """Click the row *name* of the breakdown *card* and wait for the answer."""
    row = page.locator(f'[data-bars="{card}"] tbody button.name', has_text=name).first
    with page.expect_response(re.compile(r"/\?.*filter=")):
        row.click()
    settled(page)


def views(page: Page) -> str:
    """Page views as the page shows them."""
    return page.locator('[data-metric="page_views"] .value').inner_text()


def test_a_click_on_a_row_filters_the_page(page: Page, server: Server) -> None:
    """Two filters; numbers, chart, address and chips agree, and reloading keeps them."""
    whole = views(page)
    click_row(page, "Countries", "Germany")
    assert filter_of(page) == "country:DE"
    click_row(page, "Devices", "Desktop")
    assert filter_of(page) == "country:DE,device:desktop"
    answer = server.ask("/", period="90d", filter=filter_of(page)).json()["data"]
    expected = answer["traffic"]["page_views"]
    assert views(page) == f"{expected:,}" != whole
    assert sum(bar.value for bar in drawn.bars(page)) == expected
    chips = page.locator("#chips .chip-text")
    assert chips.all_inner_texts() == ["Country: Germany", "Device: Desktop"]
    page.reload()
    settled(page)
    assert views(page) == f"{expected:,}"
    page.get_by_role("button", name="Remove filter Country: Germany").click()
    settled(page)
    assert filter_of(page) == "device:desktop"
    page.go_back()
    expect(chips).to_have_count(2)


@pytest.mark.long("test_a_click_on_a_row_filters_the_page")
def test_a_second_click_on_a_row_removes_its_filter(page: Page) -> None:
    """The row is marked while it filters."""
    click_row(page, "Countries", "Germany")
    row = page.locator('[data-bars="Countries"] tbody button.name', has_text="Germany")
    expect(row).to_have_attribute("aria-pressed", "true")
    row.click()
    settled(page)
    assert filter_of(page) == ""
    expect(page.locator("#chips")).to_be_hidden()


@pytest.mark.long("test_a_click_on_a_row_filters_the_page")
def test_a_chip_can_exclude_its_value(page: Page) -> None:
    """Both together are everything."""
    whole = int(views(page).replace(",", ""))
    click_row(page, "Countries", "Germany")
    inside = int(views(page).replace(",", ""))
    page.get_by_role("button", name="Country: Germany", exact=True).click()
    settled(page)
    assert filter_of(page) == "country:!DE"
    expect(page.locator("#chips .chip-text")).to_have_text("Country: not Germany")
    assert int(views(page).replace(",", "")) == whole - inside


@pytest.mark.long("test_a_click_on_a_row_filters_the_page")
def test_every_row_of_users_and_visits_filters(
    page: Page, subtests: pytest.Subtests
) -> None:
    """The first row of each card sends a filter that the API accepts."""
    for card, dimension in NAMES.items():
        with subtests.test(card=card):
            name = page.locator(f'[data-bars="{card}"] tbody button.name').first
            with page.expect_response(re.compile(r"/\?.*filter=")) as answered:
                name.click()
            settled(page)
            assert answered.value.status == 200
            assert f"{dimension}:" in filter_of(page)
            name.click()  # removes it
            settled(page)


def test_figures_without_meaning_under_a_filter_say_so(page: Page) -> None:
    """A vote has no user, so votes of one country are not guessed."""
    click_row(page, "Countries", "Germany")
    votes = page.locator('[data-metric="votes"]')
    assert votes.locator(".value").inner_text() == "\N{EN DASH}"
    expect(votes.locator(".note")).to_have_text("not with this filter")
    votes.click()
    expect(page.locator("#main-chart .empty")).to_contain_text("vote")
    expect(page.locator('[data-bars="Weekdays"] .empty')).to_contain_text("vote")
    assert "NaN" not in page.locator("main").inner_text()


@pytest.mark.long("test_a_click_on_a_row_filters_the_page")
def test_files_have_the_filter(page: Page) -> None:
    """The CSV file is that of the filtered breakdown."""
    click_row(page, "Countries", "Germany")
    with page.expect_response("**/breakdown/city.csv**") as answered:
        page.get_by_role("button", name="Cities as CSV", exact=True).click()
    assert "filter=country" in answered.value.url


def test_all_rows_can_be_shown_and_searched(page: Page, server: Server) -> None:
    """The search asks the API, so it finds rows beyond the forty of the first answer."""
    card = page.locator('[data-bars="Countries"]')
    card.get_by_role("button", name=re.compile("Show all")).click()
    rows = card.locator("tbody tr")
    total = server.ask("/breakdown/country", period="90d").json()["total"]
    expect(rows).to_have_count(total)
    expect(card.get_by_role("button", name=re.compile("of"))).to_contain_text(
        str(total)
    )
    field = card.get_by_role("searchbox")
    field.fill("germ")
    expect(rows).to_have_count(1)
    expect(rows.first.locator(".name")).to_have_text("Germany")
    field.fill("nowhere at all")
    expect(card.locator(".empty")).to_have_text("No match for “nowhere at all”.")
    neighbour = page.locator('[data-bars="Cities"]').bounding_box()
    field.fill("")
    expect(rows).to_have_count(total)
    # A long list does not stretch the cards beside it.
    now = page.locator('[data-bars="Cities"]').bounding_box()
    assert neighbour
    assert now
    assert now["height"] == neighbour["height"]


ROUND_TRIP = """async (values) => {
  const { parse, terms, write } = await import("./dashboard/assets/filters.js");
  const text = values.map(([value, negated]) => write({ dimension: "room", negated, value })).join(",");
  return terms(text).map(parse).map(({ value, negated }) => [value, negated]);
}"""


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.lists(
        st.tuples(
            st.none() | st.text(st.sampled_from('ab,:"! null\u00fc'), max_size=8),
            st.booleans(),
        ),
        max_size=4,
    )
)
def test_any_value_survives_the_text_of_a_filter(
    open_page: Page, values: list[tuple[Any, bool]]
) -> None:
    """Property: commas, colons, quotes, blanks, null and the word null."""
    pairs = [list(pair) for pair in values]
    assert open_page.evaluate(ROUND_TRIP, pairs) == pairs


@pytest.fixture(scope="module")
def open_page(tabs: Tabs, server: Server) -> Any:
    """The page without a token, for its modules."""
    visitor = Visitor(tabs)
    page = visitor.open_page()
    page.goto(server.page)
    yield page
    visitor.close()
