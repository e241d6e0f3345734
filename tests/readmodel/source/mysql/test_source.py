"""A view of MySQL or MariaDB: independent of server settings, names and ALTERs."""

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import mysql.connector
import polars as pl
import pytest

from readmodel.source.blocking import Block, choose_blocking
from readmodel.source.mysql.source import MysqlSource
from readmodel.source.mysql.view import MysqlView
from readmodel.source.protocol import PassingFault
from readmodel.tables import TABLES, Table
from testbed import schema
from testbed.mariadb import Database, Login
from tests.support.effort import by_effort
from tests.support.mysql import THINGS, mirror, mysql_source, read_things
from util.errors import SourceError


@pytest.mark.parametrize("zone", ["+00:00", "+02:00", "-11:30", "+13:00"])
def test_the_servers_time_zone_does_not_matter(
    adjustable_database: Database, tmp_path: Path, zone: str
) -> None:
    """A timestamp is an instant; the read model stores it in UTC."""
    with adjustable_database.global_variable("time_zone", zone):
        with closing(adjustable_database.connect()) as connection:
            schema.create_mysql(connection)
            rows = schema.fill(connection, seed=7, count=40)
        mirror(adjustable_database, tmp_path, list(TABLES.values()))
    for name in TABLES:
        found = pl.read_parquet(tmp_path / f"{name}.parquet").rows()
        assert sorted(found, key=repr) == sorted(schema.expected(rows[name]), key=repr)


@pytest.mark.parametrize(
    "mode",
    [
        "ANSI_QUOTES",
        "NO_BACKSLASH_ESCAPES",
        "PAD_CHAR_TO_FULL_LENGTH",
        "ANSI,ORACLE",
        "TRADITIONAL",
    ],
)
def test_the_servers_sql_mode_does_not_matter(
    adjustable_database: Database, tmp_path: Path, mode: str
) -> None:
    """The session sets its own rules for quotes, escapes and padding."""
    adjustable_database.run("CREATE TABLE things (id int, c char(5), v text)")
    adjustable_database.run(
        "INSERT INTO things VALUES (1, 'a', 'back\\\\slash \"q\" \\'s\\'')"
    )
    with adjustable_database.global_variable("sql_mode", mode):
        mirror(adjustable_database, tmp_path)
    assert read_things(tmp_path).rows() == [(1, "a", "back\\slash \"q\" 's'")]


@pytest.mark.parametrize("key", ["id", "at"])
def test_columns_may_have_any_name(
    database: Database, tmp_path: Path, key: str
) -> None:
    """Also reserved words, and names that our queries give to their results."""
    names = ["select", "vector", "block", "part", "a`b", "c.d", 'e"f']
    quoted = ["`" + name.replace("`", "``") + "`" for name in names]
    database.run(
        f"CREATE TABLE things (id int, at date, {' int, '.join(quoted)} int)",
        "INSERT INTO things SELECT seq, '2026-01-01' + INTERVAL seq DAY, "
        + ", ".join(f"seq % {number}" for number in range(2, 9))
        + " FROM seq_1_to_300",
    )
    for _ in range(2):
        report = mirror(database, tmp_path, [replace(THINGS, key=key)])
        database.run("UPDATE things SET block = block + 1 WHERE id = 7")
    assert report.rows_fetched <= 300
    rows = read_things(tmp_path).sort("id")
    assert rows.columns == ["id", "at", *names]
    assert rows["block"].to_list() == [seq % 4 + (seq == 7) for seq in range(1, 301)]
    assert rows["part"].to_list() == [seq % 5 for seq in range(1, 301)]


