"""A table answer: rows, the meaning of each column, and where the rows come from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import polars as pl

from calculations.period import DateRange
from sqlfiles.definition import JSON_UNIT
from util.json_types import JsonMapping

CHUNK_ROWS: Final = 5_000
"""Rows that are encoded at once."""


@dataclass(frozen=True, slots=True)
class TableColumn:
    """The meaning of a column, and the unit of its values; both may be empty."""

    name: str
    meaning: str = ""
    unit: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class TableAnswer:
    """Rows to be sent in any format.

    Attributes:
        title: the kind of rows, such as ``historical``; names files and sheets.
        rows: a frame, or a plan whose rows may be more than fit into memory.
        columns: the meanings, at least of the columns that need one.
        description: the meaning of a row, in one or two sentences.
        range: the days that the rows cover; None for all of them.
        zone: IANA name of the time zone in which days begin.
        data_updated_at: the instant (UTC) of the data; None if unknown.
        truncated: True if a limit left out further rows.
        next: URL of the page after these rows; None if they are the last.
        details: further members beside the rows, with JSON's types.
    """

    title: str
    rows: pl.DataFrame | pl.LazyFrame
    columns: Sequence[TableColumn] = ()
    description: str = ""
    range: DateRange | None = None
    zone: str = "UTC"
    data_updated_at: datetime | None = None
    truncated: bool = False
    next: str | None = None
    details: JsonMapping = field(default_factory=dict)

    def batches(self) -> Iterator[pl.DataFrame]:
        """All rows in order, at most CHUNK_ROWS at a time; none for an empty table.

        Raises IncompleteRows, after some of the rows, if the others cannot be read.
        """
        if isinstance(self.rows, pl.DataFrame):
            return self.rows.iter_slices(CHUNK_ROWS)
        return plan_batches(self.rows)

    def schema(self) -> pl.Schema:
        """Column names and dtypes; reads no rows."""
        return self.rows.collect_schema()

    @property
    def json_columns(self) -> frozenset[str]:
        """Columns whose texts are JSON; they are values in answers in JSON."""
        return frozenset(
            column.name for column in self.columns if column.unit == JSON_UNIT
        )

    def empty(self) -> pl.DataFrame:
        """A frame with the columns and without rows."""
        return self.schema().to_frame()

    def definitions(self) -> list[dict[str, str]]:
        """Per column of the rows: name, type, unit and meaning."""
        known = {column.name: column for column in self.columns}
        return [
            {
                "name": name,
                "type": type_name(dtype),
                "unit": known[name].unit if name in known else "",
                "meaning": known[name].meaning if name in known else "",
            }
            for name, dtype in self.schema().items()
        ]

    def context(self) -> JsonMapping:
        """The members beside the rows, with JSON's types."""
        days, at = self.range, self.data_updated_at
        return {
            "title": self.title,
            "description": self.description,
            "columns": self.definitions(),
            "range": days and {"from": str(days.first), "to": str(days.last)},
            "zone": self.zone,
            "data_updated_at": at and iso_instant(at),
            **self.details,
        }


class IncompleteRows(Exception):
    """A plan gave fewer rows than it has."""


def plan_batches(plan: pl.LazyFrame) -> Iterator[pl.DataFrame]:
    """The rows of *plan* in order, at most CHUNK_ROWS at a time, in bounded memory.

    Raises IncompleteRows if a file is damaged: Polars then ends the batches early, as
    if these were all rows.
    """
    expected, seen = count_rows(plan), 0
    for batch in plan.collect_batches(
        chunk_size=CHUNK_ROWS, maintain_order=True, engine=pl.StreamingEngine()
    ):
        seen += len(batch)
        yield from batch.iter_slices(CHUNK_ROWS)
    if seen != expected:
        raise IncompleteRows(f"only {seen:,} of {expected:,} rows could be read")


def count_rows(plan: pl.LazyFrame) -> int:
    """The number of rows of *plan*; of a file from its footer."""
    return int(plan.select(pl.len()).collect().item())


_TYPE_NAMES: Final = (
    (pl.Boolean, "boolean"),
    (pl.String, "text"),
    (pl.Categorical, "text"),
    (pl.Enum, "text"),
    (pl.Date, "date"),
    (pl.Datetime, "timestamp"),
    (pl.Time, "time"),
    (pl.Duration, "duration"),
    (pl.Binary, "binary"),
    (pl.List, "list"),
    (pl.Array, "list"),
    (pl.Struct, "object"),
)


def type_name(dtype: pl.DataType) -> str:
    """The published name of a dtype, such as integer, timestamp or decimal(38,2)."""
    if isinstance(dtype, pl.Decimal):
        return f"decimal({dtype.precision},{dtype.scale})"
    if dtype.is_integer():
        return "integer"
    if dtype.is_float():
        return "number"
    return next((name for kind, name in _TYPE_NAMES if isinstance(dtype, kind)), "null")


def iso_instant(at: datetime) -> str:
    """An instant (UTC) in ISO 8601, such as 2026-11-21T23:10:00Z."""
    return at.isoformat().replace("+00:00", "Z")
