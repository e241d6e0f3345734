"""A first copy of a large table reads by two connections that see the same instant."""

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from readmodel.source.blocking import choose_blocking
from readmodel.source.mysql import scan
from readmodel.source.mysql import view as mysql_view
from readmodel.source.mysql.digests import BlockDigests
from readmodel.source.mysql.source import MysqlSource
from readmodel.source.mysql.view import MysqlView
from readmodel.source.protocol import ScannedBatch
from testbed.mariadb import Database
from tests.support.effort import examples
from tests.support.mysql import (
    THINGS,
    mysql_source,
    sleeping,
    stopped_while_asleep,
)
from util.errors import SourceError, Stopped

BLOCK = 16_384
BLOCKS = 12


@pytest.fixture(autouse=True)
def _read_small_tables_by_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a statement for each block."""
    monkeypatch.setattr(mysql_view, "IDS_FOR_TWO", 0)
    monkeypatch.setattr(mysql_view, "ROWS_PER_RANGE", 0)
    monkeypatch.setattr(scan, "ROWS_PER_QUERY", BLOCK)
    monkeypatch.setattr(scan, "SCANNED_ROWS", BLOCK)


@pytest.fixture
def _quiet_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody writes; the server's own threads may, some time after a table was filled."""
    monkeypatch.setattr(MysqlView, "is_of_instant", lambda *_: True)


@pytest.fixture
def things(database: Database) -> Database:
    """A database with a row in each of some blocks."""
    database.run(
        "CREATE TABLE things (id int PRIMARY KEY, v varchar(99))",
        f"INSERT INTO things SELECT seq * {BLOCK}, seq FROM seq_0_to_{BLOCKS - 1}",
    )
    return database


@pytest.fixture
def readers(monkeypatch: pytest.MonkeyPatch) -> list[scan.BlockScan]:
    """The scan that read each statement."""
    read: list[scan.BlockScan] = []
    read_lines = scan.BlockScan._read_lines

    def recorded(each: scan.BlockScan, numbers: Sequence[int]) -> Any:
        read.append(each)
        return read_lines(each, numbers)

    monkeypatch.setattr(scan.BlockScan, "_read_lines", recorded)
    return read


def scanned(view: MysqlView) -> list[ScannedBatch]:
    """All blocks of `things`."""
    columns = view.columns(THINGS)
    found = view.scan(THINGS, columns, choose_blocking(THINGS, columns))
    assert found is not None
    return list(found)


def ids(found: Sequence[ScannedBatch]) -> list[int]:
    """The keys, in the order in which they arrived."""
    return [key for each in found for key in each.batch.frame.get_column("id")]


def assert_one_reads_all(database: Database, readers: list[scan.BlockScan]) -> None:
    """All blocks arrive, by one connection."""
    with mysql_source(database).view() as view:
        assert len(ids(scanned(view))) == BLOCKS
    assert len(set(map(id, readers))) == 1


def before_the_second(
    monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]
) -> None:
    """Let somebody *act* before the second connection is opened."""
    opened: list[MysqlSource] = []
    open_view = MysqlSource._open

    def recorded(source: MysqlSource) -> AbstractContextManager[MysqlView]:
        opened.append(source)
        if len(opened) == 2:
            act()
        return open_view(source)

    monkeypatch.setattr(MysqlSource, "_open", recorded)


@pytest.mark.usefixtures("_quiet_server")
def test_two_connections_read_the_blocks_in_turns(
    things: Database, readers: list[scan.BlockScan]
) -> None:
    """What arrives is in the order of the keys."""
    with mysql_source(things).view() as view:
        found = scanned(view)
    assert ids(found) == [number * BLOCK for number in range(BLOCKS)]
    assert sorted(Counter(map(id, readers)).values()) == [BLOCKS // 2, BLOCKS // 2]


@pytest.mark.usefixtures("_quiet_server")
@settings(
    deadline=None,
    max_examples=examples(15),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.dictionaries(
        st.integers(0, BLOCKS * BLOCK - 1),
        st.none() | st.sampled_from(["plain", "a\tb", "\x01", "é", ""]),
        max_size=30,
    )
)
@example({number * BLOCK: "a\tb" for number in range(BLOCKS)})
@example({(BLOCKS - 1) * BLOCK: "a\tb", 0: "plain"})
@example({(BLOCKS - 2) * BLOCK: "a\tb", 0: "\n"})
def test_two_find_what_one_finds(
    database: Database, rows: dict[int, str | None]
) -> None:
    """Whichever of them reads a block that must be fetched in another form."""
    with closing(database.connect()) as connection, connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE IF NOT EXISTS things (id int PRIMARY KEY, v varchar(99))"
        )
        cursor.execute("DELETE FROM things")
        cursor.executemany("INSERT INTO things VALUES (%s, %s)", list(rows.items()))
        connection.commit()
    with mysql_source(database).view() as view:
        by_two = scanned(view)
        view.open_second = lambda: None
        by_one = scanned(view)
    assert [each.blocks for each in by_two] == [each.blocks for each in by_one]
    found = [row for each in by_two for row in each.batch.frame.rows()]
    assert found == sorted(rows.items())


