"""The command `views` lists, checks, plans and tests SQL files, and changes nothing."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

import config
from config import Settings
from tests.support.derived import NOON, derived, run_derived, table_sql, write_views
from tests.views.test_shipped import dense_database, frame
from updater import views

ROOMS = table_sql(
    "rooms",
    "SELECT room_id, count(*) AS votes FROM fpp_votes WHERE room_id < 3 GROUP BY ALL",
    "@order room_id",
    "@test unique(room_id)",
)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A published read model with one derived table."""
    write_views(tmp_path / "views", rooms=ROOMS)
    tables = {name: frame(name, rows) for name, rows in dense_database(1).items()}
    run_derived(tmp_path / "data", tmp_path / "views", tables)
    places = {"DATA_DIR": tmp_path / "data", "VIEWS_DIR": tmp_path / "views"}
    return config.load(
        {name: str(place) for name, place in places.items()}
        | {"SOURCE_URL": "sqlite:///nowhere.db"}
    )


def texts(findings: Iterator[views.ViewFinding]) -> list[str]:
    """The lines of output."""
    return [str(finding) for finding in findings]


def files(folder: Path) -> dict[Path, int]:
    """Every file below *folder* with its inode."""
    return {p: p.lstat().st_ino for p in folder.rglob("*")}


def test_definitions_are_listed_with_their_state(settings: Settings) -> None:
    """Name, file, line, rows, and when it was built."""
    (line,) = texts(views.list_views(settings))
    assert line.split()[:4] == ["rooms", "table", "rooms.sql:1", "2"]
    assert "built 2026-11-25 12:00" in line


def test_errors_are_listed_with_file_and_line(settings: Settings) -> None:
    """Of the header, of the statement, and of names that only the tables can tell."""
    write_views(
        settings.views_dir,
        a=table_sql("a", "SELECT 1 AS x", "@oder x"),
        b=table_sql("b", "SELECT random() AS x"),
        c=table_sql("c", "SELECT nothing FROM fpp_votes"),
        d=table_sql("d", "SELECT room_id FROM fpp_votes", "@order votes"),
    )
    found = [f.text for f in views.list_views(settings) if f.failed]
    assert found[0].startswith('  ✗ c.sql:1: Binder Error: Referenced column "nothing"')
    assert found[1] == "  ✗ d.sql:1: @order names votes: the columns are room_id"
    assert found[2] == "✗ a.sql:4: a: unknown key @oder"
    assert found[3].startswith("✗ b.sql:4: b: random()")


def test_a_plan_says_what_a_change_would_do(settings: Settings) -> None:
    """Columns added and lost, rows, first differences; and changes nothing."""
    changed = ROOMS.replace("room_id < 3", "room_id < 4").replace(
        "count(*) AS votes", "count(*) AS n, avg(duration) AS pace"
    )
    write_views(
        settings.views_dir, rooms=changed, new=table_sql("new", "SELECT 1 AS x")
    )
    before = files(settings.data_dir)
    lines = texts(views.plan_changes(settings, None))
    assert "+ new: new, 1 rows of x" in lines
    assert "~ rooms: 2 rows become 3" in lines
    assert "  + column n, Int64" in lines
    assert "  - column votes, which readers may use" in lines
    assert "  + 1 rows only in the new version:" in lines
    assert "      {'room_id': 3}" in lines
    assert files(settings.data_dir) == before
    assert derived(settings.data_dir, "rooms").columns == ["room_id", "votes"]


@pytest.mark.long("test_a_plan_says_what_a_change_would_do")
def test_a_plan_without_changes_says_so(settings: Settings) -> None:
    """Nothing would be read."""
    assert texts(views.plan_changes(settings, None)) == ["= rooms: unchanged, 2 rows"]


def test_a_plan_names_removals_and_failures(settings: Settings) -> None:
    """A failing definition keeps its last good version."""
    failing = table_sql("rooms", "SELECT 1 AS x", "@test SELECT 1 AS y")
    write_views(settings.views_dir, rooms=failing)
    (finding,) = views.plan_changes(settings, None)
    assert finding.failed
    assert finding.text.endswith("its last good version stays")
    (settings.views_dir / "rooms.sql").unlink()
    assert texts(views.plan_changes(settings, None)) == ["- rooms: would be removed"]


def test_the_tests_of_a_file_run_aside(settings: Settings, tmp_path: Path) -> None:
    """Of a file that need not be in VIEWS_DIR yet; failing rows are shown."""
    other = write_views(
        tmp_path / "elsewhere",
        good=table_sql("good", "SELECT 1 AS x", "@test not_null(x)"),
        bad=table_sql("bad", "SELECT 1 AS x", "@test SELECT x FROM bad"),
    )
    before = files(settings.data_dir)
    assert texts(views.run_file_tests(settings, other / "good.sql")) == [
        "✓ good: 1 rows, 1 tests pass",
        "  ✓ not_null(x)",
    ]
    (finding,) = views.run_file_tests(settings, other / "bad.sql")
    assert finding.failed
    assert finding.text == (
        "✗ bad: @test SELECT x FROM bad returned 1 rows; the first: {'x': 1}"
    )
    assert files(settings.data_dir) == before


def test_stale_tables_are_listed_as_problems(settings: Settings) -> None:
    """With the reason."""
    write_views(
        settings.views_dir, rooms=table_sql("rooms", "SELECT 'x'::INTEGER AS x")
    )
    tables = {name: frame(name, rows) for name, rows in dense_database(1).items()}
    run_derived(
        settings.data_dir, settings.views_dir, tables, NOON + timedelta(hours=1)
    )
    problems = [f.text for f in views.list_views(settings) if f.failed]
    assert problems
    assert problems[0].startswith("  ✗ stale: Conversion Error")
