"""How values of PostgreSQL travel: exactly, or counted as what cannot be held."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from unittest.mock import Mock

import polars as pl
import pytest

from readmodel.source.postgres.columns import Attribute, column
from readmodel.source.postgres.source import PostgresView
from readmodel.source.protocol import PassingFault
from testbed.postgres import Database
from tests.readmodel.source.postgres.reading import THINGS, read, read_from, source_of
from tests.support.effort import some_long
from util.errors import SourceError

DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("declared", "written", "dtype", "values"),
    some_long([
        ("smallint", "-32768 32767", pl.Int16(), [-32768, 32767]),
        ("integer", "-2147483648 2147483647", pl.Int32(), [-(2**31), 2**31 - 1]),
        ("bigint", "-9223372036854775808 9223372036854775807", pl.Int64(), [-(2**63), 2**63 - 1]),
        ("oid", "0 4294967295", pl.UInt32(), [0, 2**32 - 1]),
        ("boolean", "t f", pl.Boolean(), [True, False]),
        ("real", "1e-45 3.4028235e38 -Infinity", pl.Float32(), [1.401298464324817e-45, 3.4028234663852886e38, float("-inf")]),
        ("double precision", "5e-324 1.7976931348623157e308 0.30000000000000004", pl.Float64(), [5e-324, 1.7976931348623157e308, 0.1 + 0.2]),
        ("numeric(4,2)", "-99.99 99.99 0.00", pl.Decimal(4, 2), [Decimal("-99.99"), Decimal("99.99"), Decimal("0.00")]),
        ("numeric(37,37)", "0.9999999999999999999999999999999999999", pl.Decimal(37, 37), [Decimal("0.9999999999999999999999999999999999999")]),
        ("numeric(37)", "9999999999999999999999999999999999999", pl.Decimal(37, 0), [Decimal(10**37 - 1)]),
        ("numeric(38,1)", "-9999999999999999999999999999999999999.9", pl.Decimal(38, 1), [Decimal("-9999999999999999999999999999999999999.9")]),
        ("numeric(39,1)", "1.5", pl.String(), ["1.5"]),
        ("numeric(2,-3)", "99000", pl.String(), ["99000"]),
        ("numeric(2,5)", "0.00099", pl.String(), ["0.00099"]),
        ("numeric", "0.000000000000000000000000000000000000000005 NaN -Infinity", pl.String(), ["0.000000000000000000000000000000000000000005", "NaN", "-Infinity"]),
        ("money", "-$92,233,720,368,547,758.08 $0.01", pl.Decimal(20, 2), [Decimal("-92233720368547758.08"), Decimal("0.01")]),
        ("time", "00:00 24:00:00 23:59:59.999999", pl.Duration("us"), [timedelta(0), DAY, DAY - timedelta(microseconds=1)]),
        ("bytea", "\\x \\x00ff0a", pl.Binary(), [b"", b"\x00\xff\n"]),
        ("char(5)", "ab", pl.String(), ["ab   "]),
        ('"char"', "a", pl.String(), ["a"]),
        ("inet", "10.0.0.1 10.0.0.0/8", pl.String(), ["10.0.0.1", "10.0.0.0/8"]),
        ("uuid", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", pl.String(), ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"]),
        ("jsonb", '{"b":1.00,"a":null}', pl.String(), ['{"a": null, "b": 1.00}']),
        ("json", '{"b":1.00,"a":1}', pl.String(), ['{"b":1.00,"a":1}']),
        ("interval", "P1Y-2DT3H-4M5.678S", pl.String(), ["1 year -2 days +02:56:05.678"]),
        ("timetz", "24:00:00+05:30", pl.String(), ["24:00:00+05:30"]),
        ("int[]", "{1,NULL,3} [5:6]={1,2}", pl.String(), ["{1,NULL,3}", "[5:6]={1,2}"]),
        ("text[]", '{"a\tb","NULL",NULL,""}', pl.String(), ['{"a\tb","NULL",NULL,""}']),
        ("int4range", "[1,5) empty", pl.String(), ["[1,5)", "empty"]),
        ("bit(3)", "101", pl.String(), ["101"]),
        ("varbit", "1", pl.String(), ["1"]),
        ("pg_lsn", "16/B374D848", pl.String(), ["16/B374D848"]),
        ("point", "(0.1,0.30000000000000004)", pl.String(), ["(0.1,0.30000000000000004)"]),
        ("xml", "<a>&lt;</a>", pl.String(), ["<a>&lt;</a>"]),
        ("tsvector", "a:1", pl.String(), ["'a':1"]),
    ], 10),
)  # fmt: skip
def test_values_arrive_as_they_are(
    postgres: Database,
    declared: str,
    written: str,
    dtype: pl.DataType,
    values: list[Any],
) -> None:
    """At the ends of their types, with NULL, and with the dtype of the declaration."""
    words = [written] if declared in ("text[]", "jsonb") else written.split()
    postgres.run(f"CREATE TABLE things (id int, v {declared})")
    with postgres.connect() as connection:
        for number, word in enumerate([*words, None]):
            connection.execute("INSERT INTO things VALUES (%s, %s)", (number, word))
    reading = read(postgres)
    assert reading.frame.schema["v"] == dtype
    assert reading.frame["v"].to_list() == [*values, None]
    assert reading.replaced == 0


TEXTS = (
    "", " ", "null", "NULL", "\\N", "\\.", '"', '""', "'", "\\", "\t", "\n", "\r", "\r\n",
    "\x01", "\x01\x01", "\x01\t\x01\n", "\\x01", "a\tb", "naïve", "日本語", "👩‍💻", "\ufeff", "\x7f", "\x02",
    "\u2028", "#", ",", "x" * 1_000_000, '{"q": "' + '""' * 9 + '"}', "\x01" * 1000,
)  # fmt: skip


def test_any_text_survives(postgres: Database) -> None:
    """Delimiters, quotes, line ends and escapes of every format, and NULL beside empty."""
    postgres.run("CREATE TABLE things (id int, v text)")
    with postgres.connect() as connection:
        for number, text in enumerate([*TEXTS, None]):
            connection.execute("INSERT INTO things VALUES (%s, %s)", (number, text))
    frame = read(postgres).frame.sort("id")
    assert frame["v"].to_list() == [*TEXTS, None]


@pytest.mark.parametrize("text", some_long(["NULL", "''", "'\\.'", "E'\\n'", "' '"], 2))
def test_a_single_column_keeps_its_rows(postgres: Database, text: str) -> None:
    r"""A lone NULL is an empty line, and `\\.` would end a COPY of text."""
    postgres.run(
        "CREATE TABLE base (v text)",
        f"INSERT INTO base VALUES ({text}), ({text}), ('x')",
        "CREATE VIEW things AS SELECT 1 AS id, v FROM base",
    )
    expected = [v for (v,) in postgres.query("SELECT v FROM base")]
    assert read(postgres).frame["v"].to_list() == expected


@pytest.mark.parametrize(
    ("declared", "written", "value"),
    some_long([
        ("numeric(10,2)", "NaN", None),
        ("numeric(38,2)", "NaN", None),
        ("timestamptz", "infinity", None),
        ("timestamptz", "-infinity", None),
        ("timestamp", "0044-03-15 12:00 BC", None),
        ("timestamp", "294276-12-31 23:59:59.999999", None),
        ("date", "infinity", None),
        ("date", "4713-01-01 BC", None),
        ("date", "5874897-12-31", None),
        ("date", "10000-01-01", None),
        ("date", "9999-12-31", date(9999, 12, 31)),
        ("date", "0001-01-01", date(1, 1, 1)),
        ("timestamp", "0001-01-01 00:00", datetime(1, 1, 1, tzinfo=UTC)),
        ("timestamptz", "9999-12-31 23:59:59.999999+00", datetime(9999, 12, 31, 23, 59, 59, 999999, UTC)),
    ], 5),
)  # fmt: skip
def test_what_no_calendar_or_number_holds_becomes_null_and_is_counted(
    postgres: Database, declared: str, written: str, value: Any
) -> None:
    """Years outside 1 to 9999, infinity, and NaN among exact numbers."""
    postgres.run(
        f"CREATE TABLE things (id int, v {declared})",
        f"INSERT INTO things VALUES (1, '{written}'), (2, NULL)",
    )
    reading = read(postgres)
    assert reading.frame["v"].to_list() == [value, None]
    assert reading.replaced == (value is None)


def test_nan_is_not_confused_with_a_number(postgres: Database) -> None:
    """What stands for NaN on the way lies beyond every value of the column."""
    postgres.run(
        "CREATE TABLE things (id int, v numeric(3,2))",
        "INSERT INTO things VALUES (1, 9.99), (2, 'NaN'), (3, -9.99)",
    )
    reading = read(postgres)
    assert reading.frame["v"].to_list() == [Decimal("9.99"), None, Decimal("-9.99")]


def test_floats_keep_what_decimals_cannot_hold(postgres: Database) -> None:
    """NaN, both infinities and the negative zero."""
    postgres.run(
        "CREATE TABLE things (id int, a float4, b float8)",
        "INSERT INTO things VALUES (1, 'NaN', 'NaN'), (2, '-0', '-0'), (3, 'inf', '-inf')",
    )
    reading = read(postgres)
    assert list(map(repr, reading.frame["a"])) == ["nan", "-0.0", "inf"]
    assert list(map(repr, reading.frame["b"])) == ["nan", "-0.0", "-inf"]
    assert reading.replaced == 0


def test_domains_are_the_types_beneath_them(postgres: Database) -> None:
    """With the precision that the innermost declares."""
    postgres.run(
        "CREATE DOMAIN price AS numeric(10,2) CHECK (VALUE > 0)",
        "CREATE DOMAIN net AS price",
        "CREATE DOMAIN word AS text",
        "CREATE TABLE things (id int, a price, b net, c word)",
        "INSERT INTO things VALUES (1, 1.5, 2, 'w'), (2, NULL, NULL, NULL)",
    )
    frame = read(postgres).frame
    assert frame.schema == {
        "id": pl.Int32, "a": pl.Decimal(10, 2), "b": pl.Decimal(10, 2), "c": pl.String,
    }  # fmt: skip
    assert frame.row(0) == (1, Decimal("1.50"), Decimal("2.00"), "w")


def test_user_defined_types_travel_as_text(postgres: Database) -> None:
    """Also where one is named like a type of the system."""
    postgres.run(
        "CREATE SCHEMA own",
        "CREATE TYPE own.int4 AS ENUM ('1', 'two')",
        "CREATE TYPE pair AS (a int, b text)",
        "CREATE EXTENSION citext; CREATE EXTENSION hstore; CREATE EXTENSION ltree",
        "CREATE TABLE things (id int, a own.int4, b pair, c citext, d hstore, e ltree, "
        "f own.int4[], g pair[])",
        "INSERT INTO things VALUES (1, 'two', (1, 'x,\"y'), 'ABC', 'a=>NULL', 'a.b', "
        "'{1,two}', ARRAY[(2,NULL)::pair])",
    )
    frame = read(postgres).frame
    assert set(frame.drop("id").dtypes) == {pl.String}
    assert frame.row(0)[1:] == (
        "two", '(1,"x,""y")', "ABC", '"a"=>NULL', "a.b", "{1,two}", '{"(2,)"}',
    )  # fmt: skip


@pytest.mark.parametrize("scale", [0, 2, 3])
def test_money_has_the_digits_of_its_currency(scale: int) -> None:
    """Yen have none, dinars three: the server says how many, and nothing is rounded."""
    made = column(Attribute("m", "money", money_scale=scale))
    assert made.dtype == pl.Decimal(20, scale)
    assert made.sql == f'"m"::numeric(20,{scale})'


def test_an_unknown_type_of_the_system_is_text() -> None:
    """The next version's types need no change here."""
    assert column(Attribute("v", "int16")).dtype == pl.String()


