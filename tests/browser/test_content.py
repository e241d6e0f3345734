"""The page shows the figures that the API returns."""

import re
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.visitor import Tabs, Visitor, settled, show_view, visiting
from tests.support.effort import some_long
from tests.support.world import HOSTILE, Server, counts

pytestmark = pytest.mark.external

RANGE = {
    "period": "90d",
    "compare": "previous",
    "match": "weekday",
    "so_far": "true",
}


@pytest.fixture(scope="module")
def visitor(tabs: Tabs) -> Iterator[Visitor]:
    """A visitor that all tests share, because they only read."""
    with visiting(tabs) as visitor:
        yield visitor


@pytest.fixture(scope="module")
def answer(server: Server) -> Any:
    """The API's answer for the page's default range."""
    return server.ask("/", **RANGE).json()


def tile(page: Page, root: str, label: str) -> str:
    """Value of the tile with *label*."""
    tiles = page.locator(f"{root} .tile")
    return (
        tiles.filter(has=page.get_by_text(label, exact=True))
        .locator(".value")
        .inner_text()
    )


def bars(page: Page, title: str) -> list[list[str]]:
    """Name and count of each row of a breakdown, as shown."""
    card = page.locator(f'[data-bars="{title}"]')
    more = card.get_by_role("button", name="Show all")
    if more.is_visible():
        more.click()
        expect(card.locator(".more")).to_have_attribute("aria-expanded", "true")
        expect(card.locator(".more")).to_contain_text("Show the first")
    shown: list[list[str]] = card.locator("tbody tr").evaluate_all(
        "rows => rows.map(row => ["
        "row.querySelector('.name-text').textContent,"
        "row.querySelector('td').textContent])"
    )
    return shown


def largest(tally: dict[str, int]) -> list[list[str]]:
    """Counts of *tally* as a breakdown shows them, largest first, without names."""
    return [[count] for count in counts(sorted(tally.values(), reverse=True))]


def test_headline_figures_equal_the_api(page: Page, answer: Any) -> None:
    """Numbers use the reader's locale, durations minutes and seconds."""
    traffic, votes = answer["data"]["traffic"], answer["data"]["votes"]
    assert tile(page, "#figures", "Visitors") == f"{traffic['unique_users']:,}"
    assert tile(page, "#tiles", "Page views") == f"{traffic['page_views']:,}"
    assert tile(page, "#figures", "Bounce rate") == f"{traffic['bounce_rate'] * 100:g}%"
    seconds = round(traffic["average_duration"] * 60)
    assert tile(page, "#figures", "Session length") == (
        f"{seconds // 60}m {seconds % 60}s"
    )
    assert tile(page, "#tiles", "Votes") == f"{votes['total_votes']:,}"
    assert (
        tile(page, "#vote-figures", "Estimations") == f"{votes['total_estimations']:,}"
    )


def test_changes_show_direction_and_previous_value(page: Page, answer: Any) -> None:
    """Words repeat what arrows and colours show."""
    change = answer["change"]["traffic"]["page_views"]
    before = answer["previous"]["traffic"]["page_views"]
    note = page.locator("#tiles .tile").first.locator(".note").text_content() or ""
    assert ("up" if change > 0 else "down") in note
    assert re.search(r"[+-]?\d+(\.\d)?%", note)
    assert f"from {before:,}" in note


def test_vote_figures_equal_the_api(page: Page, answer: Any) -> None:
    """Means have at most two decimals."""
    votes = answer["data"]["votes"]
    for label, name in (
        ("Spectators per vote", "avg_spectators_per_vote"),
        ("Mean estimate", "avg_estimation"),
        ("Lowest estimate, mean", "avg_min_estimation"),
        ("Highest estimate, mean", "avg_max_estimation"),
    ):
        assert float(tile(page, "#vote-figures", label)) == votes[name]


