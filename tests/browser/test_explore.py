"""The Explore section: derived tables and reports, their forms, charts and states."""

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.browser.test_access import violations
from tests.browser.visitor import VIEW, Visitor, intercept
from tests.support.derived import table_sql, write_views
from tests.support.effort import fewer, some_long
from tests.support.programs import ROOT, run_updater
from tests.support.world import HOSTILE, Server, World

pytestmark = pytest.mark.external

SHIPPED = ("funnel", "growth", "estimation")

MANY = table_sql(
    "many",
    "SELECT i::INTEGER AS id, i % 7 AS remainder FROM range(2500) AS r(i)",
    "@description Many rows.",
    "@order id",
    "@filter remainder [=, in]",
    "@limit 10 5000",
    "@test unique(id)",
)

HARMED = table_sql(
    "harmed",
    "SELECT route, count(*) AS views FROM fpp_page_views GROUP BY route",
    "@description Page views by route.",
    "@order views desc",
)

VALUES = f"""\
-- @name kinds
-- @type report
-- @description Values of every kind.
-- @param day date 2026-11-25
-- @param moment timestamp null
-- @param least integer 0 0..100
-- | Smallest value
-- @unit least points
-- @column large A large number
-- @column pace How fast
-- @unit pace seconds
-- @unit part share from 0 to 1
SELECT 9007199254740993 AS large, 0.1::DECIMAL(38,18) AS exact, 0.125 AS part,
    2.5 AS pace, 'NaN'::DOUBLE AS nothing, NULL::INTEGER AS missing, '' AS blank,
    '{HOSTILE.replace("'", "''")}' AS hostile, repeat('x', 500) AS long, [1, 2] AS list,
    $day AS day, coalesce($moment, TIMESTAMPTZ '2026-11-25 12:30:00Z') AS moment,
    $least AS least
"""

FAILING = """\
-- @name failing
-- @type report
-- @param text text
SELECT $text::INTEGER AS n FROM fpp_rooms
"""

HOURS = """\
-- @name hours
-- @type report
-- @param step text
SELECT unnest(range(TIMESTAMP '2026-01-01', TIMESTAMP '2026-01-10', $step::INTERVAL)) AS at, 1 AS n
"""

BROKEN = "-- @name broken\n-- @type report\n-- @colour red\nSELECT 1"


