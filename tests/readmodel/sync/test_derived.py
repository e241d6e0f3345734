"""Derived tables are built into the snapshot of their inputs, or keep their last state."""

import contextlib
import resource
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import psutil
import pytest

from readmodel.dtypes import parse_dtype
from readmodel.store.manifest import Manifest
from readmodel.store.snapshot import latest
from readmodel.sync.derived_messages import BuildOutcome
from tests.support.derived import (
    NOON,
    derived,
    inodes,
    outcomes,
    run_derived,
    state,
    table_sql,
    write_views,
)
from tests.support.effort import by_effort, some_long

VOTES = pl.DataFrame(
    {"room_id": [1, 1, 2], "duration": [10, 20, 60]},
    schema={"room_id": pl.Int32, "duration": pl.Int16},
)
TABLES = {"fpp_votes": VOTES}
ROOMS = table_sql(
    "rooms",
    "SELECT room_id, count(*) AS votes FROM fpp_votes GROUP BY room_id",
    "@order room_id",
)
GOOD = table_sql("good", "SELECT sum(duration) AS seconds FROM fpp_votes")
ENDLESS = "SELECT count(*) AS n FROM range(3000000) a, range(3000000) b WHERE a <> b"
DEADLINE = by_effort(3, 8)
"""Seconds for a definition; an endless one uses all of them."""

HUNGRY = "SELECT list(repeat(r::VARCHAR, 100)) AS texts FROM range(100000000) t(r)"


@pytest.fixture
def views(tmp_path: Path) -> Path:
    """An empty folder for SQL files."""
    return write_views(tmp_path / "views")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """DATA_DIR, not yet created."""
    return tmp_path / "data"


def test_a_derived_table_is_a_table_of_the_snapshot(data: Path, views: Path) -> None:
    """Rows, order, schema, link in DATA_DIR, and where it came from."""
    write_views(views, rooms=ROOMS)
    reports = run_derived(data, views, TABLES)
    assert outcomes(reports) == {"rooms": BuildOutcome.BUILT}
    assert derived(data, "rooms").rows() == [(1, 2), (2, 1)]
    assert pl.read_parquet(data / "rooms.parquet").height == 2
    built = state(data, "rooms")
    assert (built.file, built.inputs) == ("rooms.sql", ("fpp_votes",))
    assert (built.built_at, built.is_stale) == (NOON, False)


def test_an_unchanged_definition_reads_no_row(data: Path, views: Path) -> None:
    """The next snapshot has hard links to the same files."""
    write_views(views, rooms=ROOMS)
    run_derived(data, views, TABLES)
    before, first_state = inodes(data, "rooms"), state(data, "rooms")
    reports = run_derived(data, views, TABLES, NOON + timedelta(hours=1))
    assert outcomes(reports) == {"rooms": BuildOutcome.UNCHANGED}
    assert reports["rooms"].rows_read == 0
    assert inodes(data, "rooms") == before
    assert state(data, "rooms") == first_state


def test_white_space_and_remarks_in_the_sql_are_no_change(
    data: Path, views: Path
) -> None:
    """The fingerprint is made of the parse tree."""
    write_views(views, rooms=ROOMS)
    run_derived(data, views, TABLES)
    text = ROOMS.replace(" FROM", "\n    -- from\n  FROM")
    write_views(views, rooms=text)
    reports = run_derived(data, views, TABLES, NOON + timedelta(hours=1))
    assert outcomes(reports) == {"rooms": BuildOutcome.UNCHANGED}