def test_the_last_24_hours_equal_the_api(page: Page) -> None:
    """Compares with the page's own answer, because the range moves with the time."""
    with page.expect_response("**/daily-analytics?**") as answered:
        page.reload()
    settled(page)
    daily = answered.value.json()
    for label, name in (
        ("Visitors", "unique_users"),
        ("Page views", "page_views"),
        ("Rooms that voted", "rooms"),
        ("Votes", "votes"),
        ("Estimations", "estimations"),
    ):
        assert tile(page, "#daily", label) == f"{daily[name]:,}"


@pytest.mark.parametrize(
    ("title", "section", "name"),
    [
        ("Sources", "behaviour", "sources"),
        ("Pages", "behaviour", "routes"),
        ("Events", "behaviour", "events"),
        ("Devices", "location_and_user_agent", "device"),
        ("Systems", "location_and_user_agent", "os"),
        ("Browsers", "location_and_user_agent", "browser"),
        ("Countries", "location_and_user_agent", "country"),
    ],
)
def test_breakdowns_equal_the_api(
    page: Page, answer: Any, title: str, section: str, name: str
) -> None:
    """All rows are shown, largest count first; the sample has fewer than forty."""
    shown = bars(page, title)
    assert len(shown) > 1
    assert [[count] for _, count in shown] == largest(answer["data"][section][name])


@pytest.mark.parametrize(("title", "kind"), [("Regions", "region"), ("Cities", "city")])
def test_places_equal_the_api(
    page: Page, server: Server, title: str, kind: str
) -> None:
    """All of them, beyond the forty of the first answer; each has its country."""
    found = server.ask(f"/breakdown/{kind}", period="90d", limit=1000).json()
    rows = found["rows"]
    shown = bars(page, title)
    assert [count for _, count in shown] == [f"{row['count']:,}" for row in rows]
    if kind == "city":
        assert {name for name, _ in shown} == {row["name"] for row in rows}
    known = [row for row in rows if row["country"] or row["value"]]
    assert len(countries(page, title)) == len(known)


def countries(page: Page, title: str) -> list[str]:
    """Country of each place, as shown."""
    return page.locator(f'[data-bars="{title}"] tbody .note').all_text_contents()


def test_weekdays_and_values_keep_their_order(page: Page, answer: Any) -> None:
    """Monday comes first, and the lowest card."""
    votes = answer["data"]["votes"]
    days = [[day, f"{count:,}"] for day, count in votes["weekday_counts"].items()]
    assert bars(page, "Weekdays") == days
    values = {
        float(value): count for value, count in votes["estimation_counts"].items()
    }
    assert bars(page, "Estimation values") == [
        [f"{value:g}", f"{values[value]:,}"] for value in sorted(values)
    ]


def test_countries_have_names(page: Page) -> None:
    """Country names are in the reader's language."""
    assert {"Germany", "Brazil"} <= {name for name, _ in bars(page, "Countries")}


def test_screen_readers_get_the_last_row_of_the_series(page: Page, answer: Any) -> None:
    """With its date, its value and the day that it is compared with."""
    last = answer["data"]["historical"][-1]
    slider = page.get_by_role("slider", name="Page views", exact=True)
    text = slider.get_attribute("aria-valuetext") or ""
    assert f"Page views {last['page_views']:,}" in text
    assert "(so far)" in text
    assert "7-day average" not in text, "today would pull it down"
    before = date.fromisoformat(last["date"]) - timedelta(weeks=13)
    assert f"{before.day} {before:%b %Y}" in text


def test_the_table_has_every_row_of_the_series(page: Page, server: Server) -> None:
    """It shows counts and sums, newest row first."""
    page.get_by_text("Activity as a table").click()
    rows = page.locator("#activity-table tbody tr")
    answer = server.ask("/", period="90d", weekends=True).json()
    historical = answer["data"]["historical"]
    expect(rows).to_have_count(len(historical))
    newest = rows.first.locator("td").all_inner_texts()
    last = historical[-1]
    for index, name in enumerate(
        ("page_views", "new_users", "votes", "estimations", "rooms")
    ):
        assert newest[2 * index] == f"{last[name]:,}"
        assert newest[2 * index + 1] == f"{last[f'acc_{name}']:,}"