@pytest.fixture(scope="module")
def views_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some of the shipped files, and others with every kind of value and fault."""
    folder = write_views(
        tmp_path_factory.mktemp("explore") / "views",
        broken=BROKEN,
        failing=FAILING,
        hours=HOURS,
        harmed=HARMED,
        kinds=VALUES,
        many=MANY,
    )
    for name in SHIPPED:
        shutil.copy(ROOT / "views" / f"{name}.sql", folder)
    return folder


@pytest.fixture(scope="module")
def server(world: World, views_dir: Path) -> Iterator[Server]:
    """The API with derived tables; the definition of `harmed` has an error by now."""
    data_dir = views_dir.parent / "data"
    settings = {
        "SOURCE_URL": f"sqlite:///{world.database}",
        "DATA_DIR": str(data_dir),
        "VIEWS_DIR": str(views_dir),
    }
    done = run_updater(settings)
    assert (data_dir / "current").exists(), done.stderr
    write_views(views_dir, harmed=HARMED.replace("@order", "@odor"))
    server = Server(data_dir)
    server.start(VIEWS_DIR=str(views_dir))
    assert server.ask("/views").is_success  # starts the worker
    yield server
    server.stop()


@pytest.fixture(scope="module")
def page(shared_visitor: Visitor, server: Server) -> Page:
    """A page on which the visitor has signed in."""
    return shared_visitor.sign_in(shared_visitor.open_page(), server)


@pytest.fixture
def show(
    page: Page, shared_visitor: Visitor, server: Server
) -> Iterator[Callable[[str], Locator]]:
    """Show a view by its address, as from the list; returns the section.

    The page stays loaded, as when the reader goes back.
    """
    if page.is_hidden("#view"):  # a test has signed out
        page.goto("about:blank")
        shared_visitor.sign_in(page, server)

    def show(query: str = "") -> Locator:
        if not page.url.startswith(server.page):
            page.goto(server.page)
        for each in dict.fromkeys(("", query)):
            page.evaluate(VIEW, each)
        section = page.locator("#explore")
        section.scroll_into_view_if_needed()
        return section

    yield show
    page.unroute_all()


def column(section: Locator, number: int) -> list[str]:
    """The texts of a column of the table of rows; the first one is 1."""
    cells = section.locator(f".explore-rows tbody tr > :nth-child({number})")
    cells.first.wait_for()
    return cells.all_inner_texts()


def entry(section: Locator, name: str) -> Locator:
    """A card of the list."""
    link = section.page.get_by_role("link", name=name, exact=True)
    return section.locator("li", has=link)


def refusing(status: int, detail: str) -> Callable[[Route], None]:
    """A handler of requests that answers with an error."""
    return lambda route: route.fulfill(status=status, json={"detail": detail})


def test_the_list_names_tables_reports_and_errors(
    page: Page, show: Callable[..., Locator]
) -> None:
    """With the keyboard a card opens, and the way back ends on it."""
    section = show()
    funnel = entry(section, "Funnel by source")
    expect(funnel).to_contain_text("From page view to vote, by the source")
    expect(funnel).to_contain_text(re.compile(r"\d+ rows"))
    expect(entry(section, "Room pace")).to_contain_text("asks for room id, since")
    expect(entry(section, "Harmed")).to_contain_text("stale")
    faults = section.locator(".explore-faults")
    expect(faults).to_contain_text("broken.sql:3 broken: unknown key @colour")
    funnel.get_by_role("link").focus()
    page.keyboard.press("Enter")
    expect(section.get_by_role("heading", name="Funnel by source")).to_be_focused()
    assert page.url.endswith("?explore=funnel_by_source")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    expect(funnel.get_by_role("link")).to_be_focused()
    assert "explore" not in page.url


@pytest.mark.long("test_the_list_names_tables_reports_and_errors")
def test_without_sql_files_there_is_a_hint(
    page: Page, show: Callable[..., Locator]
) -> None:
    """It names the documentation."""
    nothing: dict[str, list[Any]] = {
        "views": [],
        "reports": [],
        "errors": [],
        "unmirrored": [],
    }
    page.route("**/views", lambda route: route.fulfill(json=nothing))
    page.reload()
    expect(show()).to_contain_text("docs/sql-files.md")
    page.unroute_all()
    page.reload()


def test_a_table_shows_what_the_api_answers(
    server: Server, show: Callable[..., Locator]
) -> None:
    """Rows, units, meanings, tests, SQL, and a bar for each row."""
    answer = server.ask("/views/funnel_by_source").json()
    section = show("?explore=funnel_by_source")
    assert column(section, 1) == [row["source"] for row in answer["rows"]]
    assert column(section, 2) == [f"{row['users']:,}" for row in answer["rows"]]
    shares = [row["room_share"] for row in answer["rows"]]
    assert column(section, 6) == [
        f"{share:.1%}".replace(".0%", "%") for share in shares
    ]
    bars = section.locator(".explore-bars rect")
    drawn = [bar.get_attribute("data-value") for bar in bars.all()]
    assert drawn == [str(row["users"]) for row in answer["rows"]]
    section.get_by_text("Columns and what they mean").click()
    expect(section).to_contain_text("Users who opened a room and estimated")
    section.get_by_text("Tests of each build").click()
    expect(section).to_contain_text("unique(source)")
    section.get_by_text("SQL", exact=True).click()
    expect(section.locator("pre")).to_contain_text("WITH visitors AS")


@pytest.mark.parametrize(
    ("order", "kind"), [(["-score"], "bars"), (["-seen_at"], "lines"), ([], "bars")]
)
def test_things_with_a_time_have_no_lines(
    page: Page, show: Callable[..., Locator], order: list[str], kind: str
) -> None:
    """Players with their last visits are no series, unless they are ordered by it."""
    show("")
    types = {"player": "text", "score": "integer", "seen_at": "timestamp"}
    answer = {
        "columns": [{"name": name, "type": kind} for name, kind in types.items()],
        "rows": [
            {"player": f"p{n}", "score": n, "seen_at": f"2026-11-2{n}T10:00:00Z"}
            for n in range(5)
        ],
        "order": order,
    }
    file = "/dashboard/assets/explore/chart-data.js"
    chart = page.evaluate(
        "async ([file, answer]) => (await import(file)).chartOf(answer)", [file, answer]
    )
    assert chart["kind"] == kind


def test_a_series_per_country_is_a_line_each(
    page: Page, server: Server, show: Callable[..., Locator]
) -> None:
    """The largest six; another number can be chosen, and the address has it."""
    rows = server.ask("/views/growth_by_country", limit=2000).json()["rows"]
    totals: dict[str, int] = {}
    for row in rows:
        totals[row["country"]] = totals.get(row["country"], 0) + row["new_users"]
    section = show("?explore=growth_by_country")
    lines = section.locator(".explore-line")
    expect(lines).to_have_count(6)
    drawn = {line.get_attribute("data-line") or "" for line in lines.all()}
    smallest = min(totals[country] for country in drawn)
    assert sorted(totals.values())[-6] == smallest
    section.get_by_label("Values in the chart").select_option("growth")
    expect(section.locator('[data-number="growth"]')).to_be_visible()
    assert page.url.endswith("explore-number=growth")


@pytest.mark.parametrize(
    ("step", "first"),
    some_long([("1 hour", "2026-01-01 00:00"), ("1 day", "2026-01-01")]),
)
def test_times_below_a_chart_have_no_needless_zeros(
    show: Callable[..., Locator], step: str, first: str
) -> None:
    """Days are dates, and hours have no seconds."""
    section = show(f"?explore=hours&explore.step={step}")
    label = section.locator(".explore-dates span").first
    expect(label).to_have_text(first)


@pytest.mark.long("test_a_table_shows_what_the_api_answers")
def test_filters_order_and_pages_are_in_the_address(
    page: Page, show: Callable[..., Locator]
) -> None:
    """The API sorts; back and forward lead through all of it, and a link opens it."""
    section = show("?explore=many")
    assert column(section, 1)[:2] == ["0", "1"]
    expect(section).to_contain_text("2,000 of 2,500 rows")
    section.get_by_role("button", name="Show 200 more of 1,800").click()
    assert len(column(section, 1)) == 400
    section.get_by_role("button", name="Next page").click()
    expect(section).to_contain_text("500 of 2,500 rows")
    assert column(section, 1)[0] == "2,000"
    section.get_by_role("button", name="Remainder").click()
    expect(section.locator("[aria-sort=descending]")).to_have_text(re.compile("Rem"))
    expect(section.get_by_role("button", name="Remainder")).to_be_focused()
    assert "explore.order=-remainder" in page.url
    assert "after" not in page.url
    section.get_by_label("is one of").fill("2,3")
    page.keyboard.press("Enter")
    expect(section).to_contain_text("714 rows, data from")
    assert set(column(section, 2)) == {"3"}
    link = page.url
    presets = page.locator("#presets")
    presets.locator("[value='30d'], button:text-is('30 days')").dispatch_event("click")
    page.wait_for_url("**=30d**")
    assert "explore.remainder.in=2%2C3" in page.url
    page.go_back()
    page.go_back()
    expect(section).to_contain_text("2,000 of 2,500 rows")
    expect(section.get_by_label("is one of")).to_have_value("")
    page.goto("about:blank")
    page.goto(link)
    expect(section).to_contain_text("714 rows")
    expect(section.get_by_label("is one of")).to_have_value("2,3")


def test_a_report_has_a_form_and_errors_stand_beside_their_field(
    page: Page, shared_visitor: Visitor, world: World, show: Callable[..., Locator]
) -> None:
    """What is required is asked for first; nothing is sent without it."""
    section = show("?explore=room_pace")
    expect(section).to_contain_text("Fill in the required fields")
    room = section.get_by_label("Room id")
    run = section.get_by_role("button", name="Run")
    run.click()
    expect(room).to_be_focused()
    expect(room).to_have_accessible_description(re.compile("Enter a value"))
    room.fill("0")
    run.click()
    problem = re.compile("room_id must be at least 1")
    expect(room).to_have_accessible_description(problem)
    expect(room).to_have_attribute("aria-invalid", "true")
    shared_visitor.expect_problem("422")
    room.fill(str(world.busiest_room()))
    run.click()
    expect(section.locator("[data-kind=lines]")).to_be_visible()
    expect(section.locator("[aria-invalid]")).to_have_count(0)
    section.get_by_label("Since").fill("2099-01-01")
    run.click()
    expect(section).to_contain_text("No rows for these values.")
    assert "explore.since=2099-01-01" in page.url


def test_values_of_every_kind_are_exact_and_harmless(
    page: Page, show: Callable[..., Locator]
) -> None:
    """Large numbers keep their digits, markup is text, and nothing is left out."""
    section = show("?explore=kinds&explore.moment=2026-11-25T10:00&explore.least=7")
    row = section.locator(".explore-rows tbody tr")
    expect(row).to_have_count(1)
    shown = row.locator("> *").all_inner_texts()
    assert shown[:8] == [
        *("9007199254740993", "0.100000000000000000", "12.5%", "2.5", "NaN"),
        *("–", "(empty)", HOSTILE),  # noqa: RUF001 - as the page shows null
    ]
    assert shown[8] == f"{'x' * 200}…"
    assert shown[9:] == ["[1,2]", "25 Nov 2026", "2026-11-25 10:00:00", "7"]
    assert page.evaluate("window.hacked") is None
    expect(section.get_by_label("Moment")).to_have_value("2026-11-25T10:00")
    least = section.get_by_label("Least (points)")
    expect(least).to_have_accessible_description(
        re.compile("Smallest value 0 to 100. Without it: 0.")
    )


def test_rows_are_saved_in_every_format(
    page: Page, server: Server, show: Callable[..., Locator]
) -> None:
    """All pages of the filtered rows, under the API's name."""
    section = show("?explore=many&explore.remainder=3&explore.order=-id")
    query = {"remainder": 3, "order": "-id", "limit": 5000}
    for name in ("CSV", "XLSX", "JSON", "NDJSON", "Parquet"):
        button = section.get_by_role("button", name=f"Save as {name}", exact=True)
        with page.expect_download() as download:
            button.click()
        extension = name.lower()
        assert download.value.suggested_filename == f"fpp-many.{extension}"
        saved = Path(download.value.path()).read_bytes()
        assert len(saved) > 500
        if name != "XLSX":  # a workbook has the time at which it was made
            assert saved == server.ask(f"/views/many.{extension}", **query).content


