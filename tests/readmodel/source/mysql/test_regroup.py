"""A first copy of a table whose key is a time: ranges of its primary key, sorted here."""

import re
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from readmodel.source.blocking import Block, choose_blocking
from readmodel.source.mysql import regroup, scan
from readmodel.source.mysql import view as mysql_view
from readmodel.source.mysql.view import MysqlView
from readmodel.source.protocol import ScannedBatch, Unscannable
from readmodel.sync.verify import verify
from readmodel.tables import Table
from testbed.mariadb import Database
from tests.support.effort import examples
from tests.support.mysql import mirror, mysql_source

USERS = Table("users", key="at")
CREATE = (
    "CREATE TABLE users (id varchar(40) PRIMARY KEY, v varchar(9), at timestamp NULL)"
)
BEGINNINGS = "0123456789abcdefghij"


@pytest.fixture(autouse=True)
def _sort_small_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """In batches of two rows, with each text stored once; nobody writes."""
    monkeypatch.setattr(mysql_view, "ROWS_TO_SORT", 0)
    monkeypatch.setattr(regroup, "FEWEST_RANGES", 2)
    monkeypatch.setattr(regroup, "BATCH_ROWS", 2)
    monkeypatch.setattr(regroup, "SAMPLE_ROWS", 1)
    monkeypatch.setattr(regroup, "REPEATED", 1)
    monkeypatch.setattr(MysqlView, "is_of_instant", lambda *_: True)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str]]:
    """The scan that read each range, and the condition of the range."""
    conditions: list[tuple[int, str]] = []
    read_where = scan.BlockScan.read_where

    def recorded(each: scan.BlockScan, condition: str) -> Any:
        conditions.append((id(each), condition))
        return read_where(each, condition)

    monkeypatch.setattr(scan.BlockScan, "read_where", recorded)
    return conditions


@pytest.fixture
def users(database: Database) -> Database:
    """A row for each beginning, two rows a day, some without a time."""
    database.run(
        CREATE,
        *(
            f"INSERT INTO users VALUES ('{first}x', NULLIF('{n % 3}', '0'), "
            f"{'NULL' if n % 7 == 0 else f"'2026-01-{20 - n // 2:02} 10:00:00'"})"
            for n, first in enumerate(BEGINNINGS)
        ),
    )
    return database


def scanned(view: MysqlView) -> list[ScannedBatch]:
    """All blocks of `users`."""
    columns = view.columns(USERS)
    found = view.scan(USERS, columns, choose_blocking(USERS, columns))
    assert found is not None
    return list(found)


def content(
    found: Sequence[ScannedBatch],
) -> tuple[list[Block], list[tuple[Any, ...]]]:
    """The blocks, in order, and all rows of each, in any order."""
    rows: list[tuple[Any, ...]] = []
    for each in found:
        height = sum(block.rows for block in each.blocks)
        assert each.batch.frame.height == height
        rows += sorted(each.batch.frame.rows(), key=repr)
    return [block for each in found for block in each.blocks], sorted(rows, key=repr)


def in_one_statement(view: MysqlView) -> list[ScannedBatch]:
    """All blocks of `users` as the server groups them."""
    columns = view.columns(USERS)
    blocking = choose_blocking(USERS, columns)
    return list(view.block_scan(USERS, columns, blocking).by_time("TRUE"))


def is_exact(users: Database, data_dir: Path) -> bool:
    """Whether the mirror is the database, by digests of rows and by the rows."""
    compared = list(verify(mysql_source(users), data_dir, [USERS]))
    return len(compared) == 1 and not compared[0].differences


def test_two_connections_read_the_ranges_in_turns(
    users: Database, read: list[tuple[int, str]]
) -> None:
    """Each range is read once, and blocks arrive in order; that without a time first."""
    with mysql_source(users).view() as view:
        found = scanned(view)
        assert content(found) == content(in_one_statement(view))
    assert len(read) == len({condition for _, condition in read}) == len(BEGINNINGS)
    half = len(BEGINNINGS) // 2
    assert list(Counter(which for which, _ in read).values()) == [half, half]
    numbers = [block.number for each in found for block in each.blocks]
    assert numbers == sorted(numbers, key=lambda n: (n is not None, n or 0))
    assert numbers[0] is None
    assert len(found) > 3


TEXTS = st.text(st.sampled_from("aAbBzZ09-_~ß€\U0001f600 "), min_size=1, max_size=4)


