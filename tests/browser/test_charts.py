"""Charts tell the truth: labels, pairs, averages, sums and unfinished rows."""

import csv
import io
import re
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from playwright.sync_api import Page, ViewportSize, expect

from tests.browser import drawn
from tests.browser.visitor import DESKTOP, Visitor, settled, show_view
from tests.support.effort import fewer, some_long
from tests.support.world import Server

pytestmark = pytest.mark.external

METRICS = {
    "page_views": "Page views",
    "new_users": "New users",
    "votes": "Votes",
    "estimations": "Estimations and spectators",
    "rooms": "New rooms",
}
SCREENS: dict[int, ViewportSize] = {1280: DESKTOP, 360: {"width": 360, "height": 780}}
RANGES = (
    *("today", "yesterday", "7d", "28d", "30d", "90d"),
    *("last_month", "year", "12m", "all"),
)
INTERVAL_OF_RANGE = {
    ("today", 1280): "hour",
    ("7d", 1280): "day",
    ("90d", 1280): "day",
    ("12m", 1280): "week",
    ("all", 1280): "month",
    ("28d", 360): "day",
    ("90d", 360): "week",
    ("12m", 360): "month",
}
INTERVALS = ("hour", "day", "week", "month")
LEAST_CONTRAST = 3


@pytest.fixture
def page(any_view: Page) -> Page:
    """The dashboard on a desktop; each test begins with its view."""
    return any_view


def series(server: Server, **query: Any) -> list[dict[str, Any]]:
    """Rows of the API's series, weekends included."""
    query = {"weekends": True, "sections": "historical"} | query
    rows: list[dict[str, Any]] = server.ask("/", **query).json()["data"]["historical"]
    return rows


def row_count(page: Page) -> int:
    """Rows that the chart draws, according to the screen reader's slider."""
    text = page.locator("#main-chart .plot").get_attribute("aria-valuemax")
    return int(text or 0) + 1


@pytest.mark.parametrize("width", some_long([1280, 360]))
def test_axes_and_intervals_of_every_range(
    page: Page, server: Server, width: int, subtests: pytest.Subtests
) -> None:
    """On a desktop and on a phone, which shows fewer rows."""
    page.set_viewport_size(SCREENS[width])
    for period in fewer(RANGES, 4):
        with subtests.test(period=period):
            show_view(page, f"?period={period}&compare=none")
            query = server.ask("/", period=period, sections="historical").json()
            check_labels(page, period, query["query"])
            check_grid(page)
            if interval := INTERVAL_OF_RANGE.get((period, width)):
                check_interval(page, interval)


def check_labels(page: Page, period: str, query: dict[str, str]) -> None:
    """They are at rows, and never repeat, overlap or are cut.

    Each label is the date of a row of the series; the first is not before the range.
    """
    ticks = drawn.dates(page)
    assert ticks
    context = 10 if period in ("today", "yesterday") else 4
    assert len({(tick.text, tick.at[:context]) for tick in ticks}) == len(ticks)
    assert all(one.text != next_.text for one, next_ in pairwise(ticks))
    assert all(tick.at for tick in ticks)
    assert sorted(tick.at for tick in ticks) == [tick.at for tick in ticks]
    if bars := drawn.bars(page):
        assert {tick.at for tick in ticks} <= {bar.date for bar in bars}
    interval = page.locator("#interval option").first.inner_text()
    if "day" in interval or "hour" in interval:
        assert ticks[0].at[:10] >= query["from"]
    assert ticks[-1].at[:10] <= query["to"]
    for before, after in pairwise(ticks):
        assert before.right < after.left
    card = page.locator("#main-chart .card").bounding_box()
    assert card
    assert card["x"] <= ticks[0].left
    assert ticks[-1].right <= card["x"] + card["width"]


def check_grid(page: Page) -> None:
    """The axis begins at 0 and ends at or above the largest bar."""
    lines = drawn.values(page)
    assert lines[0] == 0
    assert 2 <= len(lines) <= 7
    bars = drawn.bars(page)
    assert not bars or lines[-1] >= max(bar.value for bar in bars)


def check_interval(page: Page, interval: str) -> None:
    """It follows the range and the width, unless the reader chose one."""
    expect(page.locator("#main-chart h3")).to_contain_text(f"per {interval}")
    assert row_count(page) <= 105