def test_a_stale_table_says_since_when_and_why(show: Callable[..., Locator]) -> None:
    """Its definition has an error; the rows of the last good build are there."""
    section = show("?explore=harmed")
    expect(section.locator(".explore-stale")).to_contain_text(
        re.compile(r"Stale since .*last good build.*harmed\.sql:5.*unknown key @odor")
    )
    assert len(column(section, 1)) > 1
    expect(section.get_by_text("Its definition has an error.")).to_be_hidden()


def test_failures_are_shown_in_the_apis_words(
    page: Page, shared_visitor: Visitor, show: Callable[..., Locator]
) -> None:
    """A report that fails, is stopped or must wait; a table that is not there."""
    section = show("?explore=failing&explore.text=x")
    alert = section.get_by_role("alert").filter(has_text=re.compile("."))
    expect(alert).to_contain_text("The report failing failed.")
    shared_visitor.expect_problem("500")
    for status, text in (
        (504, "The report failing was stopped. It took longer than 10 seconds."),
        (503, "8 reports are waiting already."),
    ):
        intercept(page, "**/reports/failing?**", refusing(status, text))
        alert.get_by_role("button", name="Try again").click()
        expect(alert).to_contain_text(text)
        shared_visitor.expect_problem(str(status))
    page.unroute_all()
    section.get_by_label("Text").fill("7")
    section.get_by_role("button", name="Run").click()
    expect(section).to_contain_text("rows, data from")
    section = show("?explore=nothing")
    expect(section).to_contain_text("no derived table or report called nothing")
    section.get_by_role("button", name="Show all").click()
    expect(entry(section, "Many")).to_be_visible()


