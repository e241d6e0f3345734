"""The page shows the figures that the API returns."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Visitor, settled, visiting
from tests.support.world import HOSTILE, Server, World, counts

pytestmark = pytest.mark.external

RANGE = {"period": "90d", "compare": "previous"}


@pytest.fixture(scope="module")
def visitor(browser: Browser) -> Iterator[Visitor]:
    """A visitor that all tests share, because they only read."""
    with visiting(browser) as visitor:
        yield visitor


@pytest.fixture(scope="module")
def page(visitor: Visitor, server: Server) -> Page:
    """The dashboard, signed in, with all figures."""
    return visitor.sign_in(visitor.open_page(), server)


@pytest.fixture(scope="module")
def ever(visitor: Visitor, server: Server) -> Page:
    """The dashboard with the range "all"."""
    return visitor.sign_in(visitor.open_page(), server, "?range=all")


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
    shown: list[list[str]] = card.locator("tbody tr").evaluate_all(
        "rows => rows.map(row => ["
        "row.querySelector('.name').firstChild.textContent,"
        "row.querySelector('td').textContent])"
    )
    return shown


def largest(tally: dict[str, int]) -> list[list[str]]:
    """Counts of *tally* as a breakdown shows them, largest first, without names."""
    return [[count] for count in counts(sorted(tally.values(), reverse=True))]


def test_headline_figures_equal_the_api(page: Page, answer: Any) -> None:
    """Numbers use the reader's locale, durations minutes and seconds."""
    traffic, votes = answer["data"]["traffic"], answer["data"]["votes"]
    assert tile(page, "#tiles", "Visitors") == f"{traffic['unique_users']:,}"
    assert tile(page, "#tiles", "Page views") == f"{traffic['page_views']:,}"
    assert tile(page, "#tiles", "Bounce rate") == f"{traffic['bounce_rate'] * 100:g}%"
    seconds = round(traffic["average_duration"] * 60)
    assert tile(page, "#tiles", "Session length") == (
        f"{seconds // 60}m {seconds % 60}s"
    )
    assert tile(page, "#tiles", "Votes") == f"{votes['total_votes']:,}"
    assert tile(page, "#tiles", "Estimations") == f"{votes['total_estimations']:,}"


def test_changes_show_direction_and_previous_value(page: Page, answer: Any) -> None:
    """Words repeat what arrows and colours show."""
    change = answer["change"]["traffic"]["page_views"]
    before = answer["previous"]["traffic"]["page_views"]
    note = page.locator("#tiles .tile").nth(1).locator(".note").text_content() or ""
    assert ("up" if change > 0 else "down") in note
    assert re.search(r"[+-]?\d+(\.\d)?%", note)
    assert f"from {before:,}" in note


def test_vote_figures_equal_the_api(page: Page, answer: Any) -> None:
    """Means have at most two decimals."""
    votes = answer["data"]["votes"]
    for label, name in (
        ("Estimations per vote", "avg_estimations_per_vote"),
        ("Spectators per vote", "avg_spectators_per_vote"),
        ("Mean estimation", "avg_estimation"),
        ("Lowest estimation", "avg_min_estimation"),
        ("Highest estimation", "avg_max_estimation"),
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
        ("Top rooms", "behaviour", "rooms"),
        ("Devices", "location_and_user_agent", "device"),
        ("Systems", "location_and_user_agent", "os"),
        ("Browsers", "location_and_user_agent", "browser"),
        ("Countries", "location_and_user_agent", "country"),
    ],
)
def test_breakdowns_equal_the_api(
    page: Page, answer: Any, title: str, section: str, name: str
) -> None:
    """All rows are shown, largest count first."""
    shown = bars(page, title)
    assert len(shown) > 1
    assert [[count] for _, count in shown] == largest(answer["data"][section][name])


@pytest.mark.parametrize(
    ("title", "name", "kind"),
    [("Regions", "country_region", "region"), ("Cities", "country_city", "city")],
)
def test_places_equal_the_api(
    page: Page, answer: Any, title: str, name: str, kind: str
) -> None:
    """Each place has its country."""
    rows = answer["data"]["location_and_user_agent"][name]
    shown = bars(page, title)
    expected = [[row[kind] or "Unknown", f"{row['count']:,}"] for row in rows]
    assert sorted(shown) == sorted(expected)
    assert len(countries(page, title)) == len(rows)


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


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Page views", "page_views"),
        ("New users", "new_users"),
        ("Estimations", "estimations"),
        ("Votes", "votes"),
        ("New rooms", "rooms"),
    ],
)
def test_series_equal_the_api(page: Page, answer: Any, title: str, name: str) -> None:
    """Screen readers get the last day with its moving average."""
    rows = answer["data"]["historical"]
    slider = page.get_by_role("slider", name=title, exact=True)
    text = slider.get_attribute("aria-valuetext") or ""
    assert f"{title} {rows[-1][name]:,}" in text
    assert f"30-day average {rows[-1][f'ma_{name}']:,g}" in text
    assert slider.get_attribute("aria-valuemax") == str(len(rows) - 1)