@pytest.mark.parametrize(
    "query", some_long(["?period=90d&interval=week", "?period=12m&interval=month"])
)
def test_labels_of_weeks_and_months_are_at_rows(
    page: Page, server: Server, query: str
) -> None:
    """Mondays, and first days of months."""
    show_view(page, query)
    rows = {bar.date for bar in drawn.bars(page)}
    assert {tick.at for tick in drawn.dates(page)} <= rows


CHOOSE = """async (cases) => {
  const { ticks } = await import("./dashboard/assets/axis.js");
  return cases.map(([rows, interval, width]) => ticks(rows, interval, { width, fontSize: 12 }));
}"""


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    first=st.dates(date(2024, 6, 3), date(2030, 1, 1)),
    count=st.integers(1, 900),
    weekends=st.booleans(),
    interval=st.sampled_from(INTERVALS),
    width=st.integers(200, 3600),
)
def test_any_series_has_distinct_labels_that_fit(
    page: Page, first: date, count: int, weekends: bool, interval: str, width: int
) -> None:
    """Property: labels ascend, are distinct in their context and leave a gap."""
    rows = _rows(first, count, interval, weekends)
    (ticks,) = page.evaluate(CHOOSE, [[rows, interval, width]])
    assert 1 <= len(ticks) <= len(rows)
    indexes = [tick["index"] for tick in ticks]
    assert indexes == sorted(set(indexes))
    middles = [(index + 0.5) * width / len(rows) for index in indexes]
    for (left, before), (right, after) in zip(
        zip(middles, ticks, strict=True),
        list(zip(middles, ticks, strict=True))[1:],
        strict=False,
    ):
        # Eleven characters of 12 pixels, the widest label, take 77 pixels at most.
        needed = (len(before["text"]) + len(after["text"])) / 2 * 12 * 0.5
        assert right - left >= min(needed, width / 2 - 1)
        assert before["text"] != after["text"]


def _rows(first: date, count: int, interval: str, weekends: bool) -> list[str]:
    """Dates of *count* rows, with the time for hours."""
    if interval == "hour":
        return [
            f"{first + timedelta(hour // 24)}T{hour % 24:02}:00"
            for hour in range(count)
        ]
    if interval == "week":
        monday = first - timedelta(first.weekday())
        return [str(monday + timedelta(weeks=week)) for week in range(count)]
    if interval == "month":
        months = [first.year * 12 + first.month - 1 + month for month in range(count)]
        return [f"{month // 12}-{month % 12 + 1:02}-01" for month in months]
    days = [first + timedelta(day) for day in range(count)]
    return [str(day) for day in days if weekends or day.weekday() < 5] or [str(first)]


@pytest.mark.parametrize(
    "query",
    some_long(
        ["?period=90d", "?period=90d&weekends=false", "?period=30d&interval=week"]
    ),
)
def test_tile_chart_table_and_file_have_one_number(
    page: Page, server: Server, query: str
) -> None:
    """For each series; with Monday to Friday the page says so."""
    show_view(page, query)
    only_weekdays = "weekends=false" in query
    expect(page.locator("#range-text")).to_contain_text(
        "Monday to Friday" if only_weekdays else "UTC"
    )
    if page.locator("#activity-table details[open]").count() == 0:
        page.locator("#activity-table summary").click()
    parameters = dict(re.findall(r"(\w+)=(\w+)", query)) | {
        "weekends": str(not only_weekdays).lower()
    }
    file = server.ask("/historical.csv", **parameters).text
    lines = list(csv.DictReader(io.StringIO(file)))
    for index, (name, label) in enumerate(METRICS.items()):
        tile = page.locator(f'[data-metric="{name}"]')
        tile.click()
        expect(page.locator("#main-chart h3")).to_contain_text(f"{label} per ")
        total = sum(int(line[name]) for line in lines)
        assert tile.locator(".value").inner_text() == f"{total:,}"
        assert sum(bar.value for bar in drawn.bars(page)) == total
        assert f"{total:,}" in page.locator("#main-chart .total").inner_text()
        cells = page.locator(
            f"#activity-table tbody tr td:nth-child({2 + 2 * index})"
        ).all_inner_texts()
        assert sum(int(cell.replace(",", "")) for cell in cells) == total
    page.locator('[data-metric="page_views"]').click()