@pytest.mark.long(
    "tests/browser/test_sql.py::test_a_slow_query_is_cancelled_and_hangs_up"
)
def test_a_slow_answer_can_be_cancelled(
    page: Page, show: Callable[..., Locator]
) -> None:
    """Old rows disappear at once; the wait is named, and then that it is long."""

    def hold(_: Route) -> None:
        """Never answer."""

    section = show("?explore=many")
    column(section, 1)
    intercept(page, "**/views/many?**", hold)
    section.get_by_role("button", name="Remainder").click()
    loading = section.locator(".explore-loading")
    expect(loading).to_contain_text("Loading…")
    expect(section.locator(".explore-rows")).to_have_count(0)
    expect(loading).to_contain_text("Still loading. You can wait, or cancel.")
    with page.expect_event("requestfailed"):
        loading.get_by_role("button", name="Cancel").click()
    expect(loading).to_contain_text("Cancelled.")
    page.unroute_all()
    loading.get_by_role("button", name="Load again").click()
    assert column(section, 2)[0] == "6"


OPEN_ALL = "document.querySelectorAll('#explore details').forEach(d => d.open = true)"
REFUSED = "room_pace&explore.room_id=0"
LOOKED_AT = {
    ("light", 1280): ("growth_by_country", "kinds", REFUSED),
    ("dark", 360): ("funnel_by_source", "harmed"),
}


