"""The editor for SQL in the Explore section."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest
from playwright.sync_api import Locator, Page, Route, expect
from polars.testing import assert_frame_equal

from tests.browser.conftest import QUERY_TOKEN
from tests.browser.test_access import AXE
from tests.browser.visitor import (
    VIEW,
    Tabs,
    Visitor,
    intercept,
    settled,
    show_view,
    visiting,
)
from tests.support.effort import some_long
from tests.support.world import HOSTILE, TOKEN, Server

pytestmark = pytest.mark.external

BY_DEVICE = "SELECT device, count(*) AS users FROM fpp_users GROUP BY ALL ORDER BY 1"
EDITOR = "?explore-sql="
NOTHING = "\u2013"
"""A null, as the page shows it."""


@pytest.fixture(scope="module")
def page(shared_visitor: Visitor, server: Server) -> Page:
    """A page on which somebody has signed in who may send SQL."""
    return shared_visitor.sign_in(shared_visitor.open_page(), server, token=QUERY_TOKEN)


@pytest.fixture
def section(page: Page, server: Server) -> Iterator[Locator]:
    """The section with the editor and its catalogue; the page stays loaded."""
    page.set_viewport_size({"width": 1280, "height": 900})
    if not page.url.startswith(server.page):
        page.goto(server.page)
    page.evaluate(VIEW, EDITOR)
    section = page.locator("#explore")
    expect(section.locator("[data-table=fpp_users]")).to_be_visible()
    statement(section).fill("")
    yield section
    page.unroute_all()


def query(server: Server, accept: str = "*/*", **content: Any) -> httpx.Response:
    """What the API answers to a query."""
    headers = {"Authorization": f"Bearer {QUERY_TOKEN}", "Accept": accept}
    url = f"{server.url}/query"
    return httpx.post(url, json=content, headers=headers, timeout=60)


def statement(section: Locator) -> Locator:
    """The field for the statement."""
    return section.get_by_label("One SELECT")


def run(section: Locator, sql: str) -> None:
    """Run a statement with the keyboard; rows of an earlier one are gone then."""
    section.locator(".explore-result").evaluate("result => result.replaceChildren()")
    statement(section).fill(sql)
    statement(section).press("Control+Enter")


def column(section: Locator, number: int) -> list[str]:
    """The texts of a column of the rows; the first one is 1."""
    cells = section.locator(f".explore-rows tbody tr > :nth-child({number})")
    cells.first.wait_for()
    return cells.all_inner_texts()


def test_it_is_there_for_those_who_may_send_sql(
    any_view: Page, server: Server, page: Page
) -> None:
    """In the list, by a link that opens it; others see no trace, and a reason."""
    explore = show_view(any_view).locator("#explore")
    explore.scroll_into_view_if_needed()
    expect(explore).to_contain_text("There are no derived tables or reports yet.")
    expect(explore.get_by_role("link", name="SQL", exact=True)).to_have_count(0)
    any_view.goto(f"{server.page}{EDITOR}")
    expect(explore).to_contain_text("This token may not send SQL.")
    expect(explore.locator("textarea")).to_have_count(0)
    mine = show_view(page).locator("#explore")
    mine.scroll_into_view_if_needed()
    mine.get_by_role("link", name="SQL", exact=True).click()
    expect(mine.get_by_role("heading", name="SQL")).to_be_focused()
    assert page.url.endswith("explore-sql=")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    expect(mine.get_by_role("link", name="SQL", exact=True)).to_be_focused()
    assert "explore" not in page.url


def test_it_shows_the_rows_that_the_api_answers(
    section: Locator, page: Page, server: Server
) -> None:
    """With a chart; the statement is not in the address."""
    answer = query(server, sql=BY_DEVICE).json()
    run(section, BY_DEVICE)
    devices = [row["device"] or NOTHING for row in answer["rows"]]
    assert column(section, 1) == devices
    assert column(section, 2) == [f"{row['users']:,}" for row in answer["rows"]]
    assert HOSTILE in devices
    assert page.evaluate("window.hacked") is None
    bars = section.locator(".explore-bars rect")
    assert bars.count() == len(answer["rows"])
    expect(section).to_contain_text(
        re.compile(rf"{len(devices)} rows in \d+ ms\. Data")
    )
    assert "SELECT" not in page.url


def test_the_catalogue_beside_it_has_all_tables_columns_and_types(
    section: Locator, server: Server
) -> None:
    """A name that is chosen is inserted where the cursor is, and can be undone."""
    headers = {"Authorization": f"Bearer {QUERY_TOKEN}"}
    url = f"{server.url}/query/tables"
    catalogue = httpx.get(url, headers=headers, timeout=60).json()["tables"]
    tables = section.locator("details[data-table]")
    assert sorted(table["name"] for table in catalogue) == sorted(
        table.get_attribute("data-table") or "" for table in tables.all()
    )
    expect(section.locator("#explore-sql-limits")).to_contain_text(
        "At most 10,000 rows and 16 MB, 5 seconds and 512 MB of memory"
    )
    votes = section.locator("[data-table=fpp_votes]")
    votes.locator("summary").click()
    listed = votes.locator("li").all_inner_texts()
    (described,) = (each for each in catalogue if each["name"] == "fpp_votes")
    assert [" ".join(text.split()) for text in listed] == [
        f"{each['name']} {each['type']}" for each in described["columns"]
    ]
    field = statement(section)
    field.fill("SELECT  FROM x")
    field.evaluate("field => field.setSelectionRange(7, 7)")
    votes.get_by_role("button", name="Insert duration").click()
    expect(field).to_have_value("SELECT duration FROM x")
    expect(field).to_be_focused()
    field.press("Control+z")
    expect(field).to_have_value("SELECT  FROM x")


@pytest.mark.long("test_the_catalogue_beside_it_has_all_tables_columns_and_types")
def test_a_table_or_column_can_be_found(page: Page, server: Server) -> None:
    """If there are many of them."""
    headers = {"Authorization": f"Bearer {QUERY_TOKEN}"}
    url = f"{server.url}/query/tables"
    catalogue = httpx.get(url, headers=headers, timeout=60).json()
    (votes,) = (t for t in catalogue["tables"] if t["name"] == "fpp_votes")
    more = [votes | {"name": f"t{n}", "columns": []} for n in range(10)]
    catalogue["tables"] += more
    page.route("**/query/tables", lambda route: route.fulfill(json=catalogue))
    page.goto(f"{server.page}{EDITOR}")
    explore = page.locator("#explore")
    explore.get_by_label("Find a table").fill("amount_of_spect")
    shown = explore.locator("details[data-table]:visible")
    expect(shown).to_have_count(1)
    assert shown.first.get_attribute("data-table") == "fpp_votes"
    page.unroute_all()
    page.goto("about:blank")  # other tests see the catalogue as it is


def test_names_are_quoted_where_sql_needs_it(section: Locator, page: Page) -> None:
    """As DuckDB quotes them."""
    names = ["room_id", "Room", "order", 'a"b', "1st", "é", ""]
    found = page.evaluate(
        "async names => { const { quoted } = await import("
        "new URL('dashboard/assets/explore/schema.js', location.href));"
        " return names.map(quoted); }",
        names,
    )
    quoted = ['"Room"', '"order"', '"a""b"', '"1st"', '"é"', '""']
    assert found == ["room_id", *quoted]


def test_an_error_is_shown_with_its_place(
    section: Locator, shared_visitor: Visitor
) -> None:
    """Beside the field, for eyes and ears; a button puts the cursor there."""
    field = statement(section)
    run(section, "SELECT device,\n  '😀', nothing\nFROM fpp_users")
    problem = section.locator("#explore-sql-error")
    expect(problem).to_contain_text('Referenced column "nothing" not found')
    shared_visitor.expect_problem("400")
    expect(problem.get_by_role("alert")).to_contain_text("(line 2, column 8)")
    assert problem.locator("pre").inner_text() == "  '😀', nothing\n        ^"
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_have_accessible_description(re.compile("nothing.*not found"))
    problem.get_by_role("button", name="Go to line 2, column 8").click()
    selected = "field => field.value.slice(field.selectionStart, field.selectionEnd)"
    assert field.evaluate(selected) == "nothing"
    expect(field).to_be_focused()
    page = section.page
    page.keyboard.type("os")
    page.keyboard.press("Control+Enter")
    expect(section.locator(".explore-rows")).to_be_visible()
    expect(field).not_to_have_attribute("aria-invalid", "true")
    expect(problem).to_be_empty()


def test_a_refused_statement_and_an_empty_one_are_told(
    section: Locator, shared_visitor: Visitor
) -> None:
    """In the API's words."""
    run(section, "DELETE FROM fpp_users")
    problem = section.locator("#explore-sql-error")
    expect(problem).to_contain_text("exactly one SELECT, and this is another statement")
    shared_visitor.expect_problem("400")
    statement(section).fill("  ")
    section.get_by_role("button", name="Run").click()
    expect(problem).to_contain_text("Enter a SELECT.")
    expect(statement(section)).to_be_focused()


