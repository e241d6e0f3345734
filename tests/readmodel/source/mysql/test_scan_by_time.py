"""A table whose key is a time is copied in one scan, or digested first if lines lie."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from readmodel.source.blocking import Block, KnownBlocks, choose_blocking
from readmodel.source.mysql import inline, scan
from readmodel.source.mysql.digests import BlockDigests
from readmodel.source.mysql.view import MysqlView
from readmodel.source.protocol import PassingFault, ScannedBatch, Unscannable
from readmodel.sync.verify import verify
from readmodel.tables import Table
from testbed.mariadb import Database
from tests.readmodel.source.mysql.test_digests import stored_blocks
from tests.readmodel.source.mysql.test_inline import NULLS, TYPES, VALUES
from tests.support.effort import examples
from tests.support.mirror import not_called
from tests.support.mysql import mirror, mysql_source, read_things

THINGS: Final = Table("things", key="at")

TEXT = st.none() | st.sampled_from(
    ["", "a", "é", "\t", "\n", "\x01", "\x01a", "a\tb", "\r", "\ufeff", "\t\n2026"]
)
DAYS = st.none() | st.sampled_from(
    ["0000-00-00 00:00:00", "1999-12-31 23:59:59", "2026-01-01", "2026-01-01 12:00:00"]
)
ROWS = st.lists(st.tuples(DAYS, TEXT, TEXT), max_size=6)

type Row = tuple[str | None, str | None, str | None]


def scanned(database: Database) -> list[ScannedBatch]:
    """All that a scan yields."""
    with mysql_source(database).view() as view:
        columns = view.columns(THINGS)
        found = view.scan(THINGS, columns, choose_blocking(THINGS, columns))
        assert found is not None
        return list(found)


def compared(database: Database, known: Sequence[Block]) -> Sequence[Block]:
    """The blocks as they are compared with those stored."""
    with mysql_source(database).view() as view:
        columns = view.columns(THINGS)
        blocking = choose_blocking(THINGS, columns)
        return view.blocks_since(THINGS, columns, blocking, [KnownBlocks(known, None)])


def blocks_of(found: Sequence[ScannedBatch]) -> list[Block]:
    """All blocks of a scan."""
    return [block for each in found for block in each.blocks]


def assert_equal(database: Database, found: Sequence[ScannedBatch]) -> None:
    """Compare a scan with what is digested and then fetched in another form."""
    blocks = blocks_of(found)
    assert compared(database, blocks) == blocks
    with mysql_source(database).view() as view:
        columns = view.columns(THINGS)
        blocking = choose_blocking(THINGS, columns)
        batches = list(view.rows(THINGS, columns, blocking, blocks))
    rows = [row for batch in batches for row in batch.frame.rows()]
    got = [row for each in found for row in each.batch.frame.rows()]
    assert sorted(got, key=repr) == sorted(rows, key=repr)


@pytest.mark.parametrize("kind", ["timestamp NULL", "datetime(3)", "date"])
def test_a_scan_has_the_blocks_and_the_rows_of_every_type(
    database: Database, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Rows without a key come first, and then each day, in small batches."""
    monkeypatch.setattr(scan, "ROWS_PER_QUERY", 2)
    types = TYPES.replace("q date", "qd date")
    with closing(database.connect()) as connection, connection.cursor() as cursor:
        for statement in (
            "SET sql_mode = 'ALLOW_INVALID_DATES', time_zone = '+00:00'",
            f"CREATE TABLE things (at {kind}, {types})",
            f"INSERT INTO things VALUES ('2026-01-02', {VALUES}), (NULL, {NULLS})",
            f"INSERT INTO things VALUES ('2026-01-01', {NULLS}), (0, {VALUES})",
            f"INSERT INTO things VALUES ('2026-01-02', {VALUES})",
        ):
            cursor.execute(statement)
    found = scanned(database)
    assert [len(each.blocks) for each in found] == [1, 2]
    assert_equal(database, found)


@pytest.fixture
def things(database: Database) -> Database:
    """An empty table."""
    database.run("CREATE TABLE things (at datetime NULL, v varchar(9), w varchar(9))")
    return database


