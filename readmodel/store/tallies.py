"""Tallies: how often each combination of some columns occurs in a part.

Breakdowns count rows by columns that have few values: a million page views have six routes
and some twenty sources. Counting such strings takes a fifth of the time of all statistics,
so the updater counts them once per part; see docs/decisions/tallies.md. They are ordinary
Parquet files, with these columns and ``count`` (UInt32).

The tally of votes has no such columns, but sums: of each column in `SUMMED`, and as
``duration_count`` (UInt32) how many of them are not null.
"""

import io
from collections.abc import Collection, Mapping
from typing import Final

import polars as pl

COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "fpp_estimations": ("estimation",),
    "fpp_events": ("event",),
    "fpp_page_views": ("route", "source"),
    "fpp_users": ("device", "os", "browser", "country", "region", "city"),
    "fpp_votes": (),
}
"""Table -> the columns whose combinations are counted."""

SUMMED: Final[Mapping[str, tuple[str, ...]]] = {
    "fpp_votes": (
        "amount_of_estimations",
        "amount_of_spectators",
        "duration",
        "avg_estimation",
        "min_estimation",
        "max_estimation",
    )
}
"""Table -> the columns that are added up."""

SUMMABLE_DIGITS: Final = 28
"""Digits of decimals of which 10 billion have a sum within a decimal's 38."""

COUNT: Final = "count"

SLICE_ROWS: Final = 131_072
"""So many rows are counted at once: while they are, each has a copy of its values."""


def version() -> str:
    """The version of the format."""
    return "1"


def applies_to(table: str, columns: Collection[str]) -> bool:
    """True if *table* has tallies and *columns* include all that they need."""
    needed = {*COLUMNS.get(table, ()), *SUMMED.get(table, ())}
    return table in COLUMNS and needed <= set(columns)


def are_exact(table: str, columns: pl.Schema) -> bool:
    """True if sums of sums equal the sum of all: not if they are of floats."""
    return all(_sum_type(columns[name]) for name in SUMMED.get(table, ()))


def _sum_type(dtype: pl.DataType) -> pl.Decimal | None:
    """A decimal that no sum of *dtype* exceeds; None if there is none."""
    if dtype.is_integer():
        return pl.Decimal(38, 0)
    if isinstance(dtype, pl.Decimal) and dtype.precision <= SUMMABLE_DIGITS:
        return pl.Decimal(38, dtype.scale)
    return None


def schema(table: str, columns: pl.Schema) -> pl.Schema:
    """The schema of the tallies of *table*, which has *columns*."""
    counted = {name: columns[name] for name in COLUMNS[table]}
    sums = {
        name: _sum_type(columns[name]) or pl.Null() for name in SUMMED.get(table, ())
    }
    counts = {f"{name}_{COUNT}": pl.UInt32() for name in sums}
    return pl.Schema({**counted, COUNT: pl.UInt32(), **sums, **counts})


def derive(rows: pl.LazyFrame, table: str) -> pl.LazyFrame:
    """Count *rows* per combination of the columns of *table*, in their order.

    Columns that cannot be added up exactly have null for their sum.
    """
    columns, summed = COLUMNS[table], SUMMED.get(table, ())
    dtypes = rows.collect_schema()
    figures = [
        pl.len().alias(COUNT),
        *(_sum(name, dtypes[name]) for name in summed),
        *(pl.col(name).count().alias(f"{name}_{COUNT}") for name in summed),
    ]
    if not columns:
        return rows.select(figures)
    return rows.group_by(columns).agg(figures).sort(columns)


def _sum(name: str, dtype: pl.DataType) -> pl.Expr:
    exact = _sum_type(dtype)
    return pl.col(name).cast(exact).sum() if exact else pl.lit(None).alias(name)


def encode(rows: pl.LazyFrame, table: str) -> bytes:
    """The file with the tally of *rows*."""
    file = io.BytesIO()
    _tally(rows, table).write_parquet(file)
    return file.getvalue()


def _tally(rows: pl.LazyFrame, table: str) -> pl.DataFrame:
    """`derive` of *rows*, slice by slice unless they are only added up."""
    columns = COLUMNS[table]
    if not columns:
        return derive(rows, table).collect()
    height = rows.select(pl.len()).collect().item()
    slices = pl.concat(
        derive(rows.slice(start, SLICE_ROWS), table).collect()
        for start in range(0, max(height, 1), SLICE_ROWS)
    )
    return slices.group_by(columns).agg(pl.col(COUNT).sum()).sort(columns)