@settings(
    deadline=None,
    max_examples=examples(25),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.sampled_from(["general_ci", "bin", "unicode_ci", "uca1400_ai_ci"]),
    st.dictionaries(
        TEXTS,
        st.tuples(
            st.none() | st.sampled_from(["x", "a\tb", "\x01", ""]),
            st.none()
            | st.datetimes(datetime(2020, 1, 1), datetime(2020, 1, 9)).map(  # noqa: DTZ001 - as the server stores it
                lambda at: at.replace(microsecond=0)
            ),
        ),
        max_size=40,
    ),
)
def test_they_are_what_the_server_groups(
    database: Database, collation: str, rows: dict[str, tuple[Any, Any]]
) -> None:
    """Whatever the ids and their collation are: each row once, in its block."""
    with closing(database.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS users")
        cursor.execute(f"{CREATE} CHARSET utf8mb4 COLLATE utf8mb4_{collation}")
        cursor.executemany(
            "INSERT IGNORE INTO users VALUES (%s, %s, %s)",
            [(key, *values) for key, values in rows.items()],
        )
        connection.commit()
    with mysql_source(database).view() as view:
        try:
            expected = content(in_one_statement(view))
        except Unscannable:
            with pytest.raises(Unscannable):
                scanned(view)
            return
        assert content(scanned(view)) == expected


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE users SET id = CONCAT('user-', id)",
        "UPDATE users SET id = CONCAT('é', id) WHERE v = '1'",
        "ALTER TABLE users ENGINE = MyISAM",
        "ALTER TABLE users DROP PRIMARY KEY, ADD PRIMARY KEY (id, v)",
        "ALTER TABLE users DROP PRIMARY KEY",
        "ALTER TABLE users DROP PRIMARY KEY, DROP id, ADD id int AUTO_INCREMENT PRIMARY KEY",
    ],
)
def test_other_tables_are_read_in_one_statement(
    users: Database,
    read: list[tuple[int, str]],
    monkeypatch: pytest.MonkeyPatch,
    change: str,
) -> None:
    """Ids that begin alike or beyond ASCII, other engines, and other primary keys."""
    users.run("UPDATE users SET v = '2' WHERE v IS NULL", change)
    monkeypatch.setattr(regroup, "FEWEST_RANGES", 8)
    with mysql_source(users).view() as view:
        assert content(scanned(view)) == content(in_one_statement(view))
    assert not read


@pytest.mark.parametrize("limit", ["ROWS_TO_SORT", "BYTES_TO_SORT", "MOST_RANGES"])
def test_the_limits_are_kept(
    users: Database,
    read: list[tuple[int, str]],
    monkeypatch: pytest.MonkeyPatch,
    limit: str,
) -> None:
    """A small table, a large one, and one with too many ranges."""
    values = {"ROWS_TO_SORT": 10**9, "BYTES_TO_SORT": 0, "MOST_RANGES": 5}
    module = regroup if limit == "MOST_RANGES" else mysql_view
    monkeypatch.setattr(module, limit, values[limit])
    with mysql_source(users).view() as view:
        assert content(scanned(view)) == content(in_one_statement(view))
    assert not read


def test_more_rows_than_the_server_said_are_grouped_by_it(
    users: Database, read: list[tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its figures of a table may be old; memory is limited all the same."""
    monkeypatch.setattr(regroup, "MOST_BYTES", 100)
    with mysql_source(users).view() as view:
        found = scanned(view)
        assert content(found) == content(in_one_statement(view))
    assert read
    assert len(found) == 1  # the server's groups, which are small, come together


def test_no_locks_stay_where_the_ranges_were_given_up(
    users: Database, read: list[tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second connection has read the table, too."""
    monkeypatch.setattr(regroup, "MOST_BYTES", 100)
    with mysql_source(users).view() as view:
        scanned(view)
        view.end_locks()
        users.run("SET STATEMENT lock_wait_timeout = 1 FOR ALTER TABLE users ADD w int")
    assert len({which for which, _ in read}) == 2


def test_a_text_that_lines_cannot_hold_is_mirrored(
    users: Database, tmp_path: Path, read: list[tuple[int, str]]
) -> None:
    """By the server's blocks, after the ranges were given up."""
    users.run("UPDATE users SET v = 'a\\tb\\n' WHERE id = 'cx'")
    mirror(users, tmp_path, [USERS])
    assert read
    assert is_exact(users, tmp_path)


def test_nothing_is_fetched_again(
    users: Database, tmp_path: Path, read: list[tuple[int, str]]
) -> None:
    """The digests are those of the server; it computes them for the next sync."""
    mirror(users, tmp_path, [USERS])
    assert len(read) == len(BEGINNINGS)
    users.run("CREATE TABLE touched (id int)")  # the log moves on: blocks are digested
    assert mirror(users, tmp_path, [USERS]).rows_fetched == 0
    assert is_exact(users, tmp_path)


def test_zero_dates_are_counted_as_before(
    users: Database, read: list[tuple[int, str]]
) -> None:
    """They become null, so the server groups the rows."""
    users.run("SET STATEMENT sql_mode = '' FOR UPDATE users SET at = 0 WHERE id = '3x'")
    with mysql_source(users).view() as view:
        found = scanned(view)
    assert read
    assert sum(each.batch.zero_dates for each in found) == 1


def test_conditions_use_the_index(users: Database, read: list[tuple[int, str]]) -> None:
    """Else each range would read the whole table."""
    users.run("ALTER TABLE users CONVERT TO CHARACTER SET utf8mb3")
    with mysql_source(users).view() as view:
        scanned(view)
    with closing(users.connect()) as connection, connection.cursor() as cursor:
        for _, condition in read:
            cursor.execute(f"EXPLAIN SELECT v FROM users WHERE {condition}")
            assert re.search("'PRIMARY'", str(cursor.fetchall()))
