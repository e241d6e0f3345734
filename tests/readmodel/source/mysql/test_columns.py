"""Each column type of MySQL and MariaDB is mirrored exactly."""

from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from readmodel.source import wire
from readmodel.source.mysql import columns
from readmodel.source.mysql.columns import CatalogColumn, encode
from readmodel.source.wire import Column
from readmodel.sync.verify import verify
from readmodel.tables import Table
from testbed.mariadb import Database
from tests.support.effort import examples, some_long
from tests.support.mysql import THINGS, mirror, mysql_source, read_things

# Declared type, dtype, and the expected value of each SQL literal.
TYPES: list[tuple[str, pl.DataType, dict[str, Any]]] = [
    ("tinyint", pl.Int8(), {"-128": -128, "127": 127}),
    ("tinyint(1)", pl.Int8(), {"0": 0, "1": 1, "7": 7, "-128": -128}),
    ("tinyint unsigned", pl.UInt8(), {"255": 255}),
    ("smallint unsigned zerofill", pl.UInt16(), {"7": 7, "65535": 65535}),
    ("mediumint", pl.Int32(), {"-8388608": -8388608}),
    ("int unsigned", pl.UInt32(), {"4294967295": 4294967295}),
    ("bigint", pl.Int64(), {"-9223372036854775808": -(2**63)}),
    ("bigint unsigned", pl.UInt64(), {"18446744073709551615": 2**64 - 1}),
    ("decimal(38,30)", pl.Decimal(38, 30), {"-12345678.9": Decimal("-12345678.9")}),
    ("decimal(65,30)", pl.String(), {"1": "1." + 30 * "0"}),
    ("decimal(10,4)", pl.Decimal(10, 4), {"12345.6789": Decimal("12345.6789")}),
    ("float", pl.Float32(), {"0.1": 0.10000000149011612, "16777217": 16777216.0}),
    ("float(7,3)", pl.Float32(), {"1234.567": 1234.5670166015625}),
    ("double", pl.Float64(), {"0.1": 0.1, "1.7976931348623157e308": 1.7976931348623157e308}),
    ("double", pl.Float64(), {"5e-324": 5e-324, "0.30000000000000004": 0.1 + 0.2}),
    ("bit(1)", pl.UInt8(), {"b'0'": 0, "b'1'": 1}),
    ("bit(64)", pl.UInt64(), {"18446744073709551615": 2**64 - 1}),
    ("year", pl.Int16(), {"0": 0, "1901": 1901, "2155": 2155}),
    ("date", pl.Date(), {"'1000-01-01'": date(1000, 1, 1), "'9999-12-31'": date(9999, 12, 31)}),
    ("datetime", pl.Datetime("us", "UTC"), {"'2026-03-29 02:30:00'": datetime(2026, 3, 29, 2, 30, tzinfo=UTC)}),
    ("datetime(6)", pl.Datetime("us", "UTC"), {
        "'1000-01-01 00:00:00.000001'": datetime(1000, 1, 1, 0, 0, 0, 1, tzinfo=UTC),
        "'9999-12-31 23:59:59.999999'": datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    }),
    ("timestamp(3) null", pl.Datetime("us", "UTC"), {"'2038-01-19 03:14:07.999'": datetime(2038, 1, 19, 3, 14, 7, 999000, tzinfo=UTC)}),
    ("time", pl.Duration("us"), {"'-838:59:59'": -timedelta(hours=838, minutes=59, seconds=59)}),
    ("time(6)", pl.Duration("us"), {"'-00:00:00.500000'": timedelta(microseconds=-500000)}),
    ("char(5)", pl.String(), {"'x '": "x", "''": ""}),
    ("varchar(50) character set latin1", pl.String(), {"'naïve'": "naïve"}),
    ("varchar(50) character set utf16", pl.String(), {"'日本\"'": '日本"'}),
    ("longtext", pl.String(), {"'a\tb\nc\\\\\"\\'😀'": "a\tb\nc\\\"'😀"}),
    ("enum('a','b,\"c','')", pl.String(), {"'b,\"c'": 'b,"c', "''": ""}),
    ("set('a','b')", pl.String(), {"'b,a'": "a,b", "''": ""}),
    ("json", pl.String(), {"'{\"a\": [1, null]}'": '{"a": [1, null]}'}),
    ("binary(3)", pl.Binary(), {"'a'": b"a\x00\x00"}),
    ("varbinary(9)", pl.Binary(), {"x'00ff22'": b'\x00\xff"', "''": b""}),
    ("blob", pl.Binary(), {"'\\n\\t'": b"\n\t"}),
    ("point", pl.Binary(), {"point(1,2)": bytes.fromhex("000000000101000000000000000000f03f0000000000000040")}),
    ("uuid", pl.String(), {"'123e4567-e89b-12d3-a456-426655440000'": "123e4567-e89b-12d3-a456-426655440000"}),
    ("inet6", pl.String(), {"'::1'": "::1"}),
    ("inet4", pl.String(), {"'192.0.2.1'": "192.0.2.1"}),
    ("double unsigned", pl.Float64(), {"1.5": 1.5}),
    ("decimal(5,2) unsigned zerofill", pl.Decimal(5, 2), {"3.25": Decimal("3.25")}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("declared", "dtype", "values"), some_long(TYPES, 15), ids=lambda t: str(t)[:20]
)
def test_every_type_is_mirrored_exactly(
    database: Database,
    tmp_path: Path,
    declared: str,
    dtype: pl.DataType,
    values: dict[str, Any],
) -> None:
    """Values at the ends of its range, and a NULL."""
    database.run(f"CREATE TABLE things (id int, v {declared})")
    for number, literal in enumerate([*values, "NULL"]):
        database.run(f"INSERT INTO things VALUES ({number}, {literal})")
    mirror(database, tmp_path)
    assert read_things(tmp_path).schema["v"] == dtype
    assert read_things(tmp_path)["v"].to_list() == [*values.values(), None]


@pytest.mark.parametrize(
    "declared", ["int", "varchar(9)", "datetime(6)", "float", "blob"]
)
def test_a_column_of_nulls_keeps_its_dtype(
    database: Database, tmp_path: Path, declared: str
) -> None:
    """The declaration decides, not the rows."""
    database.run(f"CREATE TABLE things (id int, v {declared})")
    database.run("INSERT INTO things VALUES (1, NULL), (2, NULL)")
    mirror(database, tmp_path)
    before = read_things(tmp_path).schema
    database.run("INSERT INTO things VALUES (3, 1)" if declared == "int" else "DO 0")
    mirror(database, tmp_path)
    assert read_things(tmp_path).schema == before
    assert read_things(tmp_path)["v"].null_count() == 2


def test_zero_dates_become_null_and_are_counted(
    database: Database, tmp_path: Path
) -> None:
    """Zero dates of all types, and dates without month or day; a NULL is not counted."""
    zero = "'0000-00-00'"
    database.run(
        "CREATE TABLE things (id int, d date, t datetime(6), s timestamp null, "
        "m timestamp(3) null, k date not null)"
    )
    with closing(database.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("SET sql_mode = ''")
        cursor.execute(
            f"INSERT INTO things VALUES (1, {zero}, {zero}, {zero}, {zero}, {zero})"
        )
        cursor.execute(
            "INSERT INTO things VALUES (2, '2020-00-10', '2020-01-00', NULL, NULL, '2020-01-01')"
        )
    report = mirror(database, tmp_path)
    assert report.tables[0].zero_dates == 7
    assert read_things(tmp_path).rows() == [
        (1, None, None, None, None, None),
        (2, None, None, None, None, date(2020, 1, 1)),
    ]


def test_how_a_column_is_stored_does_not_matter(
    database: Database, tmp_path: Path
) -> None:
    """The catalog tells it in a comment, such as blob /*M!100301 COMPRESSED*/."""
    database.run(
        "CREATE TABLE things (id int, a varchar(100) COMPRESSED, b blob COMPRESSED, "
        "c text CHARACTER SET latin1 COMPRESSED)",
        "INSERT INTO things VALUES (1, 'x', 'y', 'é')",
    )
    mirror(database, tmp_path)
    assert read_things(tmp_path).rows() == [(1, "x", b"y", "é")]


def test_temporal_columns_of_old_servers_are_mirrored(
    adjustable_database: Database, tmp_path: Path
) -> None:
    """They keep the old storage format until their table is rebuilt."""
    with adjustable_database.global_variable("mysql56_temporal_format", "OFF"):
        adjustable_database.run(
            "CREATE TABLE things (id int, a datetime, b datetime(3), c timestamp NULL, "
            "d timestamp(3) NULL, e time, f time(2))",
            "INSERT INTO things VALUES (1, '2026-01-02 03:04:05', "
            "'2026-01-02 03:04:05.678', '2026-01-02 03:04:05', "
            "'2026-01-02 03:04:05.678', '-01:02:03', '01:02:03.45')",
        )
    mirror(adjustable_database, tmp_path)
    whole = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    broken = whole.replace(microsecond=678_000)
    hour = timedelta(hours=1, minutes=2, seconds=3)
    assert read_things(tmp_path).rows() == [
        (1, whole, broken, whole, broken, -hour, hour + timedelta(milliseconds=450))
    ]


@pytest.mark.parametrize("declared", ["date", "datetime(6)"])
def test_a_date_without_month_or_day_is_recognised_on_mysql(declared: str) -> None:
    """MySQL's functions take such a date for another one, so its digits travel."""
    column = encode(CatalogColumn("v", declared, None, nullable=False))
    assert column is not None
    assert "(`v`+0)" in column.sql


def test_an_unsupported_type_has_no_encoding() -> None:
    """Such a column cannot be mirrored."""
    assert encode(CatalogColumn("v", "xmltype", None, nullable=True)) is None


ANY_TEXT = st.none() | st.text(st.characters(codec="utf-8"), max_size=12)


@settings(
    max_examples=examples(5, 60), deadline=None, suppress_health_check=list(HealthCheck)
)
@given(
    rows=st.lists(
        st.tuples(ANY_TEXT, ANY_TEXT, st.none() | st.binary(max_size=9)), max_size=60
    )
)
def test_any_text_and_any_bytes_survive(
    database: Database, tmp_path: Path, rows: list[tuple[Any, ...]]
) -> None:
    """Random characters of all Unicode planes, and random bytes."""
    database.run("DROP TABLE IF EXISTS things")
    database.run("CREATE TABLE things (id int, a text, b varchar(50), c blob)")
    numbered = [(number, *row) for number, row in enumerate(rows)]
    with closing(database.connect()) as connection, connection.cursor() as cursor:
        cursor.executemany("INSERT INTO things VALUES (%s, %s, %s, %s)", numbered)
    mirror(database, tmp_path)
    assert read_things(tmp_path).rows() == numbered


def test_generated_and_invisible_columns_are_mirrored(
    database: Database, tmp_path: Path
) -> None:
    """Also an invisible column, which SELECT * leaves out."""
    database.run(
        "CREATE TABLE things (id int, hidden int INVISIBLE, "
        "twice int AS (id * 2) VIRTUAL, thrice int AS (id * 3) STORED)",
        "INSERT INTO things (id, hidden) VALUES (5, 7)",
    )
    mirror(database, tmp_path)
    assert read_things(tmp_path).to_dicts() == [
        {"id": 5, "hidden": 7, "twice": 10, "thrice": 15}
    ]


@pytest.mark.parametrize("declared", ["date", "datetime", "datetime(6)"])
@pytest.mark.parametrize("key", ["id", "v"])
def test_dates_that_no_calendar_has_become_null_and_are_counted(
    database: Database, tmp_path: Path, declared: str, key: str
) -> None:
    """ALLOW_INVALID_DATES lets a table have them, as a column and as the key."""
    invalid = ["2023-02-31", "2023-04-31", "2100-02-29", "2020-00-10", "0000-01-31"]
    valid = ["2024-02-29", "2023-03-03", "0001-01-01", "9999-12-31"]
    database.run(f"CREATE TABLE things (id int, v {declared} NULL)")
    with closing(database.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("SET sql_mode = 'ALLOW_INVALID_DATES'")
        for number, text in enumerate([*invalid, *valid, None]):
            cursor.execute("INSERT INTO things VALUES (%s, %s)", (number, text))
    tables = [replace(THINGS, key=key)]
    report = mirror(database, tmp_path, tables)
    assert report.tables[0].zero_dates == len(invalid)
    copied = read_things(tmp_path).sort("id")["v"].cast(pl.Date).to_list()
    assert copied == [None] * 5 + [date.fromisoformat(text) for text in valid] + [None]
    database.run("DELETE FROM things WHERE id = 1")
    mirror(database, tmp_path, tables)
    assert sorted(read_things(tmp_path)["id"]) == [0, *range(2, 10)]
    assert mirror(database, tmp_path, tables).rows_fetched == 0


@pytest.mark.parametrize("charset", ["utf8mb4", "utf8mb3", "ucs2", "utf32"])
def test_a_lone_surrogate_becomes_a_replacement_character_and_is_counted(
    database: Database, tmp_path: Path, charset: str
) -> None:
    """It is legal in these character sets; the rows beside it are as they were."""
    value = {"ucs2": "_ucs2 x'0078D800'", "utf32": "_utf32 x'000000780000D800'"}.get(
        charset, f"_{charset} x'78EDA080'"
    )
    database.run(
        f"CREATE TABLE things (id int, v text CHARACTER SET {charset})",
        f"INSERT INTO things VALUES (1, {value}), (2, 'é'), (3, NULL)",
    )
    report = mirror(database, tmp_path)
    assert report.tables[0].repaired_texts == 1
    assert read_things(tmp_path)["v"].to_list() == ["x\ufffd", "é", None]


def test_a_column_that_was_copied_as_boolean_is_fetched_again(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An earlier version took TINYINT(1) for a boolean; other tables are not fetched."""
    database.run(
        "CREATE TABLE things (id int, v tinyint(1))",
        "CREATE TABLE others (id int, v int)",
        "INSERT INTO things VALUES (1, 7), (2, 0), (3, NULL)",
        "INSERT INTO others VALUES (1, 1)",
    )
    tables = [THINGS, Table("others", key="id")]
    real = columns.encode

    def earlier(column: CatalogColumn) -> Column | None:
        encoded = real(column)
        if encoded is None or column.type != "tinyint(1)":
            return encoded
        return replace(encoded, dtype=pl.Boolean(), decode=wire.boolean_from_number)

    with monkeypatch.context() as patch:
        patch.setattr("readmodel.source.mysql.view.encode", earlier)
        mirror(database, tmp_path, tables)
    assert read_things(tmp_path)["v"].to_list() == [True, False, None]
    (verdict, _) = verify(mysql_source(database), tmp_path, tables)
    assert "has other columns" in str(verdict.differences[0])
    report = mirror(database, tmp_path, tables)
    assert [table.counts.rows_fetched for table in report.tables] == [3, 0]
    assert read_things(tmp_path)["v"].to_list() == [7, 0, None]
