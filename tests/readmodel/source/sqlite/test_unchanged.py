"""Where the file is the same no block is digested; a scan digests while it reads."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from readmodel.source.blocking import Block, BlockRange, KnownBlocks, choose_blocking
from readmodel.source.sqlite import source as sqlite
from readmodel.source.sqlite.file import DatabaseFile
from readmodel.source.sqlite.source import SqliteSource, SqliteView
from readmodel.sync.run import sync
from readmodel.tables import Table
from testbed.schema import TEXTS
from tests.support.effort import examples
from tests.support.mirror import START, not_called

THINGS = Table("things", key="id")
BY_TIME = Table("things", key="at")


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """An open file with `things`: a block without a key, and three with one."""
    with closing(sqlite3.connect(tmp_path / "source.db", autocommit=True)) as opened:
        opened.execute("CREATE TABLE things (id INT, v TEXT, at TIMESTAMP)")
        opened.execute(
            "INSERT INTO things VALUES (NULL, 'a', NULL), (1, 'b', '2026-01-01 00:00:00'), "
            "(20000, 'c', '2026-01-02 01:02:03'), (40000, NULL, '2026-01-03T01:02:03Z')"
        )
        yield opened


@pytest.fixture
def source(connection: sqlite3.Connection, tmp_path: Path) -> SqliteSource:
    """The file as a source."""
    assert connection
    return SqliteSource(tmp_path / "source.db")


def digested(view: SqliteView, table: Table) -> Sequence[Block]:
    """All blocks of *table*."""
    columns = view.columns(table)
    return view.blocks(table, columns, choose_blocking(table, columns))


def since(
    view: SqliteView, table: Table, known: Sequence[Block], mark: str, *some: BlockRange
) -> Sequence[Block]:
    """The same, where *known* blocks may be unchanged."""
    columns = view.columns(table)
    blocking = choose_blocking(table, columns)
    return view.blocks_since(
        table, columns, blocking, [KnownBlocks(known, mark)], *some
    )


def marked(source: SqliteSource, table: Table) -> tuple[list[Block], str]:
    """Blocks whose digest tells that it was not computed, and the mark of their view."""
    with source.view() as view:
        mark = view.mark(table)
        assert mark is not None
        return [replace(block, digest=-5) for block in digested(view, table)], mark


@pytest.mark.parametrize("table", [THINGS, BY_TIME], ids=["id", "at"])
def test_known_blocks_of_the_same_file_are_not_digested(
    source: SqliteSource, table: Table
) -> None:
    """All of them, or those of one part."""
    known, mark = marked(source, table)
    assert len(known) == 4
    with source.view() as view:
        assert since(view, table, known, mark) == known
        last = BlockRange(known[2].number, None)
        assert since(view, table, known[2:], mark, last) == known[2:]
        first = BlockRange(None, known[1].number)
        assert since(view, table, known[:2], mark, first) == known[:2]


def test_blocks_of_a_lost_part_are_digested(source: SqliteSource) -> None:
    """The number of rows tells that some are missing."""
    known, mark = marked(source, THINGS)
    with source.view() as view:
        for lost in range(4):
            some = [block for number, block in enumerate(known) if number != lost]
            assert since(view, THINGS, some, mark) == digested(view, THINGS)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE things SET v = 'z' WHERE id = 1",
        "DELETE FROM things WHERE id = 1",
        "CREATE TABLE others (id INT)",
        "UPDATE things SET v = NULL WHERE id = 1; UPDATE things SET v = 'B' WHERE id = 1",
    ],
)
def test_after_any_write_every_block_is_digested(
    source: SqliteSource, connection: sqlite3.Connection, statement: str
) -> None:
    """To whichever table."""
    known, mark = marked(source, THINGS)
    connection.executescript(statement)
    with source.view() as view:
        assert since(view, THINGS, known, mark) == digested(view, THINGS)


def test_changes_in_a_wal_file_are_not_overlooked(
    source: SqliteSource, connection: sqlite3.Connection
) -> None:
    """The file itself is the same until they are checkpointed."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    known, mark = marked(source, THINGS)
    with source.view() as view:
        assert since(view, THINGS, known, mark) == known
    connection.execute("UPDATE things SET v = 'z' WHERE id = 1")
    with source.view() as view:
        assert view.mark(THINGS) is None
        assert since(view, THINGS, known, mark) == digested(view, THINGS)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with source.view() as view:
        assert view.mark(THINGS) not in (None, mark)