@pytest.mark.parametrize(("scheme", "width"), some_long(reversed(LOOKED_AT)))
def test_the_section_is_accessible_and_fits(
    page: Page,
    shared_visitor: Visitor,
    show: Callable[..., Locator],
    scheme: Any,
    width: int,
) -> None:
    """Axe finds nothing serious, with everything open, and nothing is cut off."""
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    overflows = "document.documentElement.scrollWidth > innerWidth"
    section = show()
    expect(entry(section, "Many")).to_be_visible()
    assert violations(page, "#explore") == []
    looked_at = fewer(LOOKED_AT[scheme, width], 1)
    for name in looked_at:
        section = show(f"?explore={name}")
        section.locator(".explore-rows, [aria-invalid]").first.wait_for()
        page.evaluate(OPEN_ALL)
        assert violations(page, "#explore") == [], name
        for each in (width, 768, 1920) if width == 1280 else (width,):
            page.set_viewport_size({"width": each, "height": 900})
            assert not page.evaluate(overflows), (name, each)
        page.set_viewport_size({"width": width, "height": 900})
    if REFUSED in looked_at:
        shared_visitor.expect_problem("422")


def test_signing_out_removes_all_rows(page: Page, show: Callable[..., Locator]) -> None:
    """Nothing of the section stays in the document."""
    page.set_viewport_size({"width": 1280, "height": 900})
    section = show("?explore=many")
    column(section, 1)
    page.get_by_role("button", name="Sign out").click()
    expect(section.locator(".explore-detail")).to_have_count(0)
