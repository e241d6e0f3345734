"""The first copy of a table reads each row once, and is the copy that a plan makes."""

import errno
import json
import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from threading import Event
from typing import Any

import polars as pl
import pytest

from readmodel.source.blocking import Blocking, KeyBounds, KeyKind
from readmodel.source.mysql.scan import BlockScan
from readmodel.source.mysql.view import MysqlView
from readmodel.source.protocol import ScannedBatch
from readmodel.source.sqlite.source import SqliteSource, SqliteView
from readmodel.store.snapshot import latest
from readmodel.sync import first_copy, planner, table_writer
from readmodel.sync.part_footer import decode_footer
from readmodel.sync.run import Options, TableReport, sync
from readmodel.sync.table_spec import TableSpec
from readmodel.sync.verify import verify
from readmodel.tables import Table
from testbed.mariadb import Database
from tests.support.mirror import OTHERS, START, not_called
from tests.support.mysql import THINGS, mirror, mysql_source, read_things
from util.errors import SourceError, StorageError

ROWS = 100_000
USERS = Table("fpp_users", key="created_at")


@pytest.fixture
def filled(database: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    """`things` has seven blocks, which make several parts, and one text with a tab."""
    database.run(
        "CREATE TABLE things (id int PRIMARY KEY, v varchar(20), at date NULL)",
        f"INSERT INTO things SELECT seq, IF(seq % 3, CONCAT('v', seq), NULL), '2026-01-01' FROM seq_1_to_{ROWS}",
        "UPDATE things SET v = 'a\\tb', at = '0000-00-00' WHERE id = 50000",
    )
    monkeypatch.setattr(planner, "PART_ROWS", 40_000)
    return database


def contents(data_dir: Path) -> list[tuple[object, ...]]:
    """Each part's blocks and rows."""
    folder = latest(data_dir).path / "things.parquet"
    return [
        (decode_footer(file), pl.read_parquet(file).rows())
        for file in sorted(folder.iterdir())
    ]


def test_it_equals_a_copy_that_is_digested_first(
    filled: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same parts with the same digests, and the same counts in the report."""
    once = mirror(filled, tmp_path / "once")
    with monkeypatch.context() as patch:
        patch.setattr(MysqlView, "scan", lambda *_: None)
        twice = mirror(filled, tmp_path / "twice")
    assert contents(tmp_path / "once") == contents(tmp_path / "twice")
    assert len(contents(tmp_path / "once")) > 2
    (found,), (expected,) = once.tables, twice.tables
    assert found.counts == expected.counts
    assert (found.rows, found.parts) == (expected.rows, expected.parts)
    assert found.zero_dates == expected.zero_dates == 1
    assert found.bytes_written == expected.bytes_written


def test_no_row_is_read_twice_to_digest_it(
    filled: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither in the first sync nor in a full one; the next sync has nothing to fetch."""
    source = mysql_source(filled)
    with monkeypatch.context() as patch:
        patch.setattr(MysqlView, "blocks_since", not_called)
        assert mirror(source, tmp_path).rows_fetched == ROWS
        full = sync(
            source, tmp_path, [THINGS], lambda: START, options=Options(full=True)
        )
        assert full.rows_fetched == ROWS
    assert mirror(source, tmp_path).rows_fetched == 0
    (compared,) = verify(source, tmp_path, [THINGS])
    assert compared.differences == ()


def test_it_reports_its_progress(filled: Database, tmp_path: Path) -> None:
    """Of an estimated number of rows, and never more than all of them."""
    told: list[tuple[str, int, int]] = []
    options = Options(on_progress=lambda *progress: told.append(progress))
    sync(mysql_source(filled), tmp_path, [THINGS], lambda: START, options=options)
    fetched = [rows for _, rows, _ in told]
    assert fetched == sorted(fetched)
    assert fetched[-1] == ROWS
    assert all(rows <= total for _, rows, total in told)


def test_a_table_without_rows_has_one_empty_part(
    database: Database, tmp_path: Path
) -> None:
    """Its columns can be read."""
    database.run("CREATE TABLE things (id int PRIMARY KEY, v text)")
    assert mirror(database, tmp_path).rows == 0
    assert read_things(tmp_path).schema == {"id": pl.Int32, "v": pl.String}
    assert len(contents(tmp_path)) == 1
    assert mirror(database, tmp_path).tables[0].counts.parts_rewritten == 0


def test_an_error_while_it_is_read_publishes_nothing(
    filled: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parts that were written already are removed, and a later sync starts again."""
    monkeypatch.setattr(planner, "PART_ROWS", 10_000)
    read_lines = BlockScan._read_lines

    def failing(fetch: BlockScan, numbers: Sequence[int]) -> object:
        if 5 in numbers:
            raise SourceError("gone")
        return read_lines(fetch, numbers)

    with monkeypatch.context() as patch:
        patch.setattr(BlockScan, "_read_lines", failing)
        with pytest.raises(SourceError, match="gone"):
            mirror(filled, tmp_path)
    assert not list(tmp_path.rglob("*.parquet"))
    mirror(filled, tmp_path)
    assert read_things(tmp_path)["id"].to_list() == list(range(1, ROWS + 1))


def test_a_part_is_written_while_the_next_one_is_read(
    filled: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One at a time, in their order."""
    monkeypatch.setattr(planner, "PART_ROWS", 20_000)
    is_next_read = Event()
    add, write = first_copy._Copy.add, first_copy._Copy._write

    def recorded(copy: first_copy._Copy, scanned: ScannedBatch) -> None:
        if copy.rows:
            is_next_read.set()
        add(copy, scanned)

    def waiting(copy: first_copy._Copy, *part: Any) -> None:
        assert is_next_read.wait(10)
        write(copy, *part)

    with monkeypatch.context() as patch:
        patch.setattr(first_copy._Copy, "add", recorded)
        patch.setattr(first_copy._Copy, "_write", waiting)
        mirror(filled, tmp_path)
    assert len(contents(tmp_path)) > 4
    assert read_things(tmp_path)["id"].to_list() == list(range(1, ROWS + 1))


@pytest.mark.parametrize("number", [0, 2, 5])
def test_a_disk_that_refuses_a_part_publishes_nothing(
    filled: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Whichever it is of the first, those in the midst, and the last."""
    monkeypatch.setattr(planner, "PART_ROWS", 20_000)

    def full(path: Path, content: bytes) -> None:
        if path.name == f"part-{number:05}.parquet":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        path.write_bytes(content)

    monkeypatch.setattr(table_writer, "write_synced", full)
    with pytest.raises(StorageError, match="No space left"):
        mirror(filled, tmp_path)
    assert not list((tmp_path / "snapshots").iterdir())


def test_its_parts_have_the_mark_of_their_view(
    filled: Database, tmp_path: Path
) -> None:
    """So that the next sync of an idle server digests nothing."""
    mirror(filled, tmp_path)
    manifest = latest(tmp_path).manifest
    assert manifest is not None
    for part in manifest.tables["things"].parts:
        assert part.mark is not None
        assert len(json.loads(part.mark.text)) == 3
        assert part.mark.digested_at == manifest.taken_at


def test_a_table_with_texts_as_keys_is_copied(tmp_path: Path) -> None:
    """Its blocks are days, so nobody asks for the bounds of its keys."""
    file = tmp_path / "source.db"
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(
            "CREATE TABLE fpp_users (id TEXT PRIMARY KEY, created_at DATETIME)"
        )
        connection.execute("INSERT INTO fpp_users VALUES ('a', '2026-01-01 10:00:00')")
    source = SqliteSource(file)
    found = sync(source, tmp_path / "data", [USERS], lambda: START)
    assert found.rows_fetched == 1


def test_the_number_of_rows_is_asked_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To choose the blocks, and not again for the progress that is reported."""
    file = tmp_path / "source.db"
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE things (id INTEGER PRIMARY KEY)")
        connection.execute("INSERT INTO things VALUES (1), (2), (3)")
    asked, key_bounds = [], SqliteView.key_bounds

    def recorded(view: SqliteView, table: Table) -> KeyBounds | None:
        asked.append(table.name)
        return key_bounds(view, table)

    monkeypatch.setattr(SqliteView, "key_bounds", recorded)
    told: list[tuple[str, int, int]] = []
    options = Options(on_progress=lambda *progress: told.append(progress))
    source = SqliteSource(file)
    sync(source, tmp_path / "data", [THINGS], lambda: START, options=options)
    assert asked == ["things"]
    assert told == [("things", 3, 3)]


@pytest.fixture
def two_tables(tmp_path: Path) -> SqliteSource:
    """`things` with three rows, and `others` with one."""
    file = tmp_path / "source.db"
    with closing(sqlite3.connect(file)) as connection, connection:
        for name, rows in (("things", "(1), (2), (3)"), ("others", "(7)")):
            connection.execute(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY)")
            connection.execute(f"INSERT INTO {name} VALUES {rows}")
    return SqliteSource(file)


def test_the_next_table_is_read_while_the_last_parts_are_written(
    two_tables: SqliteSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reports come in the order of the tables all the same."""
    is_next_read = Event()
    finish, scan = first_copy._Copy.finish, SqliteView.scan

    def waiting(copy: first_copy._Copy) -> None:
        assert is_next_read.wait(10)
        finish(copy)

    def recorded(view: SqliteView, table: Table, *asked: Any) -> Any:
        if table == OTHERS:
            is_next_read.set()
        return scan(view, table, *asked)

    monkeypatch.setattr(first_copy._Copy, "finish", waiting)
    monkeypatch.setattr(SqliteView, "scan", recorded)
    told: list[TableReport] = []
    tables = [THINGS, OTHERS]
    found = sync(two_tables, tmp_path / "data", tables, lambda: START, told.append)
    assert [(each.name, each.rows) for each in told] == [("things", 3), ("others", 1)]
    assert found.tables == tuple(told)


def test_a_disk_that_refuses_the_last_parts_publishes_nothing(
    two_tables: SqliteSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Although the next table has been read when that is noticed."""
    written: list[Path] = []

    def full(path: Path, content: bytes) -> None:
        if path.parent.name == "things.parquet":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written.append(path)
        path.write_bytes(content)

    monkeypatch.setattr(table_writer, "write_synced", full)
    data_dir = tmp_path / "data"
    with pytest.raises(StorageError, match="No space left"):
        sync(two_tables, data_dir, [THINGS, OTHERS], lambda: START)
    assert not list((data_dir / "snapshots").iterdir())
    assert all(path.parent.name == "others.parquet" for path in written)


def test_a_table_that_cannot_be_read_leaves_the_one_before_complete(
    two_tables: SqliteSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose last parts are still written when that is noticed."""
    scan = SqliteView.scan

    def failing(view: SqliteView, table: Table, *asked: Any) -> Any:
        if table == OTHERS:
            raise SourceError("others: no such column")
        return scan(view, table, *asked)

    monkeypatch.setattr(SqliteView, "scan", failing)
    found = sync(two_tables, tmp_path / "data", [THINGS, OTHERS], lambda: START)
    assert [report.name for report in found.tables] == ["things"]
    assert list(found.failed) == ["others"]
    assert latest(tmp_path / "data").scan("things").collect().height == 3


@pytest.mark.parametrize(
    ("rows", "order"),
    [(first_copy.LARGE_ROWS, ["at", "id", "no"]), (9, ["id", "at", "no"])],
)
def test_a_large_first_copy_begins_with_tables_by_time(
    rows: int, order: list[str]
) -> None:
    """Their rows may be sorted in memory; others are read in the order of the settings."""
    kinds = {"id": KeyKind.NUMBER, "at": KeyKind.TIME, "no": KeyKind.NUMBER}
    specs = [
        TableSpec(Table(key, key), (), Blocking(key, kind, 1), row_estimate=rows // 2)
        for key, kind in kinds.items()
    ]
    assert [spec.name for spec in first_copy.reading_order(specs)] == order