def test_tiles_equal_the_figures_of_their_sections(page: Page, server: Server) -> None:
    """Page views and votes are also figures of the API: the numbers are the same."""
    show_view(page)
    data = server.ask("/", period="90d").json()["data"]
    for metric, figure in (
        ("page_views", data["traffic"]["page_views"]),
        ("votes", data["votes"]["total_votes"]),
    ):
        tile = page.locator(f'[data-metric="{metric}"] .value')
        assert tile.inner_text() == f"{figure:,}"


@pytest.mark.long("test_tile_chart_table_and_file_have_one_number")
def test_weekends_are_in_unless_the_reader_leaves_them_out(
    page: Page, server: Server
) -> None:
    """Monday to Friday is a choice."""
    show_view(page, "?period=30d")
    assert {date.fromisoformat(bar.date).weekday() for bar in drawn.bars(page)} == set(
        range(7)
    )
    with page.expect_response("**weekends=false**"):
        page.get_by_label("Days", exact=True).select_option("Monday to Friday")
    settled(page)
    assert {date.fromisoformat(bar.date).weekday() for bar in drawn.bars(page)} == set(
        range(5)
    )
    assert "weekends=false" in page.url


@pytest.mark.parametrize(
    ("period", "compare", "weeks"),
    some_long(
        [
            ("7d", "previous", 1),
            ("30d", "previous", 5),
            ("90d", "previous", 13),
            ("30d", "year", 52),
        ],
    ),
)
def test_each_day_is_compared_with_the_same_weekday(
    page: Page, server: Server, period: str, compare: str, weeks: int
) -> None:
    """Every row has a pair, whole weeks before; the values are those of that day.

    Today is compared with what had happened by the same time.
    """
    show_view(page, f"?period={period}&compare={compare}")
    bars, marks = drawn.bars(page), drawn.compared(page)
    assert [mark.date for mark in marks] == [bar.date for bar in bars]
    shift = timedelta(weeks=weeks)
    first, last = (date.fromisoformat(bars[index].date) - shift for index in (0, -1))
    rows = series(server, **{"from": first, "to": last})
    whole = [row["page_views"] for row in rows]
    assert [mark.value for mark in marks[:-1]] == whole[:-1]
    query = {"period": period, "compare": compare, "match": "weekday"}
    query |= {"so_far": "true", "weekends": "true", "sections": "historical"}
    before = server.ask("/", **query).json()["previous"]["historical"]
    assert marks[-1].value == before[-1]["page_views"] <= whole[-1]


def per_cent(value: float, before: float) -> str:
    """The change from *before* to *value* as the page writes it."""
    tenths = (Decimal(value) / Decimal(before) - 1) * 1000
    change = tenths.to_integral_value(ROUND_HALF_UP) / 10
    return f"{change:+,f}%" if change else "0%"


@pytest.mark.parametrize(
    ("value", "before", "text"),
    [
        (3, 2, "+50%"),
        (2, 3, "-33.3%"),
        (2, 2, "0%"),
        (9_999, 10_000, "0%"),
        (17, 16, "+6.3%"),
        (15, 16, "-6.3%"),
        (30, 2, "+1,400%"),
        (1, 0, None),
    ],
)
def test_a_change_is_written_with_its_sign(
    page: Page, value: int, before: int, text: str | None
) -> None:
    """In per cent, with one decimal. Zero has no sign; nothing is compared with zero."""
    written = page.evaluate(
        """async ([value, before]) => {
            const { percentChange } = await import("./dashboard/assets/series.js");
            const format = await import("./dashboard/assets/format.js");
            const change = percentChange(value, before);
            return change === null ? null : format.change(change);
        }""",
        [value, before],
    )
    assert written == text
    assert before == 0 or per_cent(value, before) == text


