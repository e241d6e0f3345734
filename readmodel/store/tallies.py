"""Tallies: how often each combination of some columns occurs in a part.

Breakdowns count rows by columns that have few values: a million page views have six routes
and some twenty sources. Counting such strings takes a fifth of the time of all statistics,
so the updater counts them once per part; see docs/decisions/tallies.md. They are ordinary
Parquet files, with these columns and ``count`` (UInt32).
"""

import io
from collections.abc import Collection, Mapping
from typing import Final

import polars as pl

COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "fpp_events": ("event",),
    "fpp_page_views": ("route", "source"),
    "fpp_users": ("device", "os", "browser", "country", "region", "city"),
}
"""Table -> the columns whose combinations are counted."""

COUNT: Final = "count"


def version() -> str:
    """The version of the format."""
    return "1"


def applies_to(table: str, columns: Collection[str]) -> bool:
    """True if *table* has tallies and *columns* include all that they need."""
    return table in COLUMNS and set(COLUMNS[table]) <= set(columns)


def schema(table: str, columns: pl.Schema) -> pl.Schema:
    """The schema of the tallies of *table*, which has *columns*."""
    counted = {name: columns[name] for name in COLUMNS[table]}
    return pl.Schema({**counted, COUNT: pl.UInt32()})


def derive(rows: pl.LazyFrame, table: str) -> pl.LazyFrame:
    """Count *rows* per combination of the columns of *table*, in their order."""
    columns = COLUMNS[table]
    return rows.group_by(columns).agg(pl.len().alias(COUNT)).sort(columns)


def encode(rows: pl.LazyFrame, table: str) -> bytes:
    """The file with the tally of *rows*."""
    file = io.BytesIO()
    derive(rows, table).collect().write_parquet(file)
    return file.getvalue()
