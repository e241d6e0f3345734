"""A tour of the server's types: each is mirrored as another client reads it.

The types are those of the server's own catalogue, its help tables and its plugins, so a
later version is covered by running this: TEST_DB_HOST and its companions name the server,
see tests/support/fixtures.py.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import mysql.connector
import polars as pl
import pytest
from polars import selectors

from readmodel.dtypes import INSTANT
from readmodel.sync.table_spec import table_spec
from readmodel.tables import Table
from testbed.mariadb import Database
from tests.support.mysql import mirror, mysql_source, read_things
from util.errors import SourceError

DECLARATIONS = {
    "enum": ["enum('','a','b\t,\"c','😀')"],
    "set": ["set('a','b c','é')"],
    "varchar": ["varchar(60)"],
    "varbinary": ["varbinary(60)"],
    "char": ["char(60)", "char(0)", "char(1)"],
    "binary": ["binary(20)"],
    "bit": ["bit(1)", "bit(33)", "bit(64)"],
    "decimal": ["decimal(65,30)", "decimal(38,10)", "decimal(5,0)", "decimal(0,0)"],
    "datetime": ["datetime", "datetime(1)", "datetime(6)"],
    "timestamp": ["timestamp null", "timestamp(3) null"],
    "time": ["time", "time(6)"],
    "float": ["float", "float(7,2)", "float unsigned"],
    "double": ["double", "double unsigned zerofill"],
    "tinyint": ["tinyint(1)", "tinyint unsigned"],
    "int": ["int(1)", "int unsigned zerofill"],
    "bigint": ["bigint", "bigint(1) unsigned"],
}
"""Declarations of types that have arguments or attributes; others stand by themselves."""

VALUES = [
    "NULL", "''", "0", "1", "-1", "7", "0.1", "-0.5", "1e300", "-1e300", "1e-320",
    *(f"{sign}{2**bits + more}" for bits in (7, 8, 15, 16, 23, 24, 31, 32, 63, 64)
      for more in (-1, 0) for sign in ("", "-")),
    "9" * 65, "-" + "9" * 35 + "." + "9" * 30, "b'1'", "x'00'", "x'FF00'", "x'01'",
    "'a'", "'b c'", "'a,é'", "' pad '", "'\\t\\n\\r\\0\\\\\"'''", "'\x01\x02\x01'",
    "'\ufffd'", "'naïve 日本 😀'", "REPEAT('é', 60)", "_utf8mb4 x'EDA080'", "'0000-00-00'",
    "'0000-01-31'", "'0000-03-01'", "'0001-01-01'", "'1000-01-01'", "'1969-12-31 23:59:59.999999'",
    "'1970-01-01 00:00:01'", "'2020-00-10'", "'2020-10-00'", "'2023-02-31'", "'2024-02-29'",
    "'2038-01-19 03:14:07.999999'", "'2100-02-29 11:11:11'", "'9999-12-31 23:59:59.999999'",
    "'-838:59:59.999999'", "'838:59:59'", "'00:00:00.000001'", "'1901'", "'2155'", "'2000'",
    "'::'", "'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'", "'0.0.0.0'", "'255.255.255.255'",
    "'00000000-0000-0000-0000-000000000000'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'",
    "'{\"a\": [1, null, \"\\\\\"\"]}'", "POINT(1, -2)", "ST_GeomFromText('LINESTRING(0 0,1 1)')",
    "ST_GeomFromText('POLYGON((0 0,1 1,1 0,0 0))')",
    "ST_GeomFromText('GEOMETRYCOLLECTION(POINT(1 1))')", "ST_GeomFromText('MULTIPOINT(1 1,2 2)')",
    "ST_GeomFromText('MULTILINESTRING((0 0,1 1))')",
    "ST_GeomFromText('MULTIPOLYGON(((0 0,1 1,1 0,0 0)))')",
]  # fmt: skip
"""Literals for all types: the least, the greatest, and odd ones, stored if possible."""


@pytest.mark.long(
    "tests/readmodel/source/mysql/test_columns.py::test_every_type_is_mirrored_exactly"
)
def test_every_type_of_the_server_is_mirrored_as_another_client_reads_it(
    database: Database, tmp_path: Path
) -> None:
    """As a column, and as the key where the type may be one."""
    with filling(database) as cursor:
        names = {
            f"t{number}": declared
            for number, declared in enumerate(declared_types(database))
            if fill(cursor, f"t{number}", declared)
        }
    assert len(names) > 40
    tables = [Table(name, key="id") for name in names]
    mirror(database, tmp_path, tables)
    assert mirror(database, tmp_path, tables).rows_fetched == 0
    expected = {name: plain_rows(database, name) for name in names}
    for name, declared in names.items():
        assert in_text(stored(tmp_path, name)).rows() == expected[name], declared
    keys = [table for table in tables if may_be_key(stored(tmp_path, table.name))]
    for table in tables:
        if table not in keys:
            check_refusal(database, replace(table, key="v"))
    by_value = [replace(table, key="v") for table in keys]
    report = mirror(database, tmp_path / "keys", by_value)
    assert report.rows_fetched == report.rows
    for table in keys:
        rows = sorted(in_text(stored(tmp_path / "keys", table.name)).rows())
        assert rows == expected[table.name], names[table.name]


def may_be_key(rows: pl.DataFrame) -> bool:
    """Whether `v` has a dtype that a sync column may have."""
    dtype = rows.schema["v"]
    return dtype.is_integer() or dtype in (pl.Date(), INSTANT)


def check_refusal(database: Database, table: Table) -> None:
    """A sync would end with one line that says why the column is no key."""
    with (
        mysql_source(database).view() as view,
        pytest.raises(SourceError, match="but a sync column must be") as raised,
    ):
        table_spec(view, table)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("part", range(3))
def test_every_character_set_of_the_server_is_mirrored(
    database: Database, tmp_path: Path, part: int
) -> None:
    """As text and as an enumeration, with characters that the set has."""
    with closing(database.connect()) as connection:
        cursor = connection.cursor()
        cursor.execute(
            "SELECT character_set_name FROM information_schema.character_sets ORDER BY 1"
        )
        names = [str(name) for (name,) in cursor.fetchall() if name != "binary"][
            part::3
        ]
        columns = ", ".join(
            f"t_{name} text CHARACTER SET {name}, e_{name} enum('a','é') CHARACTER SET {name}"
            for name in names
        )
        cursor.execute("SET sql_mode = ''")
        cursor.execute(f"CREATE TABLE things (id int PRIMARY KEY, {columns})")
        for number, text in enumerate(
            ["", "a\x01\x02\t\n", "é日本ж", "😀", "a" * 3000]
        ):
            values = ", ".join(["%s, 'a'"] * len(names))
            cursor.execute(
                f"INSERT INTO things VALUES ({number}, {values})", [text] * len(names)
            )
        cursor.close()
    mirror(database, tmp_path)
    assert read_things(tmp_path).rows() == plain_rows(database)


def declared_types(database: Database) -> Iterator[str]:
    """Declarations of all types that the server names."""
    with closing(database.connect()) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT LOWER(t.name) FROM mysql.help_topic t "
            "JOIN mysql.help_category c USING (help_category_id) "
            "WHERE c.name IN ('Data Types', 'Geometry Constructors', 'WKB') UNION "
            "SELECT LOWER(plugin_name) FROM information_schema.plugins "
            "WHERE plugin_type = 'DATA TYPE'"
        )
        names = {str(name).removesuffix(" data type") for (name,) in cursor.fetchall()}
    geometries = {"geometry", "point", "linestring", "polygon", "geometrycollection"}
    for name in sorted(names | geometries | DECLARATIONS.keys()):
        yield from DECLARATIONS.get(name, [name])


@contextmanager
def filling(database: Database) -> Iterator[Any]:
    """A cursor of a session that takes odd dates, in one transaction."""
    with (
        closing(database.connect(autocommit=False)) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("SET sql_mode = 'ALLOW_INVALID_DATES', time_zone = '+00:00'")
        yield cursor
        connection.commit()


def fill(cursor: Any, name: str, declared: str) -> bool:
    """Create a table with all values that a column of this type takes, if it may."""
    try:
        cursor.execute(f"CREATE TABLE {name} (id int PRIMARY KEY, v {declared})")
    except mysql.connector.Error:
        return False
    for number, value in enumerate(VALUES):
        with suppress(mysql.connector.Error):
            cursor.execute(f"INSERT INTO {name} VALUES ({number}, {value})")
    return True


def stored(data_dir: Path, name: str) -> pl.DataFrame:
    """The mirrored rows of a table."""
    return pl.read_parquet(data_dir / f"{name}.parquet")


def in_text(rows: pl.DataFrame) -> pl.DataFrame:
    """*rows* with decimals as text, which those beyond 38 digits are already."""
    return rows.with_columns(selectors.decimal().cast(pl.String))


def plain_rows(database: Database, table: str = "things") -> list[tuple[Any, ...]]:
    """All rows as the driver's plain cursor gives their bytes, and Python reads them."""
    with closing(database.connect(raw=True)) as connection:
        cursor = connection.cursor()
        cursor.execute("SET time_zone = '+00:00', sql_mode = ''")
        cursor.execute(f"SELECT * FROM {table} LIMIT 0")
        cursor.fetchall()
        # As text the server rounds a FLOAT to six digits.
        names = [
            f"`{column[0]}`+0e0" if column[1] == FLOAT else f"`{column[0]}`"
            for column in cursor.description
        ]
        kinds = [(column[1], column[8]) for column in cursor.description]
        cursor.execute(f"SELECT {', '.join(names)} FROM {table} ORDER BY id")
        rows = cursor.fetchall()
        cursor.close()
    return [
        tuple(_value(sent, *kind) for sent, kind in zip(row, kinds, strict=True))
        for row in rows
    ]


