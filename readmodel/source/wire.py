"""Packed rows: many rows as one text that a single read parses into columns.

A driver that hands over Python objects spends most of its time making them. So the
database packs rows into one text, and Polars parses it with the declared schema:
fields are separated by tabs, each row ends in a line feed, NULL is an empty field,
text stands in quotes (doubled within), an empty text is two quotes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from readmodel.dtypes import INSTANT
from readmodel.tables import Table
from util.columns import column_named
from util.errors import SourceError

SEPARATOR = "\t"
ROW_END = "\n"
# A character that hardly any text contains: the time of MariaDB's REPLACE grows with
# the square of its matches, so quotes in JSON would cost seconds a document.
QUOTE = "\x01"


def _unchanged(field: pl.Expr) -> pl.Expr:
    return field


type Row = tuple[Any, ...]
"""A row of a result, its values as the driver returns them."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a source's table, and how its values are packed and parsed.

    `sql` is an expression for the packed field, never NULL. The field is parsed as
    `wire_dtype`, and `decode` turns the parsed values into `dtype`. `null_marker` is
    the parsed value of a zero date, such as 0000-00-00, which no calendar has: it
    becomes null and is counted.

    For sources that digest a row without packing it, `digest_sql` is an expression that
    differs where the values differ, never NULL. `payload_sql` is an expression for the
    value's bytes where these travel beside the packed rows; the field is their length.
    `inline_sql` is an expression for the field where texts stand in the rows themselves.
    No value is NULL in the source unless `may_be_null`.
    `seconds_sql` is an expression for the seconds since the year 0, of a time that may
    be a key; NULL where the mirrored value is null.
    `array_sql` is one for an element of an array of the column's values, and `proof_sql`
    for integers that prove the element.
    """

    name: str
    dtype: pl.DataType
    sql: str
    wire_dtype: pl.DataType
    decode: Callable[[pl.Expr], pl.Expr] = _unchanged
    null_marker: int | str | None = None
    digest_sql: str = ""
    payload_sql: str | None = None
    inline_sql: str = ""
    may_be_null: bool = True
    seconds_sql: str = ""
    array_sql: str = ""
    proof_sql: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Batch:
    """Decoded rows: a column per `Column`, and how many values could not be kept.

    `zero_dates` counts the dates that no calendar has, which became null, and
    `repaired_texts` the texts with characters that Unicode does not have, which became
    U+FFFD.
    """

    frame: pl.DataFrame
    zero_dates: int = 0
    repaired_texts: int = 0


class Truncated(ValueError):
    """A packed text ends too early."""


def is_whole(text: bytes | bytearray | None) -> bool:
    """Whether *text* ends at the end of a row: in a line feed, outside of quotes."""
    return (
        text is not None and text.endswith(b"\n") and not text.count(QUOTE.encode()) % 2
    )


def decode(table: Table, text: bytes, columns: Sequence[Column], rows: int) -> Batch:
    """Parse *text*, which must consist of *rows* packed rows.

    Raises Truncated when *text* ends inside a row or has fewer rows, and SourceError
    when a value does not fit the declared type of its column.
    """
    if text and not is_whole(text):
        raise Truncated(f"{len(text)} bytes end inside a row")
    try:
        parsed = parse_fields(text, columns, QUOTE)
        if parsed.height != rows:
            raise Truncated(f"{parsed.height} rows arrived instead of {rows}")
        frame = parsed.select(map(_decoded, columns))
        return Batch(frame, _count_zero_dates(parsed, columns))
    except pl.exceptions.PolarsError as error:
        reason = str(error).partition("\n")[0]
        raise SourceError(f"{table.name} cannot be read: {reason}") from error


def parse_fields(
    text: bytes, columns: Sequence[Column], quote_char: str | None
) -> pl.DataFrame:
    """Split rows into fields of their wire dtypes. Raises PolarsError."""
    return pl.read_csv(
        text,
        has_header=False,
        separator=SEPARATOR,
        quote_char=quote_char,
        schema={column.name: column.wire_dtype for column in columns},
        raise_if_empty=False,
    )


def _decoded(column: Column) -> pl.Expr:
    field = column_named(column.name)
    if column.null_marker is not None:
        field = pl.when(field != column.null_marker).then(field)
    return column.decode(field).cast(column.dtype).alias(column.name)


def _count_zero_dates(parsed: pl.DataFrame, columns: Sequence[Column]) -> int:
    dated = [column for column in columns if column.null_marker is not None]
    counts = parsed.select((column_named(c.name) == c.null_marker).sum() for c in dated)
    return sum(counts.row(0)) if dated else 0


def instant_from_micros(field: pl.Expr) -> pl.Expr:
    """Convert microseconds since 1970 to UTC instants."""
    return field.cast(INSTANT)


def instant_from_seconds(field: pl.Expr) -> pl.Expr:
    """Convert seconds since 1970 to UTC instants."""
    return (field * 1_000_000).cast(INSTANT)


def date_from_digits(field: pl.Expr) -> pl.Expr:
    """Convert YYYYMMDD to dates: 20260102 is 2026-01-02.

    Null for dates that no calendar has: 0, 20200010, 20230231, and those of the year 0.
    """
    year, month, day = field // 10_000, field // 100 % 100, field % 100
    first = pl.date(year.clip(lower_bound=1), month.clip(1, 12), 1)
    found = (first.to_physical() + day - 1).cast(pl.Int32).cast(pl.Date)
    exists = (year > 0) & month.is_between(1, 12) & (found.dt.day() == day)
    return pl.when(exists).then(found)


def instant_from_digits(field: pl.Expr) -> pl.Expr:
    """Convert YYYYMMDDhhmmss to UTC instants, and to null as `date_from_digits`."""
    seconds = field // 10_000 % 100 * 3600 + field // 100 % 100 * 60 + field % 100
    return _instant(field // 1_000_000, seconds * 1_000_000)


def instant_from_long_digits(field: pl.Expr) -> pl.Expr:
    """Convert YYYYMMDDhhmmssffffff to UTC instants, as `instant_from_digits`."""
    micros, clock = field % 1_000_000, field // 1_000_000 % 1_000_000
    seconds = clock // 10_000 * 3600 + clock // 100 % 100 * 60 + clock % 100
    return _instant(field // 10**12, seconds * 1_000_000 + micros)


def _instant(day: pl.Expr, micros: pl.Expr) -> pl.Expr:
    days = date_from_digits(day.cast(pl.Int32)).to_physical().cast(pl.Int64)
    return (days * 86_400_000_000 + micros.cast(pl.Int64)).cast(INSTANT)


def duration_from_clock(field: pl.Expr) -> pl.Expr:
    """Convert a TIME, packed as ±HHMMSSffffff, to durations: -10000000 is -10 s."""
    size = field.abs()
    seconds = size // 10**10 * 3600 + size // 10**8 % 100 * 60 + size // 10**6 % 100
    micros = seconds * 1_000_000 + size % 10**6
    return (micros * field.sign()).cast(pl.Duration("us"))


def boolean_from_number(field: pl.Expr) -> pl.Expr:
    """Convert numbers to booleans as MySQL does: all but 0 are true."""
    return field != 0


def binary_from_hex(field: pl.Expr) -> pl.Expr:
    """Convert hexadecimal text to bytes: "ff22" is two bytes."""
    return field.str.decode("hex")


def is_utf8(text: bytes) -> bool:
    """True if *text* can be decoded as it is."""
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
