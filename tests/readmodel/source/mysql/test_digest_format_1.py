"""A DATA_DIR with digests in format 1 is continued without a fetch of what is right.

It was recorded: the earlier version synced the tables that `create` makes. To record it
again, let that version sync `TABLES` of such a database on MariaDB, and pack its DATA_DIR
without `update.lock` into RECORDED.
"""

import tarfile
from contextlib import closing
from datetime import date, datetime
from pathlib import Path

import polars as pl
import pytest

from readmodel.source.mysql import digest_format_1
from readmodel.source.mysql.columns import CatalogColumn
from readmodel.store.snapshot import latest
from readmodel.sync.part_footer import decode_footer
from readmodel.sync.run import Report
from readmodel.sync.verify import verify
from readmodel.tables import Table
from testbed.mariadb import Database
from tests.support.mysql import mirror, mysql_source

RECORDED = Path(__file__).parent / "digest_format_1.tar.gz"

THINGS, MOMENTS = Table("things", key="id"), Table("moments", key="at")
SOUND = (THINGS, MOMENTS)
DATES, QUOTES = Table("dates", key="id"), Table("quotes", key="id")
FLAGS = Table("flags", key="id")
TABLES = (*SOUND, DATES, QUOTES, FLAGS)

COLUMNS = {
    "i": ("int unsigned", ["0", "4294967295"]),
    "l": ("bigint", ["-9223372036854775808", "7"]),
    "d": ("decimal(20,4)", ["-1234.5", "0"]),
    "w": ("decimal(50,2)", ["9" * 48 + ".25", "-1"]),
    "f": ("float", ["0.1", "-1e30"]),
    "g": ("double", ["1e300", "0.1"]),
    "b": ("bit(9)", ["257", "0"]),
    "y": ("year", ["1901", "2155"]),
    "c": ("char(9) CHARACTER SET latin1", ["'é'", "''"]),
    "v": ("varchar(99)", ["'tab\\tline\\n\\'\"\\\\'", "'日本😀'"]),
    "t": ("text CHARACTER SET utf8mb3", ["'naïve'", "REPEAT('x', 9000)"]),
    "u": ("varchar(9) CHARACTER SET utf16", ["'😀'", "''"]),
    "e": ("enum('a','é')", ["'é'", "1"]),
    "s": ("set('a','b c')", ["'a,b c'", "''"]),
    "j": ("json", ["'{\"a\": [1, null]}'", "'0'"]),
    "h": ("blob", ["X'00FF0122'", "''"]),
    "k": ("varbinary(9)", ["X'01'", "''"]),
    "p": ("point", ["POINT(1, -2)", "POINT(0, 0)"]),
    "a": ("timestamp NULL", ["'2038-01-19 03:14:07'", "0"]),
    "m": ("timestamp(3) NULL", ["'2026-03-29 01:30:00.125'", "0"]),
    "n": ("datetime", ["'1000-01-01'", "'2020-00-10'"]),
    "o": ("datetime(6)", ["'9999-12-31 23:59:59.999999'", "0"]),
    "q": ("date", ["'2024-02-29'", "'2020-10-00'"]),
    "r": ("time(6)", ["'-838:59:59.5'", "'00:00:00.000001'"]),
    "x": ("uuid", ["'123e4567-e89b-12d3-a456-426655440000'", "NULL"]),
    "z": ("inet6", ["'::1'", "'1.2.3.4'"]),
}
"""Columns of `things`: their types, and literals of values that were mirrored rightly."""


def create(database: Database) -> None:
    """Create and fill TABLES: `things` has three blocks, all others two."""
    declared = ", ".join(f"{name} {kind}" for name, (kind, _) in COLUMNS.items())
    first, second = (
        ", ".join(values[number] for _, values in COLUMNS.values())
        for number in range(2)
    )
    with closing(database.connect()) as connection, connection.cursor() as cursor:
        for statement in (
            "SET sql_mode = 'ALLOW_INVALID_DATES', time_zone = '+00:00'",
            f"CREATE TABLE things (id int PRIMARY KEY, {declared})",
            f"INSERT INTO things VALUES (1, {first}), (2, {second}), (20000, {first})",
            "INSERT INTO things (id) VALUES (40000)",
            "CREATE TABLE moments (at timestamp NULL, n int NOT NULL)",
            "INSERT INTO moments VALUES ('2026-01-01 23:59:59', 1), (NULL, 4)",
            "INSERT INTO moments VALUES ('2026-01-02', 2), ('2026-01-02', 3)",
            "CREATE TABLE dates (id int PRIMARY KEY, d date, e datetime(6) NOT NULL)",
            "INSERT INTO dates VALUES (1, '2023-02-31', '2023-01-31')",
            "INSERT INTO dates VALUES (20000, NULL, '2023-02-28 00:00:00.5')",
            "CREATE TABLE quotes (id int PRIMARY KEY, t varchar(9))",
            "INSERT INTO quotes VALUES (1, 'a'), (20000, 'a\x01b')",
            "CREATE TABLE flags (id int PRIMARY KEY, flag tinyint(1))",
            "INSERT INTO flags VALUES (1, 1), (2, 0), (20000, 7)",
        ):
            cursor.execute(statement)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """The recorded DATA_DIR."""
    with tarfile.open(RECORDED) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path