def test_a_table_of_every_sync_moves_with_the_clock(data: Path, views: Path) -> None:
    """Others that use it are built again with the next day."""
    sql = "SELECT count(*) AS n FROM fpp_votes WHERE now() < TIMESTAMPTZ '{}'".format(
        "2026-11-25 12:30:00+00"
    )
    now = table_sql("now_table", sql, "@every_sync")
    write_views(views, now_table=now, day=table_sql("day_table", sql))
    run_derived(data, views, TABLES)
    assert derived(data, "now_table").item() == len(VOTES)
    reports = run_derived(data, views, TABLES, NOON + timedelta(hours=1))
    assert outcomes(reports) == {
        "day_table": BuildOutcome.UNCHANGED,
        "now_table": BuildOutcome.BUILT,
    }
    assert derived(data, "now_table").item() == 0


def test_an_edited_file_is_used_by_the_next_run(data: Path, views: Path) -> None:
    """No restart, no migration."""
    write_views(views, rooms=ROOMS)
    run_derived(data, views, TABLES)
    write_views(views, rooms=ROOMS.replace("count(*)", "count(*) * 10"))
    reports = run_derived(data, views, TABLES, NOON + timedelta(hours=1))
    assert outcomes(reports) == {"rooms": BuildOutcome.BUILT}
    assert derived(data, "rooms").rows() == [(1, 20), (2, 10)]


def test_changed_inputs_make_a_table_be_built_again(data: Path, views: Path) -> None:
    """A late row, an update and a deletion; `changed_at` follows the content."""
    write_views(views, rooms=ROOMS)
    run_derived(data, views, TABLES)
    votes = pl.concat([VOTES[1:], VOTES[:1].with_columns(duration=pl.lit(5, pl.Int16))])
    reports = run_derived(data, views, {"fpp_votes": votes}, NOON + timedelta(hours=1))
    assert outcomes(reports) == {"rooms": BuildOutcome.BUILT}
    assert reports["rooms"].rows_read == 3
    manifest = latest(data).manifest
    assert manifest is not None
    assert manifest.tables["rooms"].changed_at == NOON
    run_derived(data, views, {"fpp_votes": votes[:1]}, NOON + timedelta(hours=2))
    assert derived(data, "rooms").rows() == [(1, 1)]


