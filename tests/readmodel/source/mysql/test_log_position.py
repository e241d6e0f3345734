"""Where nothing was written to the server, no block is digested, and none is missed."""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from readmodel.source.blocking import Block, KnownBlocks, choose_blocking
from readmodel.source.mysql import session
from readmodel.source.mysql import view as mysql_view
from readmodel.source.mysql.digests import BlockDigests
from readmodel.source.mysql.log_position import LogPosition
from readmodel.source.mysql.source import MysqlSource
from readmodel.source.mysql.view import MysqlView
from readmodel.tables import Table
from testbed.mariadb import Database
from tests.support.effort import examples
from tests.support.mirror import not_called
from tests.support.mysql import THINGS, mirror, mysql_source, read_things

POSITION = LogPosition("server", 1_000, 77)


@pytest.mark.parametrize(
    ("later", "is_same"),
    [
        (POSITION, True),
        (replace(POSITION, started=1_002), True),
        (replace(POSITION, started=1_003), False),
        (replace(POSITION, started=997), False),
        (replace(POSITION, lsn=78), False),
        (replace(POSITION, lsn=76), False),
        (replace(POSITION, server="other"), False),
    ],
)
def test_a_position_is_the_same_in_one_run_of_one_server(
    later: LogPosition, is_same: bool
) -> None:
    """A server that was started again may have lost the end of its log."""
    assert POSITION.is_same(later) is is_same


@pytest.mark.parametrize("text", ["", "x", "{}", "[1]", "[1, 2, null]", "[[], {}, {}]"])
def test_the_mark_of_another_kind_of_source_vouches_for_nothing(text: str) -> None:
    """Marks are stored with the parts, whatever the source is now."""
    assert LogPosition.decode(text) is None


def test_a_position_comes_back_as_it_was_stored() -> None:
    """As text in the manifest."""
    assert LogPosition.decode(POSITION.encode()) == POSITION


@pytest.fixture
def source(adjustable_database: Database) -> Iterator[MysqlSource]:
    """A database on a server to which nobody else writes; `things` has three blocks.

    Nor does the server itself: its statistics are off, and old versions are purged.
    """
    with adjustable_database.global_variable("innodb_stats_auto_recalc", 0):
        _fill(adjustable_database)
        yield mysql_source(adjustable_database)


def _fill(adjustable_database: Database) -> None:
    adjustable_database.run(
        "CREATE TABLE things (id int PRIMARY KEY, at datetime NULL, v varchar(9))",
        "INSERT INTO things VALUES (-1, NULL, 'a'), (1, '2026-01-01', 'b'), "
        "(20000, '2026-01-02', 'c')",
        "CREATE TABLE others (id int PRIMARY KEY) ENGINE=InnoDB",
        "SET GLOBAL innodb_max_purge_lag_wait = 0",  # waits for the purge
    )


@pytest.fixture
def idle_source(source: MysqlSource, adjustable_database: Database) -> MysqlSource:
    """`source` after the server has started: a second later, it still adds to its log."""
    with closing(adjustable_database.connect()) as connection:

        def seconds() -> int:
            with connection.cursor() as cursor:
                cursor.execute("SHOW GLOBAL STATUS LIKE 'Uptime'")
                ((_, seconds),) = cursor.fetchall()
                return int(seconds)

        while seconds() < 3:
            time.sleep(0.05)
    return source


def blocks(view: MysqlView, table: Table) -> Sequence[Block]:
    """The digested blocks of *table*."""
    columns = view.columns(table)
    return view.blocks(table, columns, choose_blocking(table, columns))


def blocks_since(
    view: MysqlView, table: Table, known: Sequence[Block], mark: str
) -> Sequence[Block]:
    """The same, where *known* blocks may be unchanged."""
    columns = view.columns(table)
    blocking = choose_blocking(table, columns)
    return view.blocks_since(table, columns, blocking, [KnownBlocks(known, mark)])


def marked(source: MysqlSource, table: Table) -> tuple[Sequence[Block], str]:
    """Blocks whose digest tells that it was not computed, and the mark of their view."""
    with source.view() as view:
        mark = view.mark(table)
        assert mark is not None
        return [replace(block, digest=5) for block in blocks(view, table)], mark


KEYS = [THINGS, Table("things", key="at")]


@pytest.mark.parametrize("table", KEYS, ids=["id", "at"])
def test_known_blocks_are_not_digested_while_nothing_is_written(
    idle_source: MysqlSource, table: Table
) -> None:
    """Those of a part that was lost are."""
    known, mark = marked(idle_source, table)
    assert len(known) == 3
    with idle_source.view() as view:
        assert blocks_since(view, table, known, mark) == known
        for lost in range(3):
            some = [block for number, block in enumerate(known) if number != lost]
            expected = [*known]
            expected[lost] = blocks(view, table)[lost]
            assert blocks_since(view, table, some, mark) == expected