@pytest.mark.long("test_it_shows_the_rows_that_the_api_answers")
def test_what_is_left_out_is_told_and_files_have_more(
    section: Locator, page: Page, server: Server
) -> None:
    """The table has as many rows as were asked for, a file all that are allowed."""
    section.get_by_label("At most").select_option("100")
    run(section, "SELECT range AS n FROM range(12000)")
    truncated = section.locator(".explore-truncated")
    expect(truncated).to_contain_text("There are more rows than these 100.")
    expect(truncated).to_contain_text("A file has up to 10,000 rows, and 16 MB.")
    expect(section).to_contain_text(re.compile(r"The first 100 rows in [\d,]+ ms"))
    with page.expect_download() as download:
        section.get_by_role("button", name="Save as CSV").click()
    lines = Path(download.value.path()).read_text(encoding="utf-8").splitlines()
    assert len(lines) == 10_001
    expect(page.locator("#toast")).to_contain_text("only the rows up to the limit")
    section.get_by_label("At most").select_option("1000")
    run(section, "SELECT range AS n FROM range(12)")
    expect(truncated).to_have_count(0)


@pytest.mark.long("tests/browser/test_explore.py::test_rows_are_saved_in_every_format")
def test_rows_are_saved_in_every_format(
    section: Locator, page: Page, server: Server
) -> None:
    """Those of the statement that was run, whatever is in the field by now."""
    run(section, BY_DEVICE)
    column(section, 1)
    statement(section).fill("SELECT 1")
    for name, accept in (
        ("CSV", "text/csv"),
        ("NDJSON", "application/x-ndjson"),
        ("Parquet", "application/vnd.apache.parquet"),
        ("JSON", "application/json"),
        ("XLSX", None),
    ):
        with page.expect_download() as download:
            section.get_by_role("button", name=f"Save as {name}", exact=True).click()
        assert download.value.suggested_filename == f"fpp-query.{name.lower()}"
        saved = Path(download.value.path()).read_bytes()
        if accept is None:
            assert saved.startswith(b"PK")
            continue
        expected = query(server, accept, sql=BY_DEVICE).content
        match name:  # some have the time that the query took
            case "JSON":
                assert json.loads(saved)["rows"] == json.loads(expected)["rows"]
            case "Parquet":
                assert_frame_equal(pl.read_parquet(saved), pl.read_parquet(expected))
            case _:
                assert saved == expected


