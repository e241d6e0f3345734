"""No variable of the server decides what is read: each of its own is set in turn.

The variables and their possible values are the server's: a later version is covered by
running this with its mariadbd first in PATH, since the server must not be shared.
TEST_EFFORT=thorough tries every value, and each by itself.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from itertools import batched
from pathlib import Path
from typing import Any

import mysql.connector
import polars as pl
import pytest

from readmodel.source.blocking import choose_blocking
from readmodel.source.mysql import session
from readmodel.source.mysql.source import MysqlSource
from readmodel.tables import Table
from testbed.mariadb import Database
from tests.support.effort import THOROUGH, bounded, by_effort
from tests.support.mysql import THINGS, mirror, mysql_source, read_things
from util.errors import SourceError

TOGETHER = 1 if THOROUGH else 40
"""How many variables are set at once; a group that makes a difference is halved."""

VALUES_EACH = by_effort(1, 5)
"""How many values of a variable are tried, unless the run is thorough."""

DATES = Table("things", key="at")
TABLE = (
    "CREATE TABLE things (id int PRIMARY KEY, at datetime(3) NULL, n tinyint(1), "
    "d decimal(9,3), f double, t text CHARACTER SET latin1, u varchar(20), b blob, "
    "s timestamp NULL)"
)
ROWS = (
    "INSERT INTO things SELECT seq * 9000, '2026-01-02 03:04:05.678' + INTERVAL seq DAY, "
    "seq % 7, seq / 3, seq / 7, CONCAT('é', seq), REPEAT('日\\'\"', seq % 5), "
    "UNHEX(HEX(seq)), '2026-03-29 01:30:00' FROM seq_1_to_20"
)


@pytest.mark.parametrize("key", ["id", "at"])
@pytest.mark.parametrize("mechanism", ["global", "init_connect"])
def test_a_limit_on_every_select_does_not_apply(
    adjustable_database: Database, tmp_path: Path, mechanism: str, key: str
) -> None:
    """All columns and all rows are mirrored."""
    adjustable_database.run(TABLE, ROWS)
    variable: tuple[str, Any] = ("sql_select_limit", 4)
    if mechanism == "init_connect":
        variable = ("init_connect", "SET sql_select_limit = 4")
    with adjustable_database.global_variable(*variable):
        mirror(adjustable_database, tmp_path, [replace(THINGS, key=key)])
    assert read_things(tmp_path).shape == (20, 9)


@pytest.mark.parametrize("key", ["id", "at"])
@pytest.mark.parametrize("limit", [3, 9])
def test_the_count_of_the_rows_is_checked_in_another_way(
    adjustable_database: Database,
    monkeypatch: pytest.MonkeyPatch,
    key: str,
    limit: int,
) -> None:
    """A limit that is not pinned is noticed: on the columns, or on the blocks."""
    adjustable_database.run(TABLE, ROWS)
    limited = {**session.PINNED, "sql_select_limit": limit}
    monkeypatch.setattr(session, "PINNED", limited)
    source = mysql_source(adjustable_database)
    with pytest.raises(SourceError, match=r"did not return all blocks|was altered"):
        read(source, [replace(THINGS, key=key)])


def test_init_connect_cannot_choose_another_database(
    adjustable_database: Database, tmp_path: Path
) -> None:
    """Tables of the same name in another database are not read."""
    adjustable_database.run(TABLE, ROWS)
    reader = adjustable_database.reader.user
    adjustable_database.run(
        "CREATE DATABASE elsewhere",
        "CREATE TABLE elsewhere.things (id int)",
        f"GRANT SELECT ON elsewhere.* TO {reader}@'%'",
    )
    with adjustable_database.global_variable("init_connect", "USE elsewhere"):
        mirror(adjustable_database, tmp_path)
    adjustable_database.run("DROP DATABASE elsewhere")
    assert read_things(tmp_path).shape == (20, 9)


def test_a_session_may_pause_longer_than_the_server_allows(
    adjustable_database: Database, tmp_path: Path
) -> None:
    """Its transaction is idle while parts are written."""
    adjustable_database.run(TABLE, ROWS)
    names = ("idle_transaction_timeout", "idle_readonly_transaction_timeout")
    with (
        adjustable_database.global_variable(names[0], 1),
        adjustable_database.global_variable(names[1], 1),
        adjustable_database.global_variable("wait_timeout", 1),
        mysql_source(adjustable_database).view() as view,
    ):
        view.columns(THINGS)
        ((_slept,),) = view.stream("SELECT SLEEP(0)")
        time.sleep(2.2)
        assert len(view.columns(THINGS)) == 9


def odd_values(database: Database) -> Iterator[tuple[str, str]]:
    """Assignments of odd values to each variable that a session can set."""
    with closing(database.connect()) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT variable_name, variable_type, session_value, numeric_min_value, "
            "numeric_max_value, enum_value_list FROM information_schema.system_variables "
            "WHERE variable_scope LIKE 'SESSION%' AND read_only = 'NO' ORDER BY 1"
        )
        for name, kind, value, low, high, members in cursor.fetchall():
            odds = list(dict.fromkeys(_odd(kind, low, high, members or "")))
            for odd in bounded(odds, VALUES_EACH):
                if odd.strip("'") != value and name.lower() not in NOT_FOR_READING:
                    yield name.lower(), odd


NOT_FOR_READING = {
    "debug_sync", "debug_dbug", "sql_log_bin", "tx_read_only", "gtid_seq_no",
    "pseudo_slave_mode", "pseudo_thread_id", "server_id", "gtid_domain_id",
    "error_count", "warning_count", "in_transaction",
}  # fmt: skip
"""Variables that need a right beyond reading, or that end the server when set."""


def _odd(kind: str, low: Any, high: Any, members: str) -> Sequence[str]:
    match kind:
        case "BOOLEAN":
            return ["0", "1"]
        case "ENUM" | "SET" | "FLAGSET":
            return [f"'{member}'" for member in members.split(",")] + ["''"]
        case "VARCHAR" | "VARCHAR NULL":
            return ["''", "'latin1'", "'latin1_swedish_ci'", "'+13:00'", "'2020-01-01'"]
        case _:
            return [str(low), "1", "3", str(min(int(float(high)), 2**62))]


PLAIN = "CREATE TABLE plain (PRIMARY KEY (id)) AS SELECT id, at, n, d, f, t, u, s FROM things"
"""A table without bytes, which is scanned."""


def read(
    source: MysqlSource, tables: Sequence[Table] = (THINGS, DATES)
) -> list[list[tuple[Any, ...]]]:
    """All blocks and rows of each of *tables*, read without writing them."""
    found = []
    for table in tables:
        with source.view() as view:
            columns = view.columns(table)
            blocking = choose_blocking(table, columns)
            blocks = view.blocks(table, columns, blocking)
            batches = list(view.rows(table, columns, blocking, blocks))
        rows = pl.concat([batch.frame for batch in batches]).rows()
        found.append([tuple(blocks), *sorted(rows)])
    return found


def read_and_scan(source: MysqlSource) -> list[list[Any]]:
    """The same, and all that scans of PLAIN yield, by either key."""
    tables = (Table("plain", key="id"), Table("plain", key="at"))
    return [*read(source), *(_scan(source, table) for table in tables)]


def _scan(source: MysqlSource, table: Table) -> list[Any]:
    with source.view() as view:
        columns = view.columns(table)
        scan = view.scan(table, columns, choose_blocking(table, columns))
        assert scan is not None
        scanned = list(scan)
    rows = sorted(row for each in scanned for row in each.batch.frame.rows())
    return [*(block for each in scanned for block in each.blocks), *rows]


@pytest.mark.long(
    "tests/readmodel/source/mysql/test_source.py::test_the_servers_time_zone_does_not_matter"
)
def test_no_variable_changes_what_is_read(
    adjustable_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows and the digests stay the same, or the sync refuses in one line."""
    adjustable_database.run(TABLE, ROWS, PLAIN)
    source = replace(mysql_source(adjustable_database), read_seconds=10)
    monkeypatch.setattr("readmodel.source.mysql.view.ROWS_PER_RANGE", 0)
    expected = read_and_scan(source)
    rounds: dict[int, list[tuple[str, str]]] = {}
    counts: dict[str, int] = {}
    for name, odd in odd_values(adjustable_database):
        counts[name] = counts.get(name, 0) + 1
        rounds.setdefault(counts[name], []).append((name, odd))
    assert len(counts) > 100
    different = [
        assignment
        for several in rounds.values()
        for group in batched(several, TOGETHER)
        for assignment in culprits(adjustable_database, source, group, expected)
    ]
    assert different == []