def test_the_same_inputs_give_the_same_bytes(tmp_path: Path, views: Path) -> None:
    """Sums of floats included, and ties of the order."""
    numbers = pl.DataFrame({"x": [0.1 * n for n in range(20_000)]})
    sql = "SELECT floor(x)::INTEGER % 7 AS k, sum(x) AS s, avg(x) AS a FROM t GROUP BY ALL"
    write_views(views, sums=table_sql("sums", sql, "@order k"))
    for name in ("one", "two"):
        run_derived(tmp_path / name, views, {"t": numbers}, part_rows=3000)
    one, two = (Path(latest(tmp_path / n).files("sums")[0]) for n in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


def test_derived_tables_may_read_derived_tables(data: Path, views: Path) -> None:
    """In any order of files, all of one instant."""
    top = table_sql("a_top", "SELECT max(votes) AS most FROM rooms")
    write_views(views, a=top, b=ROOMS)
    assert set(outcomes(run_derived(data, views, TABLES)).values()) == {
        BuildOutcome.BUILT
    }
    assert derived(data, "a_top").rows() == [(2,)]
    run_derived(data, views, {"fpp_votes": VOTES[:1]}, NOON + timedelta(hours=1))
    assert derived(data, "a_top").rows() == [(1,)]


def test_now_is_the_instant_of_the_snapshot(data: Path, views: Path) -> None:
    """In the definition's time zone; it is computed again when the day changes."""
    sql = (
        "SELECT now() AS at, current_date AS day, today() AS today,"
        " localtimestamp AS wall, current_timestamp = now() AS same FROM fpp_votes LIMIT 1"
    )
    write_views(views, clock=table_sql("clock", sql, "@zone Pacific/Kiritimati"))
    run_derived(data, views, TABLES)
    day, wall = NOON.date() + timedelta(days=1), NOON.replace(hour=2, tzinfo=None)
    expected = (NOON, day, day, wall + timedelta(days=1), True)
    assert derived(data, "clock").rows() == [expected]
    later = run_derived(data, views, TABLES, NOON + timedelta(hours=21))
    assert outcomes(later) == {"clock": BuildOutcome.UNCHANGED}
    tomorrow = run_derived(data, views, TABLES, NOON + timedelta(hours=22))
    assert outcomes(tomorrow) == {"clock": BuildOutcome.BUILT}


def test_types_are_stored_without_loss(data: Path, views: Path) -> None:
    """Also integers beyond 2^53 and beyond 64 bits, decimals, lists and structs."""
    sql = """
    SELECT 9007199254740993 AS big, sum(9007199254740993) AS total,
        170141183460469231731::HUGEINT AS huge, 1.10::DECIMAL(10, 2) AS price,
        [1, NULL] AS list, {'a': 1, 'b': ['x']} AS struct, 'x'::BLOB AS blob,
        TIME '10:00' AS time, uuid '00000000-0000-0000-0000-000000000001' AS id,
        '{"a": 1}'::JSON AS json, TIMESTAMP '2026-01-01 00:00' AS wall,
        'NaN'::DOUBLE AS nan, NULL::INTEGER AS nothing, [1::HUGEINT] AS wide_list
    FROM fpp_votes
    """
    write_views(views, types=table_sql("types", sql))
    run_derived(data, views, TABLES)
    row = derived(data, "types").row(0, named=True)
    assert row["big"] == 9007199254740993
    assert row["total"] == 3 * 9007199254740993
    assert row["huge"] == Decimal(170141183460469231731)
    assert row["price"] == Decimal("1.10")
    assert (row["list"], row["struct"]) == ([1, None], {"a": 1, "b": ["x"]})
    assert (row["json"], row["id"][-1]) == ('{"a": 1}', "1")
    manifest = latest(data).manifest
    assert manifest is not None
    columns = manifest.tables["types"].columns
    assert columns["total"] == "Int64"
    assert columns["huge"] == "Decimal(38,0)"
    assert columns["wall"] == "NaiveDatetime"
    assert parse_dtype(columns["struct"]) == derived(data, "types").schema["struct"]


@pytest.mark.parametrize(
    ("expression", "kind"),
    some_long(
        [
            ("INTERVAL 1 DAY", "INTERVAL"),
            ("'101'::BIT", "BIT"),
            ("union_value(a := 1)", "UNION"),
            ("MAP {'a': 1}", "MAP"),
            ("NULL", "NULL"),
            ("[INTERVAL 1 DAY]", "INTERVAL"),
        ],
        2,
    ),
)
def test_types_that_cannot_be_stored_are_refused_by_column(
    data: Path, views: Path, expression: str, kind: str
) -> None:
    """The message names the column and its type."""
    write_views(views, odd=table_sql("odd", f"SELECT {expression} AS odd_column"))
    report = run_derived(data, views, TABLES)["odd"]
    assert report.outcome is BuildOutcome.ERROR
    assert "column odd_column" in report.message
    assert kind in report.message


def test_a_table_without_rows_is_a_table(data: Path, views: Path) -> None:
    """It has its columns."""
    write_views(views, none=table_sql("none", "SELECT * FROM fpp_votes WHERE false"))
    run_derived(data, views, TABLES)
    assert derived(data, "none").schema == VOTES.schema
    assert derived(data, "none").is_empty()


BROKEN = {
    "syntax": "SELECT FROM WHERE",
    "column": "SELECT missing FROM fpp_votes",
    "table": "SELECT * FROM nowhere",
    "runtime": "SELECT 'x'::INTEGER AS n FROM fpp_votes",
}


@pytest.mark.parametrize("sql", some_long(BROKEN.values(), 2), ids=BROKEN.keys())
def test_a_broken_definition_changes_nothing_but_its_own_state(
    data: Path, views: Path, sql: str
) -> None:
    """Its last good version stays, others are built, and the mirror is published."""
    write_views(views, rooms=ROOMS, good=GOOD)
    run_derived(data, views, TABLES)
    before = inodes(data, "rooms")
    write_views(views, rooms=table_sql("rooms", sql))
    tables = {"fpp_votes": VOTES[:2]}
    at = NOON + timedelta(hours=1)
    reports = run_derived(data, views, tables, at)
    _check_stale(data, before)
    assert reports["good"].outcome is BuildOutcome.BUILT
    assert derived(data, "good").rows() == [(30,)]
    assert state(data, "rooms").stale_since == at
    assert latest(data).taken_at == at
    run_derived(data, views, tables, NOON + timedelta(hours=2))
    assert state(data, "rooms").stale_since == at
    write_views(views, rooms=ROOMS)
    run_derived(data, views, tables, NOON + timedelta(hours=3))
    assert not state(data, "rooms").is_stale
    assert derived(data, "rooms").rows() == [(1, 2)]


def _check_stale(data: Path, before: list[int]) -> None:
    assert inodes(data, "rooms") == before
    assert derived(data, "rooms").rows() == [(1, 2), (2, 1)]
    failed = state(data, "rooms")
    assert failed.is_stale
    assert failed.failed_because
    assert failed.built_at == NOON


def test_a_failing_test_blocks_the_table(data: Path, views: Path) -> None:
    """The state names the test and the number of rows, not the rows."""
    write_views(views, rooms=ROOMS, good=GOOD)
    run_derived(data, views, TABLES)
    before = inodes(data, "rooms")
    tested = table_sql(
        "rooms", "SELECT room_id FROM fpp_votes", "@test unique(room_id)"
    )
    write_views(views, rooms=tested)
    at = NOON + timedelta(hours=1)
    reports = run_derived(data, views, TABLES, at)
    assert reports["rooms"].outcome is BuildOutcome.TEST_FAILED
    assert reports["rooms"].message == "@test unique(room_id) returned 1 rows"
    _check_stale(data, before)


@pytest.mark.parametrize(
    ("sql", "tests", "passes"),
    some_long(
        [
            ("SELECT 1 AS a, 2 AS b", ["unique(a, b)", "not_null(a, b)"], True),
            ("SELECT NULL::INTEGER AS a", ["not_null(a)"], False),
            ("SELECT 1 AS a", ["SELECT * FROM t WHERE a > 1"], True),
            ("SELECT 2 AS a", ["SELECT * FROM t WHERE a > 1"], False),
            (
                "SELECT count(*) AS a FROM fpp_votes",
                ["SELECT * FROM t WHERE a <> (SELECT count(*) FROM fpp_votes)"],
                True,
            ),
        ],
        2,
    ),
)
def test_tests_pass_or_block(
    data: Path, views: Path, sql: str, tests: list[str], passes: bool
) -> None:
    """Over the result, and over the inputs."""
    write_views(views, t=table_sql("t", sql, *(f"@test {test}" for test in tests)))
    report = run_derived(data, views, TABLES)["t"]
    assert report.outcome is (
        BuildOutcome.BUILT if passes else BuildOutcome.TEST_FAILED
    )


def test_a_slow_definition_is_ended_at_its_deadline(data: Path, views: Path) -> None:
    """Those after it are built by a new process."""
    write_views(views, a_rooms=ROOMS, good=GOOD)
    run_derived(data, views, TABLES)
    before = inodes(data, "rooms")
    write_views(views, a_rooms=table_sql("rooms", ENDLESS))
    tables = {"fpp_votes": VOTES[:2]}
    at = NOON + timedelta(hours=1)
    started = time.monotonic()
    reports = run_derived(data, views, tables, at, seconds=DEADLINE)
    assert time.monotonic() - started < 60
    assert reports["rooms"].outcome is BuildOutcome.DEADLINE
    assert f"VIEWS_SECONDS={DEADLINE}" in reports["rooms"].message
    assert reports["good"].outcome is BuildOutcome.BUILT
    _check_stale(data, before)
    assert not _builders()


@pytest.mark.usefixtures("usual_processes")
def test_a_memory_hungry_definition_fails_with_a_clear_line(
    data: Path, views: Path
) -> None:
    """It names the setting; others are built."""
    write_views(views, a_rooms=ROOMS, good=GOOD)
    run_derived(data, views, TABLES)
    before = inodes(data, "rooms")
    write_views(views, a_rooms=table_sql("rooms", HUNGRY))
    reports = run_derived(
        data, views, {"fpp_votes": VOTES[:2]}, NOON + timedelta(hours=1), memory_mb=128
    )
    assert reports["rooms"].outcome in (BuildOutcome.MEMORY, BuildOutcome.KILLED)
    assert "memory" in reports["rooms"].message.lower()
    assert reports["good"].outcome is BuildOutcome.BUILT
    _check_stale(data, before)


@pytest.mark.long("test_a_slow_definition_is_ended_at_its_deadline")
@pytest.mark.usefixtures("usual_processes")
def test_a_killed_process_spoils_only_the_definition_at_work(
    data: Path, views: Path
) -> None:
    """SIGKILL in the middle of a build."""
    write_views(views, a_rooms=ROOMS, good=GOOD)
    run_derived(data, views, TABLES)
    before = inodes(data, "rooms")
    write_views(views, a_rooms=table_sql("rooms", ENDLESS))
    killer = threading.Thread(target=_kill_busy_child)
    killer.start()
    reports = run_derived(
        data, views, {"fpp_votes": VOTES[:2]}, NOON + timedelta(hours=1)
    )
    killer.join()
    assert reports["rooms"].outcome is BuildOutcome.KILLED
    assert "SIGKILL" in reports["rooms"].message
    assert reports["good"].outcome is BuildOutcome.BUILT
    _check_stale(data, before)


def _builders() -> list[psutil.Process]:
    """The child processes that build; servers of other tests are children, too."""
    found = []
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if "readmodel.sync.derived_worker" in child.cmdline():
                found.append(child)
    return found


def _kill_busy_child() -> None:
    """Kill the child process once it has computed for some seconds."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for child in _builders():
            if child.cpu_times().user > 2.5:
                child.kill()
                return
        time.sleep(0.1)


@contextmanager
def _largest_file(size: int) -> Iterator[None]:
    """Let no file grow beyond *size* bytes, as if the disk were full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("usual_processes")
def test_a_full_disk_while_building_changes_only_the_state(
    data: Path, views: Path
) -> None:
    """The part cannot be written; nothing of it is left."""
    write_views(views, a_rooms=ROOMS, good=GOOD)
    run_derived(data, views, TABLES)
    before = inodes(data, "rooms")
    big = "SELECT md5(r::VARCHAR) AS text FROM range(100000) t(r)"
    write_views(views, a_rooms=table_sql("rooms", big))
    with _largest_file(200_000):
        reports = run_derived(
            data, views, {"fpp_votes": VOTES[:2]}, NOON + timedelta(hours=1)
        )
    assert reports["rooms"].outcome is BuildOutcome.DISK
    assert reports["good"].outcome is BuildOutcome.BUILT
    _check_stale(data, before)
    assert not [path for path in latest(data).path.rglob("*") if "tmp" in path.name]


def test_a_known_failure_is_not_computed_again(data: Path, views: Path) -> None:
    """Until the definition or an input changes."""
    write_views(views, rooms=table_sql("rooms", BROKEN["runtime"]))
    first = run_derived(data, views, TABLES)["rooms"]
    again = run_derived(data, views, TABLES, NOON + timedelta(hours=1))["rooms"]
    assert (first.outcome, first.is_new) == (BuildOutcome.ERROR, True)
    assert (again.outcome, again.is_new) == (BuildOutcome.ERROR, False)
    assert (again.rows_read, again.message) == (0, first.message)
    other = {"fpp_votes": VOTES[:2]}
    third = run_derived(data, views, other, NOON + timedelta(hours=2))["rooms"]
    assert third.is_new


def test_a_table_that_was_never_built_has_a_state_and_no_rows(
    data: Path, views: Path
) -> None:
    """The catalogue can say why."""
    write_views(views, rooms=table_sql("rooms", BROKEN["table"]))
    run_derived(data, views, TABLES)
    manifest = latest(data).manifest
    assert manifest is not None
    assert "rooms" not in manifest.tables
    failed = manifest.derived["rooms"]
    assert failed.failed_because == "rooms.sql:4: rooms: unknown table nowhere"
    assert (failed.built_at, failed.stale_since) == (None, NOON)


def test_what_reads_a_stale_table_is_stale(data: Path, views: Path) -> None:
    """A table and its inputs are always of one instant."""
    top = table_sql("top", "SELECT max(votes) AS most FROM rooms")
    write_views(views, rooms=ROOMS, top=top)
    run_derived(data, views, TABLES)
    failing = ROOMS.replace("-- @order", "-- @test SELECT 1 AS one\n-- @order")
    write_views(views, rooms=failing)
    tables = {"fpp_votes": VOTES[:1]}
    reports = run_derived(data, views, tables, NOON + timedelta(hours=1))
    assert outcomes(reports) == {
        "rooms": BuildOutcome.TEST_FAILED,
        "top": BuildOutcome.INPUT_STALE,
    }
    assert derived(data, "top").rows() == [(2,)]
    assert "its input rooms is stale" in (state(data, "top").failed_because or "")


def test_what_reads_a_table_that_could_not_be_read_is_stale(
    data: Path, views: Path
) -> None:
    """Its rows stay those of the last instant at which all its inputs were read."""
    write_views(views, a=ROOMS)
    run_derived(data, views, TABLES)
    before = derived(data, "rooms")
    late = NOON + timedelta(minutes=10)
    reports = run_derived(data, views, TABLES, late, failed=["fpp_votes"])
    assert reports["rooms"].outcome is BuildOutcome.INPUT_STALE
    found = state(data, "rooms")
    assert (found.built_at, found.stale_since) == (NOON, late)
    assert found.failed_because == "its input fpp_votes is stale: fpp_votes was dropped"
    assert derived(data, "rooms").equals(before)
    reports = run_derived(data, views, TABLES, late + timedelta(minutes=10))
    assert reports["rooms"].outcome is BuildOutcome.UNCHANGED
    assert not state(data, "rooms").is_stale


def test_what_reads_a_table_that_was_never_read_is_not_built(
    data: Path, views: Path
) -> None:
    """It has a state that says so; its definition has no error."""
    write_views(views, a=table_sql("top", "SELECT max(id) AS id FROM orders"))
    report = run_derived(data, views, TABLES, failed=["orders"])["top"]
    assert report.outcome is BuildOutcome.INPUT_STALE
    assert (
        state(data, "top").failed_because
        == "its input orders is stale: orders was dropped"
    )
    assert state(data, "top").built_at is None


def test_what_reads_tables_that_are_not_mirrored_is_removed(
    data: Path, views: Path
) -> None:
    """After a change of TABLES; it is no failure, and comes back with its inputs."""
    top = table_sql("top", "SELECT max(votes) AS votes FROM rooms")
    write_views(views, a=ROOMS, b=top)
    assert len(run_derived(data, views, TABLES)) == 2
    assert run_derived(data, views, {"players": VOTES}) == {}
    manifest = latest(data).manifest
    assert manifest is not None
    assert (list(manifest.tables), dict(manifest.derived)) == (["players"], {})
    assert not (data / "rooms.parquet").is_symlink()
    built = run_derived(data, views, TABLES)
    assert set(outcomes(built).values()) == {BuildOutcome.BUILT}


def test_a_removed_definition_removes_its_table(data: Path, views: Path) -> None:
    """Its link in DATA_DIR, too."""
    write_views(views, rooms=ROOMS, good=GOOD)
    run_derived(data, views, TABLES)
    (views / "rooms.sql").unlink()
    run_derived(data, views, TABLES, NOON + timedelta(hours=1))
    manifest = latest(data).manifest
    assert manifest is not None
    assert set(manifest.derived) == {"good"}
    assert not (data / "rooms.parquet").is_symlink()


def test_an_unreadable_file_keeps_the_tables_that_came_from_it(
    data: Path, views: Path
) -> None:
    """It is not taken for a removal."""
    write_views(views, rooms=ROOMS)
    run_derived(data, views, TABLES)
    before = inodes(data, "rooms")
    (views / "rooms.sql").write_bytes(b"-- @name caf\xe9\n")
    run_derived(data, views, TABLES, NOON + timedelta(hours=1))
    _check_stale(data, before)


def test_a_missing_folder_keeps_all_derived_tables(data: Path, views: Path) -> None:
    """A wrong VIEWS_DIR loses nothing."""
    write_views(views, rooms=ROOMS)
    run_derived(data, views, TABLES)
    before = inodes(data, "rooms")
    wrong = views / "nowhere"
    run_derived(data, wrong, TABLES, NOON + timedelta(hours=1))
    _check_stale(data, before)
    assert "is no folder" in (state(data, "rooms").failed_because or "")


def test_a_damaged_part_is_built_again(data: Path, views: Path) -> None:
    """Its checksum tells."""
    write_views(views, rooms=ROOMS)
    run_derived(data, views, TABLES)
    file = Path(latest(data).files("rooms")[0])
    content = bytearray(file.read_bytes())
    content[40] ^= 1
    file.write_bytes(content)
    reports = run_derived(data, views, TABLES, NOON + timedelta(hours=1))
    assert outcomes(reports) == {"rooms": BuildOutcome.BUILT}
    assert derived(data, "rooms").rows() == [(1, 2), (2, 1)]


def test_a_definition_cannot_replace_a_mirrored_table(data: Path, views: Path) -> None:
    """The mirror stays as it is, and gets no state."""
    write_views(views, bad=table_sql("fpp_votes", "SELECT 1 AS a"), good=GOOD)
    reports = run_derived(data, views, TABLES)
    assert reports["fpp_votes"].outcome is BuildOutcome.INVALID
    assert derived(data, "fpp_votes").equals(VOTES)
    manifest = latest(data).manifest
    assert manifest is not None
    assert set(manifest.derived) == {"good"}


def test_without_sql_files_no_process_starts(
    data: Path, views: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And snapshot.json is as it was before derived tables existed."""
    monkeypatch.setattr("subprocess.Popen", None)
    assert run_derived(data, views, TABLES) == {}
    assert b"derived" not in (latest(data).path / "snapshot.json").read_bytes()


def test_a_manifest_of_earlier_versions_is_read() -> None:
    """It has no derived tables."""
    text = b'{"taken_at": "2026-11-25T12:00:00Z", "tables": {}, "version": 1}'
    assert Manifest.from_json(text).derived == {}


@pytest.mark.usefixtures("usual_processes")
def test_the_process_gets_no_secrets(
    data: Path, views: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its environment is a short list."""
    monkeypatch.setenv("DB_PASSWORD", "hunter2")
    seen: list[dict[str, str]] = []
    write_views(views, a=table_sql("a", ENDLESS))

    def look() -> None:
        while not (children := _builders()):  # its command is that after exec
            time.sleep(0.05)
        seen.append(children[0].environ())

    thread = threading.Thread(target=look)
    thread.start()
    run_derived(data, views, TABLES, seconds=3)
    thread.join()
    assert seen
    assert "DB_PASSWORD" not in seen[0]