def test_on_a_phone_the_rows_come_before_the_catalogue(
    section: Locator, page: Page
) -> None:
    """Whoever runs a statement sees what it answers without scrolling past all tables."""
    page.set_viewport_size({"width": 360, "height": 780})
    run(section, BY_DEVICE)
    column(section, 1)
    tops = [
        section.locator(each).evaluate("node => node.getBoundingClientRect().top")
        for each in (".explore-statement", ".explore-result", ".explore-schema")
    ]
    assert tops == sorted(tops)


@pytest.mark.long(
    "tests/browser/test_session.py::test_signing_out_removes_the_token_and_all_figures"
)
def test_what_was_run_is_kept_in_the_tab_until_the_reader_signs_out(
    tabs: Tabs, server: Server
) -> None:
    """Also when the page is loaded again; no other tab and no storage has it."""
    with visiting(tabs) as reader:
        page = reader.open_page(fresh=True)
        reader.sign_in(page, server, EDITOR, QUERY_TOKEN)
        section = page.locator("#explore")
        for sql in ("SELECT 41 AS a", "SELECT 42 AS b", "SELECT 41 AS a", "SELEC"):
            statement(section).wait_for()
            run(section, sql)
            shown = section.locator(".explore-rows, #explore-sql-error [role=alert]")
            shown.wait_for()
            page.wait_for_function(
                "sql => JSON.parse(sessionStorage['fpp-analytics-statements'])[0].sql"
                " === sql",
                arg=sql,
            )
        reader.expect_problem("400")
        page.reload()
        past = section.locator(".explore-past")
        expect(past).to_contain_text("Run before in this tab: 3")
        past.locator("summary").click()
        entries = [text.split("\n")[0] for text in past.locator("li").all_inner_texts()]
        assert entries == ["SELEC", "SELECT 41 AS a", "SELECT 42 AS b"]
        past.get_by_role("button", name="SELECT 42").click()
        expect(statement(section)).to_have_value("SELECT 42 AS b")
        assert page.evaluate("JSON.stringify(localStorage)").count("SELECT") == 0
        other = page.context.new_page()
        reader.sign_in(other, server, EDITOR, QUERY_TOKEN)
        expect(statement(other.locator("#explore"))).to_have_value("")
        expect(other.locator(".explore-past")).to_be_hidden()
        other.close()
        page.get_by_role("button", name="Sign out").click()
        expect(section.locator("textarea")).to_have_count(0)
        assert page.evaluate("sessionStorage['fpp-analytics-statements']") is None