FLOAT = mysql.connector.FieldType.FLOAT
BINARY_CHARSET = 63


def _value(sent: Any, kind: int, charset: int) -> Any:
    field = mysql.connector.FieldType
    if sent is None:
        return None
    sent = bytes(sent)
    match kind:
        case (
            field.TINY
            | field.SHORT
            | field.INT24
            | field.LONG
            | field.LONGLONG
            | field.YEAR
        ):
            return int(sent)
        case field.BIT:
            return int.from_bytes(sent)
        case field.FLOAT:
            return pl.Series([float(sent)], dtype=pl.Float32)[0]  # MySQL's are 32 bits
        case field.DOUBLE:
            return float(sent)
        case field.NEWDECIMAL:
            return sent.decode()
        case field.DATE | field.NEWDATE | field.DATETIME | field.TIMESTAMP:
            return _time(sent.decode(), kind == field.DATE)
        case field.TIME:
            return _duration(sent.decode())
        case field.BLOB | field.STRING | field.VAR_STRING | field.GEOMETRY if (
            charset == BINARY_CHARSET
        ):
            return sent
        case _:
            return sent.decode("utf-8", "surrogatepass").translate(
                dict.fromkeys(range(0xD800, 0xE000), "\ufffd")
            )


def _time(text: str, is_date: bool) -> Any:
    try:
        found = datetime.fromisoformat(f"{text}+00:00" if not is_date else text)
    except ValueError:
        return None
    return found.date() if is_date else found


def _duration(text: str) -> timedelta:
    hours, minutes, seconds = text.lstrip("-").split(":")
    size = timedelta(
        hours=int(hours),
        minutes=int(minutes),
        seconds=int(seconds.partition(".")[0]),
        microseconds=int(seconds.partition(".")[2].ljust(6, "0") or 0),
    )
    return -size if text.startswith("-") else size