def fetched(report: Report) -> dict[str, int]:
    """The fetched rows of the tables of which some were fetched."""
    counts = {table.name: table.counts.rows_fetched for table in report.tables}
    return {name: rows for name, rows in counts.items() if rows}


def differing(database: Database, data_dir: Path) -> list[str]:
    """The tables that verify finds to differ."""
    compared = verify(mysql_source(database), data_dir, TABLES)
    return [table.table for table in compared if table.differences]


def test_unchanged_rows_are_stored_again_with_present_digests(
    database: Database, data_dir: Path
) -> None:
    """No row of a sound table is fetched, and its rows and last change stay."""
    create(database)
    before = [stored_rows(data_dir, table).rows() for table in SOUND]
    changed_at = changed(data_dir, THINGS)
    assert differing(database, data_dir) == ["dates", "quotes", "flags"]
    report = mirror(database, data_dir, TABLES)
    assert fetched(report) == {"dates": 1, "quotes": 1, "flags": 1}
    assert [stored_rows(data_dir, table).rows() for table in SOUND] == before
    assert changed(data_dir, THINGS) == changed_at
    assert differing(database, data_dir) == []
    assert formats(data_dir) == {2}
    again = mirror(database, data_dir, TABLES)
    assert fetched(again) == {}
    assert [table.counts.parts_rewritten for table in again.tables] == [0] * len(TABLES)


@pytest.mark.parametrize("column", ["v", "q", "x"])
def test_a_row_that_changed_in_between_is_noticed(
    database: Database, data_dir: Path, column: str
) -> None:
    """Its block is fetched; the two other rows are read from disk."""
    create(database)
    database.run(f"UPDATE things SET {column} = NULL WHERE id = 20000")
    database.run("UPDATE moments SET n = 5 WHERE n = 1")
    assert differing(database, data_dir)[:2] == ["things", "moments"]
    report = mirror(database, data_dir, SOUND)
    assert fetched(report) == {"things": 1, "moments": 1}
    assert stored_rows(data_dir, THINGS).filter(id=20000)[column].to_list() == [None]
    assert sorted(stored_rows(data_dir, MOMENTS)["n"]) == [2, 3, 4, 5]
    assert formats(data_dir) == {2}


def test_what_was_mirrored_wrongly_is_fetched(
    database: Database, data_dir: Path
) -> None:
    """The block of a date that does not exist, and that of a boolean that counts."""
    create(database)
    assert stored_rows(data_dir, DATES)["d"].to_list() == [date(2023, 3, 3), None]
    assert stored_rows(data_dir, FLAGS)["flag"].to_list() == [True, False, True]
    mirror(database, data_dir, TABLES)
    assert stored_rows(data_dir, DATES)["d"].to_list() == [None, None]
    assert stored_rows(data_dir, FLAGS)["flag"].to_list() == [1, 0, 7]


def test_a_boolean_that_was_declared_anew_is_not_taken_for_a_number(
    database: Database, data_dir: Path
) -> None:
    """Whatever the integer's size is now."""
    create(database)
    database.run("ALTER TABLE flags MODIFY flag smallint")
    assert fetched(mirror(database, data_dir, [FLAGS])) == {"flags": 1}
    assert stored_rows(data_dir, FLAGS)["flag"].to_list() == [1, 0, 7]


def test_long_texts_with_many_quotes_are_digested_in_linear_time(
    database: Database,
) -> None:
    """REPLACE took minutes for a megabyte of the quote."""
    column = CatalogColumn("t", "longtext", "utf8mb4", True)
    database.run("CREATE TABLE t (t longtext)")
    with closing(database.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("SET max_statement_time = 3")
        cursor.execute("INSERT INTO t VALUES (REPEAT(CHAR(1), 2000000))")
        cursor.execute(f"SELECT {digest_format_1.row_digest([column], ())} FROM t")
        assert cursor.fetchall() != [(None,)]


def stored_rows(data_dir: Path, table: Table) -> pl.DataFrame:
    """The rows of *table* on disk."""
    return pl.read_parquet(data_dir / f"{table.name}.parquet")


def changed(data_dir: Path, table: Table) -> datetime:
    """When *table* last changed, as the manifest says."""
    manifest = latest(data_dir).manifest
    assert manifest is not None
    return manifest.tables[table.name].changed_at


def formats(data_dir: Path) -> set[object]:
    """The digest formats of the parts on disk."""
    parts = latest(data_dir).path.glob("*.parquet/*.parquet")
    footers = [decode_footer(part) for part in parts]
    return {footer.layout[0] for footer in footers if footer}