@pytest.mark.long(
    "tests/browser/test_session.py::test_signing_out_removes_the_token_and_all_figures"
)
def test_a_link_with_another_token_shows_nothing_of_the_reader_before(
    tabs: Tabs, server: Server
) -> None:
    """The tab is the same one."""
    with visiting(tabs) as reader:
        page = reader.sign_in(
            reader.open_page(fresh=True), server, EDITOR, token=QUERY_TOKEN
        )
        section = page.locator("#explore")
        run(section, "SELECT 42 AS b")
        column(section, 1)
        page.goto("about:blank")
        page.goto(f"{server.page}#token={TOKEN}")
        settled(page)
        assert page.evaluate("sessionStorage['fpp-analytics-statements']") is None


def refusing(status: int, detail: str) -> Callable[[Route], None]:
    """A handler of requests that answers with an error."""
    return lambda route: route.fulfill(status=status, json={"detail": detail})


@pytest.mark.long("test_an_error_is_shown_with_its_place")
def test_other_failures_are_shown_and_can_be_tried_again(
    section: Locator, page: Page, shared_visitor: Visitor
) -> None:
    """A full queue, a deadline, a system that cannot confine; the statement stays."""
    field = statement(section)
    alert = section.get_by_role("alert").filter(has_text=re.compile("."))
    field.fill("SELECT 1 AS a")
    button = section.get_by_role("button", name="Run")
    for status, text in (
        (429, "4 queries are waiting already."),
        (504, "The query was stopped. It took longer than 5 seconds."),
        (503, "Queries cannot be confined: the kernel has no Landlock."),
    ):
        intercept(page, "**/query", refusing(status, text))
        button.click()
        expect(alert).to_contain_text(text)
        shared_visitor.expect_problem(str(status))
        button = alert.get_by_role("button", name="Try again")
    expect(field).not_to_have_attribute("aria-invalid", "true")
    page.unroute_all()
    button.click()
    assert column(section, 1) == ["1"]
    expect(field).to_have_value("SELECT 1 AS a")


def test_a_slow_query_is_cancelled_and_hangs_up(section: Locator, page: Page) -> None:
    """So the server ends it."""

    def hold(_: Route) -> None:
        """Never answer."""

    intercept(page, "**/query", hold)
    run(section, "SELECT 1 AS a")
    loading = section.locator(".explore-loading")
    with page.expect_event("requestfailed"):
        loading.get_by_role("button", name="Cancel").click()
    expect(loading).to_contain_text("Cancelled.")
    page.unroute_all()
    loading.get_by_role("button", name="Load again").click()
    assert column(section, 1) == ["1"]


FIND = "axe.run('#explore', { resultTypes: ['violations'] })"
OPEN_ALL = "document.querySelectorAll('#explore details').forEach(d => d.open = true)"
OVERFLOWS = "document.documentElement.scrollWidth > innerWidth"


@pytest.mark.long(
    "tests/browser/test_explore.py::test_the_section_is_accessible_and_fits"
)
@pytest.mark.parametrize(
    ("scheme", "width"), some_long([("dark", 360), ("light", 1280)])
)
def test_it_is_accessible_and_fits(
    section: Locator, page: Page, shared_visitor: Visitor, scheme: Any, width: int
) -> None:
    """Axe finds nothing serious, with everything open, and nothing is cut off."""
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.set_viewport_size({"width": width, "height": 900})
    run(section, "SELECT * FROM fpp_page_views")
    column(section, 1)
    run(section, f"SELECT {'x' * 300}, nothing FROM fpp_users")
    expect(section.locator("#explore-sql-error")).to_contain_text("not found")
    shared_visitor.expect_problem("400")
    page.evaluate(OPEN_ALL)
    page.evaluate(AXE)
    found = page.evaluate(FIND)["violations"]
    assert [e for e in found if e["impact"] in ("serious", "critical")] == []
    assert not page.evaluate(OVERFLOWS)
    run(section, BY_DEVICE)
    column(section, 1)
    assert not page.evaluate(OVERFLOWS)
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