def test_a_file_stays_as_it_is_while_its_checksum_is_taken(
    source: SqliteSource, connection: sqlite3.Connection
) -> None:
    """In WAL mode a checkpoint must not write to it, although another process writes."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with source.view() as view:
        before = source.path.read_bytes()
        connection.execute("UPDATE things SET v = 'z' WHERE id = 1")
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        assert source.path.read_bytes() == before
        known, mark = digested(view, THINGS), view.mark(THINGS)
    assert mark is not None
    with source.view() as view:
        assert since(view, THINGS, known, mark) == digested(view, THINGS) != known


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE VIEW odd AS SELECT id, date('now') AS v FROM things",
        "CREATE VIRTUAL TABLE odd USING fts5(id)",
    ],
)
def test_what_the_file_does_not_decide_has_no_mark(
    source: SqliteSource, connection: sqlite3.Connection, statement: str
) -> None:
    """A view may contain the present time."""
    connection.execute(statement)
    with source.view() as view:
        assert view.mark(Table("odd", key="id")) is None
        assert view.mark(Table("THINGS", key="id")) is not None


def test_a_file_without_locks_has_no_mark(
    source: SqliteSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing keeps it from being replaced."""
    monkeypatch.setattr(DatabaseFile, "needs_no_shared_memory", lambda _: True)
    with source.view() as view:
        assert view.mark(THINGS) is None


@pytest.mark.parametrize("table", [THINGS, BY_TIME], ids=["id", "at"])
def test_a_sync_copies_all_rows_in_one_scan_and_then_none(
    source: SqliteSource, tmp_path: Path, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the sync column is."""
    monkeypatch.setattr(SqliteView, "rows", not_called)
    monkeypatch.setattr(SqliteView, "blocks", not_called)
    found = [sync(source, tmp_path / "data", [table], lambda: START) for _ in range(2)]
    assert [report.rows_fetched for report in found] == [4, 0]
    stored = pl.read_parquet(tmp_path / "data" / "things.parquet")
    assert sorted(stored["v"].to_list(), key=repr) == ["a", "b", "c", None]


def both(source: SqliteSource, table: Table) -> tuple[Any, Any]:
    """Blocks, rows and counts of a scan, and those of digesting and then fetching."""
    with source.view() as view:
        columns = view.columns(table)
        blocking = choose_blocking(table, columns)
        scan = view.scan(table, columns, blocking)
        assert scan is not None
        scanned = list(scan)
        blocks = list(view.blocks(table, columns, blocking))
        fetched = list(view.rows(table, columns, blocking, blocks))
    found = [block for each in scanned for block in each.blocks]
    return (found, _summary([each.batch for each in scanned])), (
        blocks,
        _summary(fetched),
    )


def _summary(batches: list[Any]) -> tuple[list[Any], int, int]:
    rows = [row for batch in batches for row in batch.frame.rows()]
    return (
        sorted(rows, key=repr),
        sum(batch.zero_dates for batch in batches),
        sum(batch.repaired_texts for batch in batches),
    )


VALUES = st.none() | st.sampled_from(TEXTS) | st.integers(-(2**40), 2**40) | st.floats()


@settings(
    max_examples=examples(40),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.lists(
        st.tuples(
            st.none() | st.integers(-40_000, 40_000),
            VALUES,
            st.none()
            | st.datetimes().map(lambda at: at.isoformat(" "))
            | st.sampled_from(["0000-00-00 00:00:00", "2023-02-31 00:00:00"]),
        ),
        max_size=8,
    ),
    st.sampled_from([THINGS, BY_TIME]),
    st.integers(1, 4),
)
def test_a_scan_has_the_blocks_and_the_rows_of_two_queries(
    source: SqliteSource,
    connection: sqlite3.Connection,
    rows: list[tuple[Any, ...]],
    table: Table,
    batch: int,
) -> None:
    """Whatever the values are, and however many rows are a batch."""
    connection.execute("DELETE FROM things")
    connection.executemany("INSERT INTO things VALUES (?, ?, ?)", rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite, "ROWS_PER_BATCH", batch)
        scanned, fetched = both(source, table)
    assert scanned == fetched
    assert len(scanned[1][0]) == len(rows)


DIGESTS_OF_FORMAT_2 = {"id": [2315257952645539920], "t": [10146074372562371502]}
"""As versions up to 1.0 computed them, for the rows below."""


@pytest.mark.parametrize("key", DIGESTS_OF_FORMAT_2)
def test_digests_are_those_of_earlier_versions(tmp_path: Path, key: str) -> None:
    """So what they stored is not fetched again."""
    types = "b BOOLEAN, v VARCHAR(9), d DECIMAL(6,2), f REAL, t TIMESTAMP, y DATE, x BLOB, z ANY"
    rows = [
        (1, 1, 'a"b\\\n', 1.25, 0.1 + 0.2, "2026-01-02 03:04:05", "2026-01-02", b"\0\xff", 1.5),
        (2, 0, None, -3, 1e300, "2026-01-02T03:04:05.25Z", None, None, "é"),
        (3, None, "", None, 0.0, None, "0001-01-01", b"", None),
    ]  # fmt: skip
    with closing(sqlite3.connect(tmp_path / "s.db", autocommit=True)) as connection:
        connection.execute(f"CREATE TABLE things (id INTEGER PRIMARY KEY, {types})")
        connection.executemany(f"INSERT INTO things VALUES ({'?, ' * 8}?)", rows)
    table = Table("things", key=key)
    with SqliteSource(tmp_path / "s.db").view() as view:
        columns = view.columns(table)
        blocks = view.blocks(table, columns, choose_blocking(table, columns))
    found = [block.digest for block in blocks if block.number is not None]
    assert found == DIGESTS_OF_FORMAT_2[key]
