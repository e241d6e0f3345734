"""Values that do not fit the declared type of their column: SQLite stores any value."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import batched
from typing import Any, Final

import polars as pl

from readmodel.source.protocol import PassingFault
from readmodel.source.sqlite.packed import packed_row, repair
from readmodel.source.sqlite.sql import identifier
from readmodel.source.wire import Column, decode
from readmodel.tables import Table
from util.errors import SourceError

_ROWS_AT_ONCE: Final = 40_000


def misfit(
    query: Callable[[str], Iterator[tuple[Any, ...]]],
    table: Table,
    columns: Sequence[Column],
) -> SourceError | None:
    """An error that names the first value that does not fit its declared type."""
    key, name = identifier(table.key), identifier(table.name)
    for column in columns:
        value = identifier(column.name)
        statement = (
            f"SELECT {packed_row([column])}, quote({key}), substr(quote({value}), 1, 40) "
            f"FROM {name}"
        )
        for rows in batched(query(statement), _ROWS_AT_ONCE):
            if row := _first_misfit(table, column, rows):
                return SourceError(
                    f"{table.name}.{column.name} has a value that is not "
                    f"{_kind(column.dtype)} where {table.key} is "
                    f"{_shown(row[1])}: {_shown(row[2])}"
                )
    return None


def changing(table: Table) -> PassingFault:
    """An error for a table that is read twice in one transaction and differs."""
    return PassingFault(f"{table.name} gives other rows each time it is read")


def _first_misfit(
    table: Table, column: Column, rows: Sequence[tuple[bytes, ...]]
) -> tuple[bytes, ...] | None:
    """The first of *rows* whose first field, a packed row, cannot be decoded."""
    try:
        text = b"".join(row[0] for row in rows)
        decode(table, repair(text)[0], [column], len(rows))
    except SourceError:
        if len(rows) == 1:
            return rows[0]
        middle = len(rows) // 2
        first, second = rows[:middle], rows[middle:]
        return _first_misfit(table, column, first) or _first_misfit(
            table, column, second
        )
    return None


def _shown(stored: bytes) -> str:
    """A value as SQL writes it, on one line."""
    return repr(stored.decode(errors="replace"))[1:-1]


def _kind(dtype: pl.DataType) -> str:
    """What values of *dtype* are called in messages: "an integer"."""
    if isinstance(dtype, pl.Decimal):
        digits = f"{dtype.precision} digits, {dtype.scale} of them after the point"
        return f"a number of at most {digits}"
    return _KINDS.get(dtype.base_type(), "a text")


_KINDS: Mapping[type[pl.DataType], str] = {
    pl.Boolean: "0 or 1",
    pl.Int64: "an integer",
    pl.Float64: "a number",
    pl.Date: "a date (YYYY-MM-DD)",
    pl.Datetime: "a time in UTC (YYYY-MM-DD HH:MM:SS)",
}
