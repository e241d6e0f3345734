"""Rows per quarter of an hour: how often something happened in a part, and when.

A series counts rows per day of some time zone. Days and hours of all zones begin on a
quarter of an hour in UTC, as ranges do, so counts per quarter add up to each of them. There
are far fewer quarters than rows; see docs/decisions/tallies.md. The files are ordinary
Parquet files with the columns in `COLUMNS`, the time being the begin of its quarter, and
``count`` (UInt32). A time in ``created_at`` of 09:14:59 is counted at 09:00.

Times before `WHOLE_SINCE` stay as they are: Liberia was 44:30 minutes behind UTC until
1972, and Newfoundland put its clocks back at 00:01, to the day before, until 2010.
"""

import io
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Final

import polars as pl

COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "fpp_estimations": ("room_id", "estimated_at"),
    "fpp_page_views": ("viewed_at",),
    "fpp_users": ("created_at",),
    "fpp_votes": ("voted_at",),
}
"""Table -> what rows are counted by; last the time, of which there is its quarter."""

COUNT: Final = "count"
QUARTER_MICROSECONDS: Final = 15 * 60 * 1_000_000
WHOLE_SINCE: Final = datetime(2012, 1, 1, tzinfo=UTC)
"""Since when no day and no hour of any time zone begins within a quarter."""

COMPRESSION: Final = "uncompressed"


def version() -> str:
    """The version of the format."""
    return "1"


def applies_to(table: str, columns: Collection[str]) -> bool:
    """True if rows of *table* are counted and *columns* include all that this needs."""
    return table in COLUMNS and set(COLUMNS[table]) <= set(columns)


def schema(table: str, columns: pl.Schema) -> pl.Schema:
    """The schema of the quarters of *table*, which has *columns*."""
    counted = {name: columns[name] for name in COLUMNS[table]}
    return pl.Schema({**counted, COUNT: pl.UInt32()})


def derive(rows: pl.LazyFrame, table: str) -> pl.LazyFrame:
    """Count *rows* by the columns of *table*, in their order. A null time stays null."""
    *keys, at = COLUMNS[table]
    return (
        rows.select(*keys, begin_of_quarter(at))
        .group_by(*keys, at)
        .agg(pl.len().alias(COUNT))
        .sort(*keys, at)
    )


def begin_of_quarter(at: str) -> pl.Expr:
    """The begin of the quarter of an hour of a Datetime[us, UTC] column.

    What is before `WHOLE_SINCE` stays as it is.
    """
    begin = pl.col(at).to_physical() // QUARTER_MICROSECONDS * QUARTER_MICROSECONDS
    is_whole = pl.col(at) >= WHOLE_SINCE
    return pl.when(is_whole).then(begin.cast(pl.Datetime("us", "UTC"))).otherwise(at)


def encode(rows: pl.LazyFrame, table: str) -> bytes:
    """The file with the quarters of *rows*."""
    file = io.BytesIO()
    derive(rows, table).collect().write_parquet(file, compression=COMPRESSION)
    return file.getvalue()