def test_the_tooltip_has_both_dates_and_the_change(page: Page, server: Server) -> None:
    """For a finished day; the change is that of the two values."""
    show_view(page, "?period=30d")
    bars, marks = drawn.bars(page), drawn.compared(page)
    index = next(
        index
        for index, (bar, mark) in enumerate(zip(bars, marks, strict=True))
        if bar.value and mark.value
    )
    tip = drawn.point_at(page, index)
    day = date.fromisoformat(bars[index].date)
    before = day - timedelta(weeks=5)
    assert f"{day:%a}, {day.day} {day:%b %Y}" in tip
    assert f"{before:%a}, {before.day} {before:%b %Y}" in tip
    assert f"{bars[index].value:,.0f}" in tip
    assert f"{marks[index].value:,.0f}" in tip
    change = per_cent(bars[index].value, marks[index].value)
    assert f"\nChange\n{change}\n" in tip


def test_averages_reach_back_before_the_range(page: Page, server: Server) -> None:
    """From the first day on they are the mean of seven days."""
    show_view(page, "?period=30d")
    bars, lines = drawn.bars(page), drawn.averages(page)
    assert len(lines) == len(bars)
    assert "7-day average" in drawn.legend(page)
    first = date.fromisoformat(bars[0].date)
    rows = series(server, **{"from": first - timedelta(6), "to": bars[-1].date})
    counts = [row["page_views"] for row in rows]
    assert lines[-1] is None, "today would pull it down"
    for index, value in enumerate(lines[:-1]):
        assert value == pytest.approx(sum(counts[index : index + 7]) / 7, abs=0.006)


@pytest.mark.parametrize(
    "query",
    some_long(
        ["?period=12m&interval=month", "?period=90d&interval=week", "?period=today"]
    ),
)
def test_the_legend_names_only_lines_that_are_drawn(
    page: Page, server: Server, query: str
) -> None:
    """Weeks, months and hours have no average."""
    show_view(page, query)
    assert drawn.averages(page) == []
    assert not [entry for entry in drawn.legend(page) if "average" in entry.lower()]


@pytest.mark.parametrize(
    ("query", "words"),
    some_long(
        [
            ("?period=7d", "Wed|Tue|Mon|Thu|Fri|Sat|Sun"),
            ("?period=90d&interval=week", "\N{EN DASH}"),
            ("?period=12m&interval=month", "20"),
        ]
    ),
)
def test_only_the_present_row_is_marked_as_unfinished(
    page: Page, server: Server, query: str, words: str
) -> None:
    """The tooltip says "so far"; rows that the range cuts are marked, too.

    Its change is that from the same time, which is named.
    """
    show_view(page, query)
    bars = drawn.bars(page)
    assert bars[-1].unfinished
    assert not any(bar.unfinished for bar in bars[1:-1])
    unfinished = [bar.value for bar in bars if bar.unfinished and bar.value]
    assert ("Incomplete" in drawn.legend(page)) == bool(unfinished)
    tip = drawn.point_at(page, -1)
    assert "(so far)" in tip
    assert re.search(words, tip)
    assert ("Change" in tip) == bool(re.search(r"until .*\d\d:\d\d\n[1-9]", tip))
    assert ", until " in tip
    compared = {mark.date for mark in drawn.compared(page) if mark.value}
    finished = [bar.date in compared and not bar.unfinished for bar in bars]
    assert "Change" in drawn.point_at(page, finished.index(True))


def test_hours_of_today_end_with_the_present_hour(page: Page, server: Server) -> None:
    """A row per hour; the last is unfinished."""
    show_view(page, "?period=today")
    bars = drawn.bars(page)
    assert bars[0].date.endswith("T00:00")
    assert bars[-1].unfinished
    assert len(bars) == int(bars[-1].date[11:13]) + 1


CONTRAST = """(scheme) => {
  const luminance = (text) => {
    const probe = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    probe.fillStyle = text;
    probe.fillRect(0, 0, 1, 1);
    const channels = [...probe.getImageData(0, 0, 1, 1).data].slice(0, 3).map((value) => {
      const share = value / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * channels[0] + 0.7152 * channels[1] + 0.0722 * channels[2];
  };
  const of = (selector, name) => getComputedStyle(document.querySelector(selector))[name];
  const surface = luminance(of("#main-chart .card", "backgroundColor"));
  const marks = {
    bar: of("#main-chart rect.bar", "fill"),
    before: of("#main-chart line.before", "stroke"),
    average: of("#main-chart path.average", "stroke"),
  };
  return Object.fromEntries(Object.entries(marks).map(([name, colour]) => {
    const [low, high] = [luminance(colour), surface].sort((a, b) => a - b);
    return [name, (high + 0.05) / (low + 0.05)];
  }));
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_marks_have_a_contrast_of_three_to_one(
    page: Page, server: Server, scheme: Any
) -> None:
    """Against the card; lines over bars have a rim in the card's colour."""
    show_view(page, "?period=30d")
    page.emulate_media(color_scheme=scheme)
    contrasts = page.evaluate(CONTRAST, scheme)
    page.emulate_media(color_scheme="light")
    assert all(contrast >= LEAST_CONTRAST for contrast in contrasts.values()), contrasts
    halos = page.locator("#main-chart line.halo").count()
    assert halos == page.locator("#main-chart line.before").count() > 0