def culprits(
    database: Database,
    source: MysqlSource,
    assignments: Sequence[tuple[str, str]],
    expected: object,
) -> Iterator[str]:
    """Those of *assignments* that change what is read, alone or together."""
    settable = list(_settable(database, assignments))
    text = ", ".join(f"SESSION {name} = {odd}" for name, odd in settable)
    if not settable:
        return
    with database.global_variable("init_connect", f"SET {text}"):
        outcome = _outcome(source, expected)
    if outcome is None:
        return
    if len(settable) == 1:
        if not outcome.startswith("refused: "):
            yield f"{text}: {outcome}"
        return
    half = len(settable) // 2
    for some in (settable[:half], settable[half:]):
        yield from culprits(database, source, some, expected)


def _outcome(source: MysqlSource, expected: object) -> str | None:
    try:
        return None if read_and_scan(source) == expected else "other rows"
    except SourceError as error:
        is_clear = "\n" not in str(error) and len(str(error)) > 20
        return f"refused: {error}" if is_clear else f"unclear: {error!r}"


def _settable(
    database: Database, assignments: Sequence[tuple[str, str]]
) -> Iterator[tuple[str, str]]:
    """Those of *assignments* that a user who can only read may make."""
    with closing(database.reader.connect(database.name)) as connection:
        for name, odd in assignments:
            connection.cmd_reset_connection()
            with (
                suppress(mysql.connector.Error),
                closing(connection.cursor()) as cursor,
            ):
                cursor.execute(f"SET SESSION {name} = {odd}")
                yield name, odd