def test_a_second_connection_is_opened_while_nothing_is_written(
    things: Database,
) -> None:
    """The log stands still once the server's own threads are done."""

    def has_second() -> bool:
        with mysql_source(things).view() as view:
            return view.open_second() is not None

    assert any(has_second() for _ in range(500))


def test_one_reads_all_if_somebody_wrote_between(
    things: Database,
    readers: list[scan.BlockScan],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The second connection would see another instant."""
    before_the_second(
        monkeypatch, lambda: things.run("INSERT INTO things VALUES (7, 'new')")
    )
    with mysql_source(things).view() as view:
        assert 7 not in ids(scanned(view))
    assert len(set(map(id, readers))) == 1


def test_whatever_is_written_meanwhile_both_see_one_instant(
    things: Database, readers: list[scan.BlockScan]
) -> None:
    """Somebody moves a row from an even block to an odd one, and back, again and again."""
    is_over = threading.Event()

    def move() -> None:
        with closing(things.connect()) as connection, connection.cursor() as cursor:
            while not is_over.wait(0.002):
                for there, back in ((BLOCK + 1, 1), (1, BLOCK + 1)):
                    cursor.execute("START TRANSACTION")
                    cursor.execute(f"INSERT INTO things VALUES ({there}, 'moved')")
                    cursor.execute(f"DELETE FROM things WHERE id = {back}")
                    connection.commit()

    things.run("INSERT INTO things VALUES (1, 'moved')")
    mover = threading.Thread(target=move)
    mover.start()
    try:
        for _ in range(40):
            with mysql_source(things).view() as view:
                found = ids(scanned(view))
            assert len(set(found) & {1, BLOCK + 1}) == 1
    finally:
        is_over.set()
        mover.join()
    assert readers


def test_one_reads_all_if_the_log_does_not_tell(
    things: Database,
    readers: list[scan.BlockScan],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """MySQL does not name its position."""
    monkeypatch.setattr(mysql_view, "read_position", lambda _: None)
    assert_one_reads_all(things, readers)


def test_one_reads_all_if_there_may_be_no_more(
    things: Database, readers: list[scan.BlockScan]
) -> None:
    """A user may be allowed one connection."""
    things.run(f"ALTER USER {things.reader.user}@'%' WITH MAX_USER_CONNECTIONS 1")
    assert_one_reads_all(things, readers)


def test_a_table_that_is_not_in_the_log_is_read_by_one(
    things: Database, readers: list[scan.BlockScan]
) -> None:
    """Whoever writes to it leaves no trace there."""
    things.run("ALTER TABLE things ENGINE = MyISAM")
    assert_one_reads_all(things, readers)


def test_a_small_table_is_read_by_one(
    things: Database,
    readers: list[scan.BlockScan],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It takes less time than to open a connection."""
    monkeypatch.setattr(mysql_view, "IDS_FOR_TWO", BLOCKS * BLOCK + 1)
    assert_one_reads_all(things, readers)


@pytest.mark.usefixtures("_quiet_server")
def test_the_second_keeps_no_locks(things: Database) -> None:
    """Those of the first end when it reads another table."""
    with mysql_source(things).view() as view:
        scanned(view)
        view.end_locks()
        things.run(
            "SET STATEMENT lock_wait_timeout = 1 FOR ALTER TABLE things ADD w int"
        )


@pytest.mark.usefixtures("_quiet_server")
def test_a_fault_of_the_second_ends_the_scan(
    things: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is that of the table."""
    each_sql = BlockDigests.each_sql

    def broken(digests: BlockDigests, numbers: Sequence[int], *rest: Any) -> str:
        statement = each_sql(digests, numbers, *rest)
        return f"{statement} AND missing" if 1 in numbers else statement

    monkeypatch.setattr(BlockDigests, "each_sql", broken)
    with (
        mysql_source(things).view() as view,
        pytest.raises(SourceError, match="things"),
    ):
        scanned(view)
    assert_nothing_runs(things)


def assert_nothing_runs(database: Database) -> None:
    """After a moment, which the server needs to notice."""
    assert 0 in sleeping(database)


@pytest.mark.usefixtures("_quiet_server")
def test_a_stop_ends_the_statements_of_both(
    things: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the threads that read."""
    each_sql = BlockDigests.each_sql

    def slow(digests: BlockDigests, numbers: Sequence[int], *rest: Any) -> str:
        statement = each_sql(digests, numbers, *rest)
        return statement if 0 in numbers else f"{statement} AND SLEEP(600)"

    monkeypatch.setattr(BlockDigests, "each_sql", slow)
    with (
        stopped_while_asleep(things, 2),
        pytest.raises(Stopped),
        mysql_source(things).view() as view,
    ):
        scanned(view)
    assert_nothing_runs(things)