def test_a_tile_chooses_the_chart_and_the_address_keeps_it(
    page: Page, server: Server
) -> None:
    """Without a request; the tile is marked, and a shared address shows the same."""
    show_view(page)
    asked: list[str] = []  # by this page; another one may refresh itself
    page.on("request", lambda request: asked.append(request.url))
    page.get_by_role("button", name=re.compile("^Votes")).first.click()
    expect(page.locator('[data-chart="Votes"]')).to_be_visible()
    expect(page.locator('[data-metric="votes"]')).to_have_attribute(
        "aria-pressed", "true"
    )
    assert not [url for url in asked if "interval=" in url]
    assert page.url.endswith("?metric=votes")
    page.reload()
    settled(page)
    expect(page.locator('[data-chart="Votes"]')).to_be_visible()


@pytest.mark.parametrize("width", some_long([1920, 3840]))
def test_the_wall_view_fits_one_screen(page: Page, width: int) -> None:
    """Figures and chart, with labels that are readable from afar."""
    screen: ViewportSize = {"width": width, "height": width * 9 // 16}
    page.set_viewport_size(screen)
    show_view(page, "?kiosk=true")
    height = page.evaluate("document.documentElement.scrollHeight")
    assert height == screen["height"]
    for part in ("#tiles", "#main-chart .plot", "#figures", "#daily"):
        box = page.locator(part).bounding_box()
        assert box
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= screen["height"]
    label = page.locator("#main-chart .dates-axis .tick").first
    size = label.evaluate("node => parseFloat(getComputedStyle(node).fontSize)")
    assert size >= width / 130
    plot = page.locator("#main-chart .plot").bounding_box()
    assert plot
    assert plot["height"] > screen["height"] / 5


@pytest.mark.long("test_the_wall_view_fits_one_screen")
@pytest.mark.parametrize("width", some_long([768, 1280]))
def test_tiles_stand_in_one_row(visitor: Visitor, server: Server, width: int) -> None:
    """No tile stands alone in a second row."""
    screen = {"width": width, "height": 900}
    page = visitor.sign_in(visitor.open_page(viewport=screen), server)
    for row in ("#tiles .tile", "#figures .tile", "#daily .tile"):
        tops = page.locator(row).evaluate_all(
            "all => all.map(tile => Math.round(tile.getBoundingClientRect().top))"
        )
        assert len(set(tops)) == 1, row


def test_today_is_compared_with_the_same_hours_only(page: Page, server: Server) -> None:
    """Before noon a whole day would always be more."""
    check_comparison(page, server, "today")


@pytest.mark.parametrize("period", some_long(["7d", "30d", "month"]))
def test_the_present_day_is_compared_with_a_part_of_a_day(
    page: Page, server: Server, period: str
) -> None:
    """Of the last day, too, only what had happened by the same time counts."""
    check_comparison(page, server, period)


def check_comparison(page: Page, server: Server, period: str) -> None:
    """Tiles, figures and heading of *period*, compared with the same weekdays."""
    show_view(page, f"?period={period}")
    query = {"period": period, "compare": "previous", "match": "weekday"}
    answer = server.ask("/", **query, so_far="true").json()
    before = answer["previous"]["traffic"]
    for metric, value in (
        ('#tiles [data-metric="page_views"]', before["page_views"]),
        ("#figures .tile:first-child", before["unique_users"]),
    ):
        note = page.locator(f"{metric} .note").text_content() or ""
        assert not value or f"from {value:,}" in note
    ends = datetime.fromisoformat(answer["query"]["compare_until"])
    expect(page.locator("#range-text")).to_contain_text(f" until {ends:%H:%M}")