def test_every_char_is_ascii_on_servers_that_send_its_byte(postgres: Database) -> None:
    r"""The expression for servers before 15 gives what later ones write: ``\303``."""
    attribute = Attribute("v", "char")
    expression = column(attribute, 140_000).sql
    assert column(attribute).sql == '"v"'
    postgres.run(
        'CREATE TABLE things (id int, v "char")',
        'INSERT INTO things SELECT i, i::"char" FROM generate_series(-128, 127) i',
        "INSERT INTO things VALUES (128, NULL)",
    )
    rows = postgres.query(f"SELECT v::int4, {expression} FROM things ORDER BY id")
    expected = {None: None, 0: ""} | {n: chr(n) for n in range(1, 128)}
    expected |= {n: f"\\{n + 256:03o}" for n in range(-128, 0)}
    assert dict(rows) == expected


def test_rows_that_cannot_be_decoded_say_so(
    postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if the server has sent all of them; the session can be used on."""
    postgres.run(
        "CREATE TABLE things (id int, v text)", "INSERT INTO things VALUES (1, 'x')"
    )
    with source_of(postgres).view([THINGS]) as view:
        assert isinstance(view, PostgresView)
        assert len(read_from(view).frame) == 1
        broken = SourceError("things cannot be read: invalid utf-8 sequence")
        with monkeypatch.context() as patched:
            patched.setattr(
                "readmodel.source.postgres.source.decode", Mock(side_effect=broken)
            )
            with pytest.raises(SourceError, match="invalid utf-8") as caught:
                read_from(view)
        assert not isinstance(caught.value, PassingFault)
        assert len(read_from(view).frame) == 1
