"""Packed rows: many rows as one text that a single read parses into columns.

A driver that hands over Python objects spends most of its time making them. So the
database packs rows into one text, and Polars parses it with the declared schema:
fields are separated by tabs, each row ends in a line feed, NULL is an empty field,
text stands in quotes (doubled within), an empty text is two quotes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import polars as pl

from readmodel.dtypes import INSTANT
from readmodel.tables import Table
from util.errors import SourceError

SEPARATOR = "\t"
END = "\n"
# A character that hardly any text holds: MariaDB's REPLACE takes time that grows with
# the square of what it finds, so quotes in JSON would cost seconds a document.
QUOTE = "\x01"


def _same(field: pl.Expr) -> pl.Expr:
    return field


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a source's table.

    `sql` yields the packed field, and never NULL. `wire` is the dtype it is parsed
    as, `decode` makes the value of it, and `zero` is the parsed value that stands
    for a zero date, which no calendar holds: it becomes NULL, and is counted.
    """

    name: str
    dtype: pl.DataType
    sql: str
    wire: pl.DataType
    decode: Callable[[pl.Expr], pl.Expr] = _same
    zero: int | str | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows as the read model holds them, and how many zero dates became NULL."""

    frame: pl.DataFrame
    zero_dates: int = 0


class Truncated(ValueError):
    """The text does not hold the rows that it should."""


def is_whole(text: bytes | bytearray | None) -> bool:
    """Whether *text* ends where a row ends: with a line feed, and no quote is open."""
    return (
        text is not None and text.endswith(b"\n") and not text.count(QUOTE.encode()) % 2
    )


def decode(table: Table, text: bytes, columns: Sequence[Column], rows: int) -> Batch:
    """Parse the *rows* packed rows of *text*.

    Raises Truncated when *text* ends inside a row or holds fewer rows, and SourceError
    when a value does not fit its column's declared type.
    """
    if text and not is_whole(text):
        raise Truncated(f"{len(text)} bytes end inside a row")
    try:
        raw = _parse(text, columns)
        if raw.height != rows:
            raise Truncated(f"{raw.height} rows arrived instead of {rows}")
        return Batch(raw.select(map(_decoded, columns)), _zero_dates(raw, columns))
    except pl.exceptions.PolarsError as error:
        reason = str(error).partition("\n")[0]
        raise SourceError(f"{table.name} cannot be read: {reason}") from error


def _parse(text: bytes, columns: Sequence[Column]) -> pl.DataFrame:
    return pl.read_csv(
        text,
        has_header=False,
        separator=SEPARATOR,
        quote_char=QUOTE,
        schema={column.name: column.wire for column in columns},
        raise_if_empty=False,
    )


def _decoded(column: Column) -> pl.Expr:
    field = pl.col(column.name)
    if column.zero is not None:
        field = pl.when(field != column.zero).then(field)
    return column.decode(field).cast(column.dtype).alias(column.name)


def _zero_dates(raw: pl.DataFrame, columns: Sequence[Column]) -> int:
    dated = [column for column in columns if column.zero is not None]
    zeros = raw.select((pl.col(c.name) == c.zero).sum() for c in dated)
    return sum(zeros.row(0)) if dated else 0


def instant_from_micros(field: pl.Expr) -> pl.Expr:
    """UTC instants of microseconds since 1970."""
    return field.cast(INSTANT)


def instant_from_seconds(field: pl.Expr) -> pl.Expr:
    """UTC instants of seconds since 1970."""
    return (field * 1_000_000).cast(INSTANT)


def date_from_days(field: pl.Expr) -> pl.Expr:
    """Dates of MySQL's TO_DAYS."""
    return (field - _DAYS_TO_1970).cast(pl.Int32).cast(pl.Date)


def duration_from_clock(field: pl.Expr) -> pl.Expr:
    """Durations of a TIME as the signed number HHMMSSffffff."""
    size = field.abs()
    seconds = size // 10**10 * 3600 + size // 10**8 % 100 * 60 + size // 10**6 % 100
    micros = seconds * 1_000_000 + size % 10**6
    return (micros * field.sign()).cast(pl.Duration("us"))


def boolean_from_number(field: pl.Expr) -> pl.Expr:
    """MySQL's own reading: whatever is not zero is true."""
    return field != 0


def binary_from_hex(field: pl.Expr) -> pl.Expr:
    return field.str.decode("hex")


_DAYS_TO_1970 = 719_528