def test_the_last_runs_are_shown(page: Page, server: Server) -> None:
    """Shows their result and rows, the age of the data, and the time of the next run."""
    run = server.ask("/sync/runs").json()["runs"][0]
    page.get_by_text("Details of the last runs").click()
    line = page.locator("#runs tbody tr").first
    assert re.search(r"\d+:\d\d:\d\d", line.locator("th").inner_text())
    cells = line.locator("td").all_inner_texts()
    assert cells[0] == "Succeeded"
    fetched = sum(table["rows_fetched"] for table in run["tables"])
    assert cells[2] == f"{fetched:,}"
    assert "; " not in run["message"]
    assert cells[-1] == "", "the numbers of the row, and the address of the database"
    expect(page.locator("#freshness")).to_contain_text(
        re.compile(r"Data from \d+ \w+ ago, next sync in \d+ minutes")
    )


def test_hostile_names_are_shown_as_text(any_view: Page) -> None:
    """Covers all names from the database; sources are shown only as categories."""
    ever = show_view(any_view, "?period=all")
    for title in (
        "Pages",
        "Events",
        "Devices",
        "Systems",
        "Browsers",
        "Countries",
    ):
        assert HOSTILE in {name for name, _ in bars(ever, title)}, title
    for title in ("Regions", "Cities"):
        assert HOSTILE in {place for place, _ in bars(ever, title)}, title
        assert HOSTILE in countries(ever, title), title
    assert HOSTILE in ever.locator("#room-list tbody button").all_inner_texts()
    assert ever.evaluate("window.hacked") is None
    assert ever.locator("img[src=x]").count() == 0


@pytest.mark.long("test_the_page_is_in_one_language")
def test_numbers_are_written_as_in_the_readers_region(
    visitor: Visitor, server: Server
) -> None:
    """In Germany the page shows 1.234, in English words."""
    page = visitor.sign_in(visitor.open_page(locale="de-DE"), server, "?period=all")
    views = server.ask("/", period="all").json()["data"]["traffic"]["page_views"]
    assert tile(page, "#tiles", "Page views") == f"{views:,}".replace(",", ".")
    assert "Germany" in {name for name, _ in bars(page, "Countries")}


@pytest.mark.parametrize("locale", some_long(["ar-EG", "ja-JP", "de-DE", "fa-IR"]))
def test_the_page_is_in_one_language(
    visitor: Visitor, server: Server, locale: str
) -> None:
    """English words and Latin digits, whatever the browser's language."""
    page = visitor.sign_in(visitor.open_page(locale=locale), server)
    text = page.locator("body").inner_text()
    # Names come from the database, with letters of many languages but no such digits.
    assert not re.search("[\u0660-\u0669\u06f0-\u06f9年月日]", text)
    assert re.search(r"\d+ (seconds?|minutes?|hours?) ago", text)
    point = page.locator("#main-chart .plot").get_attribute("aria-valuetext") or ""
    assert re.search("(Mon|Tue|Wed|Thu|Fri|Sat|Sun)", point)


def test_regions_and_devices_have_names(page: Page) -> None:
    """Names instead of codes, with a capital letter."""
    regions = [name for name, _ in bars(page, "Regions")]
    places = list(zip(regions, countries(page, "Regions"), strict=False))
    assert {"Berlin", "Bavaria"} & set(regions)
    assert not [name for name, _ in places if re.fullmatch("[A-Z0-9]{1,3}", name)]
    assert "Unknown Unknown" not in page.locator("main").inner_text()
    assert {"Desktop", "Mobile"} <= {name for name, _ in bars(page, "Devices")}