@pytest.mark.parametrize("kind", ["date", "datetime", "timestamp"])
def test_a_zero_date_as_the_key_is_mirrored(
    database: Database, tmp_path: Path, kind: str
) -> None:
    """Its row belongs to the block of the rows without a key."""
    database.run(f"CREATE TABLE things (id {kind} NULL, n int)")
    with closing(database.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("SET sql_mode = ''")
        cursor.execute(
            "INSERT INTO things VALUES ('0000-00-00', 1), ('2020-00-00', 2), (NULL, 3), ('2019-12-31 23:59:59', 4), ('2020-01-01', 5)"
        )
    mirror(database, tmp_path)
    assert sorted(read_things(tmp_path)["n"]) == [1, 2, 3, 4, 5]
    database.run("DELETE FROM things WHERE n = 2")
    mirror(database, tmp_path)
    assert sorted(read_things(tmp_path)["n"]) == [1, 3, 4, 5]


def test_the_limit_of_a_text_is_within_32_bits(database: Database) -> None:
    """Servers multiply it by the four bytes of a character."""
    with mysql_source(database).view() as view:
        ((limit,),) = view.stream("SELECT @@group_concat_max_len")
    assert 2**32 - 8 < int(limit) * 4 < 2**32


def test_a_table_that_may_not_be_read_is_named(
    database: Database, mariadb_login: Login, tmp_path: Path
) -> None:
    """Without the SELECT right, a table looks like a missing one."""
    database.run("CREATE TABLE things (id int)")
    user = f"{database.reader.user}@'%'"
    mariadb_login.run(
        f"REVOKE SELECT ON `{database.name}`.* FROM {user}",
        f"CREATE TABLE `{database.name}`.other (id int)",
        f"GRANT SELECT ON `{database.name}`.other TO {user}",
    )
    with pytest.raises(SourceError, match=r"Table things is missing .* SELECT from it"):
        mirror(database, tmp_path)


def test_a_table_that_the_catalog_lacks_for_a_moment_is_a_passing_fault(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MariaDB's catalog lacks a table while it is altered."""
    database.run("CREATE TABLE things (id int)")
    query = MysqlView._query

    def altering(view: MysqlView, statement: str, *args: Any, **options: Any) -> Any:
        if "information_schema" in statement:
            return []
        return query(view, statement, *args, **options)

    monkeypatch.setattr(MysqlView, "_query", altering)
    with mysql_source(database).view() as view:
        with pytest.raises(PassingFault, match="Table things was altered in"):
            view.columns(THINGS)
        with pytest.raises(SourceError, match="Table other is missing in") as raised:
            view.columns(Table("other", key="id"))
    assert not isinstance(raised.value, PassingFault)


@pytest.mark.parametrize(
    "alter",
    [
        "ADD COLUMN more int DEFAULT 7",
        "ADD COLUMN more datetime FIRST",
        "DROP COLUMN v",
        "MODIFY v varchar(5) FIRST",
        "MODIFY n bigint",
        "MODIFY d decimal(12,6)",
        "MODIFY d decimal(4,1)",
        "MODIFY e enum('a','b','c')",
        "MODIFY e varchar(9)",
        "CHANGE v w varchar(9)",
        "CHANGE v n varchar(9), CHANGE n v int",
        "MODIFY n smallint unsigned NOT NULL",
        "CONVERT TO CHARACTER SET latin1",
        "DROP PRIMARY KEY, ADD PRIMARY KEY (n, id)",
    ],
)
def test_an_altered_table_is_mirrored_with_its_new_columns(
    database: Database, tmp_path: Path, alter: str
) -> None:
    """Columns are added, dropped, moved, renamed, widened and narrowed."""
    database.run(
        "CREATE TABLE things (id int PRIMARY KEY, n int, v varchar(9), "
        "d decimal(4,2), e enum('a','b'))",
        "INSERT INTO things VALUES (1, 5, 'é', 1.25, 'a'), (2, 0, '', -99.99, 'b')",
    )
    mirror(database, tmp_path)
    database.run(f"ALTER TABLE things {alter}")
    mirror(database, tmp_path)
    with closing(database.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT * FROM things ORDER BY id")
        rows, names = cursor.fetchall(), list(cursor.column_names)
    assert read_things(tmp_path).columns == names
    assert read_things(tmp_path).rows() == rows


def test_a_renamed_member_of_an_enum_is_seen(
    database: Database, tmp_path: Path
) -> None:
    """The definition alone changes nothing; rows that use the new member do."""
    database.run(
        "CREATE TABLE things (id int, e enum('a','b'))",
        "INSERT INTO things VALUES (1, 'a'), (2, 'b')",
    )
    mirror(database, tmp_path)
    database.run("ALTER TABLE things MODIFY e enum('a','b','z')")
    assert mirror(database, tmp_path).rows_fetched == 0
    database.run("UPDATE things SET e = 'z' WHERE e = 'b'")
    mirror(database, tmp_path)
    assert read_things(tmp_path)["e"].to_list() == ["a", "z"]


def digests(source: MysqlSource) -> Sequence[Block]:
    """The blocks of `things` as they are now."""
    with source.view() as view:
        columns = view.columns(THINGS)
        return view.blocks(THINGS, columns, choose_blocking(THINGS, columns))


BLOCKS = by_effort(5_000, 50_000)


def test_every_one_of_many_swaps_changes_a_digest(database: Database) -> None:
    """In a sum of plain CRC-32, which is linear, some of these swaps cancel out."""
    database.run("CREATE TABLE things (id bigint PRIMARY KEY, v char(1))")
    database.run(
        "INSERT INTO things SELECT (seq DIV 2) * 16384 + seq % 2, "
        f"IF(seq % 2, 'b', 'a') FROM seq_0_to_{2 * BLOCKS - 1}"
    )
    source = mysql_source(database)
    before = digests(source)
    plain = (
        "SELECT id >> 14 AS n, SUM(CRC32(CONCAT(id, v))) AS s FROM things GROUP BY n"
    )
    database.run(f"CREATE TABLE plain AS {plain}")
    database.run("UPDATE things SET v = IF(v = 'a', 'b', 'a')")
    after = digests(source)
    assert len(before) == len(after) == BLOCKS
    assert [old for old, new in zip(before, after, strict=True) if old == new] == []


def test_a_table_is_locked_only_while_it_is_read(database: Database) -> None:
    """An ALTER waits for the end of the first table, not of the sync."""
    database.run(
        "CREATE TABLE things (id int PRIMARY KEY)",
        "CREATE TABLE others (id int PRIMARY KEY)",
        "INSERT INTO things VALUES (1)",
        "INSERT INTO others VALUES (1), (2)",
    )
    others = Table("others", key="id")
    alter = "SET STATEMENT lock_wait_timeout = 1 FOR ALTER TABLE things ADD c int"
    with mysql_source(database).view() as view:
        columns = view.columns(THINGS)
        view.blocks(THINGS, columns, choose_blocking(THINGS, columns))
        with pytest.raises(mysql.connector.Error, match="Lock wait timeout"):
            database.run(alter)
        database.run("INSERT INTO others VALUES (3)")
        columns = view.columns(others)
        (block,) = view.blocks(others, columns, choose_blocking(others, columns))
        assert block.rows == 2
        database.run(alter)


def test_nothing_keeps_running_on_the_server_when_a_view_is_left(
    database: Database,
) -> None:
    """The server notices a lost client only when it sends something."""
    source = replace(mysql_source(database), read_seconds=1)
    with source.view() as view, pytest.raises(PassingFault, match="has not answered"):
        list(view.stream("SELECT SLEEP(600)"))
    running = "SELECT COUNT(*) FROM information_schema.processlist WHERE user = %s"
    deadline = time.monotonic() + 10
    with closing(database.connect()) as connection, connection.cursor() as cursor:
        while True:
            cursor.execute(running, (database.reader.user,))
            ((count,),) = cursor.fetchall()
            if not count:
                break
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.mark.parametrize(
    "change",
    [
        "SET a = b, b = a",
        "SET a = NULL",
        "SET t = NULL WHERE t = ''",
        "SET t = '', u = CONCAT(t, u)",
        "SET b = NULL, a = b",
        "SET x = x + 1e-15",
        "SET d = d + INTERVAL 1 MICROSECOND",
        "SET y = CONCAT(y, ' ')",
        "SET e = 'b'",
    ],
)
def test_a_digest_notices_every_kind_of_change(database: Database, change: str) -> None:
    """Swapped columns, NULL against empty, moved text, the last digit, a blank."""
    database.run(
        "CREATE TABLE things (id int PRIMARY KEY, a int, b int, t varchar(9), "
        "u varchar(9), x double, d datetime(6), y varbinary(9), e enum('a','b'))",
        "INSERT INTO things VALUES (1, 1, 2, 'ab', 'c', 0.1, '2026-01-01', 'z', 'a'), "
        "(2, 1, NULL, '', '', 1, '2026-01-01', '', NULL)",
    )
    source = mysql_source(database)
    before = digests(source)
    database.run(f"UPDATE things {change}")
    assert digests(source) != before


def test_a_row_of_many_columns_is_digested_within_the_smallest_packet(
    adjustable_database: Database,
) -> None:
    """A function's result beyond max_allowed_packet is NULL, which a sum leaves out."""
    columns = ", ".join(f"c{n} decimal(65,30)" for n in range(300))
    values = ", ".join(["-99999999999999999999999999999999999.9"] * 300)
    adjustable_database.run(
        f"CREATE TABLE things (id int PRIMARY KEY, {columns}) ENGINE=Aria",
        f"INSERT INTO things VALUES (1, {values}), (2, {values})",
    )
    source = mysql_source(adjustable_database)
    with adjustable_database.global_variable("max_allowed_packet", 16_384):
        expected = digests(source)
        adjustable_database.run("UPDATE things SET c299 = 0 WHERE id = 2")
        changed = digests(source)
    assert [block.rows for block in changed] == [2]
    assert changed != expected