@pytest.mark.parametrize("table", KEYS, ids=["id", "at"])
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE things SET v = 'z' WHERE id = 1",
        "DELETE FROM things WHERE id = 1",
        "INSERT INTO things VALUES (2, '2026-01-01', 'd')",
        "INSERT INTO others VALUES (1)",
        "TRUNCATE TABLE things",
        "ALTER TABLE things ADD COLUMN w int DEFAULT 7",
    ],
)
def test_after_any_write_every_block_is_digested(
    source: MysqlSource, adjustable_database: Database, table: Table, statement: str
) -> None:
    """To whichever table."""
    known, mark = marked(source, table)
    adjustable_database.run(statement)
    with source.view() as view:
        assert blocks_since(view, table, known, mark) == blocks(view, table)


def test_a_commit_of_changes_made_before_the_mark_is_noticed(
    source: MysqlSource, adjustable_database: Database
) -> None:
    """Also one that falls between the two looks at the log of one view."""
    with closing(adjustable_database.connect(autocommit=False)) as writer:
        with writer.cursor() as cursor:
            cursor.execute("UPDATE things SET v = 'z' WHERE id = 1")
        known, mark = marked(source, THINGS)
        writer.commit()
    with source.view() as view:
        assert blocks_since(view, THINGS, known, mark) == blocks(view, THINGS)


def test_a_commit_while_a_view_is_opened_is_noticed_by_the_next(
    source: MysqlSource, adjustable_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes after the view's instant, and the mark is older than that."""
    begin = session.begin

    def begin_and_write(connection: object) -> None:
        begin(connection)
        adjustable_database.run("UPDATE things SET v = 'z' WHERE id = 1")

    with monkeypatch.context() as patch:
        patch.setattr(session, "begin", begin_and_write)
        known, mark = marked(source, THINGS)
    with source.view() as view:
        found = blocks_since(view, THINGS, known, mark)
        assert found == blocks(view, THINGS)
        assert 5 not in [block.digest for block in found]


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE odd (id int PRIMARY KEY) ENGINE=MyISAM",
        "CREATE TABLE odd (id int PRIMARY KEY) ENGINE=Aria",
        "CREATE VIEW odd AS SELECT * FROM things",
    ],
)
def test_only_tables_of_innodb_have_a_mark(
    source: MysqlSource, adjustable_database: Database, statement: str
) -> None:
    """The log has no changes of others."""
    adjustable_database.run(statement)
    odd = Table("odd", key="id")
    _, mark = marked(source, THINGS)
    with source.view() as view:
        assert view.mark(odd) is None
        found = blocks_since(view, odd, [Block(0, 1, 5)], mark)
        assert found == blocks(view, odd)


def test_a_server_without_a_position_is_digested(
    source: MysqlSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MySQL does not name it to everyone."""
    known, mark = marked(source, THINGS)
    monkeypatch.setattr(mysql_view, "read_position", lambda _: None)
    with source.view() as view:
        assert view.mark(THINGS) is None
        assert blocks_since(view, THINGS, known, mark) == blocks(view, THINGS)


def test_a_sync_of_an_idle_server_digests_nothing(
    idle_source: MysqlSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the first sync after a change nor a later one reads unchanged rows."""
    monkeypatch.setattr(mysql_view, "ROWS_PER_RANGE", 0)
    mirror(idle_source, tmp_path)
    monkeypatch.setattr(BlockDigests, "_each", not_called)
    for _ in range(2):
        assert mirror(idle_source, tmp_path).rows_fetched == 0
    assert read_things(tmp_path)["v"].to_list() == ["a", "b", "c"]


WRITES = (
    "UPDATE things SET v = CONCAT('x', id)",
    "UPDATE things SET v = v",
    "UPDATE things SET at = at + INTERVAL 1 DAY WHERE id = 1",
    "INSERT INTO others SELECT 1 + COALESCE(MAX(id), 0) FROM others",
    "REPLACE INTO things VALUES (1, '2026-01-01', 'b')",
    "DELETE FROM things WHERE id = 20000",
    "SELECT 1",
)


@settings(
    deadline=None,
    max_examples=examples(20),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(st.sampled_from(WRITES), max_size=3), st.booleans())
def test_what_is_not_digested_equals_what_would_be(
    source: MysqlSource,
    adjustable_database: Database,
    statements: list[str],
    is_committed: bool,
) -> None:
    """After any statements, committed or rolled back."""
    with source.view() as view:
        known, mark = blocks(view, THINGS), view.mark(THINGS)
    assert mark is not None
    with closing(adjustable_database.connect(autocommit=False)) as writer:
        with writer.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
                cursor.fetchall() if cursor.with_rows else None
        (writer.commit if is_committed else writer.rollback)()
    with source.view() as view:
        assert blocks_since(view, THINGS, known, mark) == blocks(view, THINGS)