def test_the_table_has_every_row_of_the_series(page: Page, answer: Any) -> None:
    """It shows counts, sums and averages, newest row first."""
    page.get_by_text("Activity as a table").click()
    rows = page.locator("#activity-table tbody tr")
    historical = answer["data"]["historical"]
    expect(rows).to_have_count(len(historical))
    newest = rows.first.locator("td").all_inner_texts()
    last = historical[-1]
    for index, name in enumerate(
        ("page_views", "new_users", "estimations", "votes", "rooms")
    ):
        assert newest[3 * index] == f"{last[name]:,}"
        assert newest[3 * index + 1] == f"{last[f'acc_{name}']:,}"
        assert float(newest[3 * index + 2]) == last[f"ma_{name}"]


def test_returning_users_and_rooms_equal_the_api(page: Page, answer: Any) -> None:
    """Shows all so far and the active ones."""
    last = answer["data"]["reoccurring"][-1]
    for what in ("users", "rooms"):
        slider = page.get_by_role("slider", name=f"Returning {what}")
        text = slider.get_attribute("aria-valuetext") or ""
        assert f"All so far {last[f'reoccurring_{what}']:,}," in text
        assert f"Active {last[f'adjusted_reoccurring_{what}']:,}" in text


def test_a_room_is_looked_up_by_its_id(
    ever: Page, server: Server, world: World
) -> None:
    """Its statistics equal the API's in the same range; the URL contains the room."""
    page, room = ever, world.busiest_room()
    page.get_by_label("Room id").fill(str(room))
    page.get_by_role("button", name="Look up").click()
    expect(page.get_by_text(f"Room {room} in the range shown above.")).to_be_visible()
    stats = server.ask(f"/room/{room}/stats").json()
    assert tile(page, "#room-figures", "Votes") == f"{stats['votes']:,}"
    assert tile(page, "#room-figures", "Estimations") == f"{stats['estimations']:,}"
    assert page.url.endswith(f"?range=all&room={room}")


def test_an_invalid_room_id_shows_an_error(visitor: Visitor, page: Page) -> None:
    """Covers text that is not a number, and a number that the API refuses."""
    for text, problem in (
        ("seven", "Enter a room id"),
        ("0", "0 is not a valid room id"),
    ):
        page.get_by_label("Room id").fill(text)
        page.get_by_role("button", name="Look up").click()
        expect(page.locator("#room-problem")).to_contain_text(problem)
    visitor.expect_problem("400")


def test_the_last_runs_are_shown(page: Page, server: Server) -> None:
    """Shows their result and rows, the age of the data, and the time of the next run."""
    run = server.ask("/sync/runs").json()["runs"][0]
    cells = page.locator("#runs tbody tr").first.locator("td").all_inner_texts()
    assert cells[0] == "Succeeded"
    fetched = sum(table["rows_fetched"] for table in run["tables"])
    assert cells[2] == f"{fetched:,}"
    expect(page.locator("#freshness")).to_contain_text(
        re.compile(r"Data from \d+ \w+ ago, next sync in \d+ minutes")
    )


def test_hostile_names_are_shown_as_text(ever: Page) -> None:
    """Covers all names from the database; sources are shown only as categories."""
    for title in (
        "Top rooms",
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
    assert ever.evaluate("window.hacked") is None
    assert ever.locator("img[src=x]").count() == 0


def test_numbers_and_names_are_in_the_readers_language(
    visitor: Visitor, server: Server, answer: Any
) -> None:
    """In German the page shows 1.234 and Deutschland."""
    page = visitor.sign_in(visitor.open_page(locale="de-DE"), server)
    views = answer["data"]["traffic"]["page_views"]
    assert tile(page, "#tiles", "Page views") == f"{views:,}".replace(",", ".")
    assert "Deutschland" in {name for name, _ in bars(page, "Countries")}