def fill(database: Database, rows: Sequence[Row]) -> None:
    """Replace all rows of `things`."""
    with closing(database.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("SET sql_mode = ''")
        cursor.execute("DELETE FROM things")
        cursor.executemany("INSERT INTO things VALUES (%s, %s, %s)", rows)


def is_plain(rows: Sequence[Row]) -> bool:
    """Whether no text has a character that means something in a line, or is NULL there."""
    texts = [text for row in rows for text in row[1:] if text]
    return not set("".join(texts)) & set("\t\n\r") and "\x01" not in texts


@settings(
    max_examples=examples(40),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(ROWS)
@example([(None, "", ""), (None, None, None)])
@example([("2026-01-01", "a\t\n", "b"), ("1999-12-31 23:59:59", "a", "b")])
@example([("2026-01-01", "\x01", "b")])
def test_a_scan_yields_exactly_the_rows_or_ends(
    things: Database, rows: list[Row]
) -> None:
    """A text that means something in a line ends it; others do not."""
    fill(things, rows)
    if is_plain(rows):
        assert_equal(things, scanned(things))
    else:
        with pytest.raises(Unscannable):
            scanned(things)


A: Row = ("2026-01-01", "a", "b")


@settings(
    max_examples=examples(60),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(ROWS.filter(is_plain), ROWS, st.randoms())
@example([A], [A, A], None)
@example([A, A], [("2026-01-01", "b", "a")] * 2, None)
@example([A], [("2026-01-01", "b", "a")], None)
@example([A], [("2026-01-01", "a\tb", "")], None)
@example([A], [("2026-01-01", "", "a\tb")], None)
@example([A], [("2026-01-01 12:00:00", "a", "b")], None)
@example([(*A[:2], None)], [(*A[:2], "")], None)
@example([(*A[:2], None)], [(*A[:2], "\x01")], None)
@example([(A[0], None, "a")], [(A[0], "a", None)], None)
def test_what_is_stored_equals_exactly_the_same_rows(
    things: Database, rows: list[Row], others: list[Row], shuffled: Any
) -> None:
    """In whichever order they are; equal rows count as many times as there are."""
    fill(things, rows)
    blocks = blocks_of(scanned(things))
    assert all(inline.is_of_lines(block.digest) for block in blocks)
    if shuffled is not None:
        again = [*rows]
        shuffled.shuffle(again)
        fill(things, again)
        assert compared(things, blocks) == blocks
    fill(things, others)
    is_same = sorted(rows, key=repr) == sorted(others, key=repr)
    assert (compared(things, blocks) == blocks) is is_same


def kinds(data_dir: Path) -> Sequence[str]:
    """What was digested of each stored block of `things`."""
    return [
        "lines" if inline.is_of_lines(block.digest) else "rows"
        for block in stored_blocks(data_dir)
    ]


def test_each_day_is_compared_as_it_was_digested(
    things: Database, tmp_path: Path
) -> None:
    """By a sync and by verify; a day that changes may change its kind."""
    fill(things, [("2026-01-01", "a", "b"), ("2026-01-02", "c", None)])
    mirror(things, tmp_path, [THINGS])
    assert kinds(tmp_path) == ["lines", "lines"]
    things.run(
        "UPDATE things SET v = 'a\\tb' WHERE v = 'a'",
        "INSERT INTO things VALUES ('2026-01-03', 'd', 'e')",
    )
    (found,) = verify(mysql_source(things), tmp_path, [THINGS])
    assert "3 digests differ" in str(found.differences[0])
    assert mirror(things, tmp_path, [THINGS]).rows_fetched == 2
    assert kinds(tmp_path) == ["rows", "lines", "rows"]
    assert mirror(things, tmp_path, [THINGS]).rows_fetched == 0
    things.run("UPDATE things SET w = 'x'")
    assert mirror(things, tmp_path, [THINGS]).rows_fetched == 3
    assert kinds(tmp_path) == ["rows"] * 3
    things.run("UPDATE things SET v = 'plain'")
    assert mirror(things, tmp_path, [THINGS]).rows_fetched == 3
    assert kinds(tmp_path) == ["lines"] * 3
    assert mirror(things, tmp_path, [THINGS]).rows_fetched == 0
    (found,) = verify(mysql_source(things), tmp_path, [THINGS])
    assert not found.differences
    assert set(read_things(tmp_path)["v"]) == {"plain"}


def test_a_row_that_became_too_long_is_noticed(
    adjustable_database: Database, tmp_path: Path
) -> None:
    """It has no checksum then, nor has any change of it."""
    adjustable_database.run(
        "CREATE TABLE things (at datetime, v longtext)",
        "INSERT INTO things VALUES ('2026-01-01', 'a'), ('2026-01-01', 'b')",
    )
    mirror(adjustable_database, tmp_path, [THINGS])
    with adjustable_database.global_variable("max_allowed_packet", 1 << 20):
        for size in (1_100_000, 1_200_000):
            adjustable_database.run("SET GLOBAL max_allowed_packet = 16777216")
            adjustable_database.run(
                f"UPDATE things SET v = REPEAT('x', {size}) WHERE v != 'a'"
            )
            adjustable_database.run("SET GLOBAL max_allowed_packet = 1048576")
            assert mirror(adjustable_database, tmp_path, [THINGS]).rows_fetched == 2
            lengths = read_things(tmp_path)["v"].str.len_bytes()
            assert sorted(lengths) == [1, size]
            assert kinds(tmp_path) == ["rows"]


def test_a_first_copy_is_one_scan(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next sync compares its digests."""
    database.run(
        "CREATE TABLE things (id varchar(9) PRIMARY KEY, at datetime)",
        "INSERT INTO things SELECT seq, '2026-01-01' + INTERVAL seq HOUR FROM seq_1_to_99",
    )
    with monkeypatch.context() as patch:
        patch.setattr(MysqlView, "blocks_since", not_called)
        patch.setattr(MysqlView, "rows", not_called)
        assert mirror(database, tmp_path, [THINGS]).rows_fetched == 99
    assert mirror(database, tmp_path, [THINGS]).rows_fetched == 0
    assert read_things(tmp_path)["at"].is_sorted()


@pytest.mark.parametrize("last", ["a\\tb", "plain"])
def test_a_table_that_cannot_be_scanned_is_digested_first(
    adjustable_database: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    last: str,
) -> None:
    """Also if that shows after parts were written: by a text, or by a warning at the end.

    A row that exceeds a packet is not in the lines, and a text stands in for it.
    """
    monkeypatch.setattr(scan, "ROWS_PER_QUERY", 10)
    monkeypatch.setattr("readmodel.sync.planner.PART_ROWS", 40)
    adjustable_database.run(
        "CREATE TABLE things (at datetime, v longtext)",
        "INSERT INTO things SELECT '2026-01-01' + INTERVAL seq HOUR, 'plain' FROM seq_1_to_999",
        f"INSERT INTO things VALUES ('2027-01-01', '{last}')",
    )
    if last == "plain":
        adjustable_database.run(
            "INSERT INTO things VALUES ('2028-01-01', REPEAT('x', 1200000)), "
            "('2028-01-01', 'a\\t\\n20280101000000\\tb')"
        )
    with adjustable_database.global_variable("max_allowed_packet", 1 << 20):
        source = mysql_source(adjustable_database)
        report = mirror(source, tmp_path, [THINGS])
        (compared,) = verify(source, tmp_path, [THINGS])
    assert compared.differences == ()
    assert report.rows == read_things(tmp_path).height
    assert len(list(tmp_path.glob("snapshots/*/things.parquet"))) == 1


def test_a_count_of_rows_that_do_not_arrive_is_noticed(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit on the rows of an answer does not apply to one row."""
    database.run(
        "CREATE TABLE things (at datetime)", "INSERT INTO things VALUES (NOW())"
    )
    monkeypatch.setattr(BlockDigests, "count", lambda *_: 2)
    with pytest.raises(PassingFault, match="fetched 1 rows where 2 were counted"):
        scanned(database)
