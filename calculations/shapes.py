"""The few shapes every answer is built from: beside, section, series, tally, mean."""

import polars as pl

UNKNOWN = "Unknown"
"""Where a name is missing, this stands in its place."""

TOP = 40
"""How many of the largest groups a long breakdown keeps."""


def beside(*rows: pl.LazyFrame) -> pl.LazyFrame:
    """Join one-row frames side by side: still one row."""
    return pl.concat(rows, how="horizontal")


def section(name: str, row: pl.LazyFrame) -> pl.LazyFrame:
    """Fold a one-row frame into one struct column called *name*."""
    return row.select(pl.struct(pl.all()).alias(name))


def series(name: str, rows: pl.LazyFrame) -> pl.LazyFrame:
    """Fold all rows, in order, into one list column called *name*; no rows, no items."""
    return rows.select(pl.struct(pl.all()).implode().alias(name))


def unfolded(column: pl.Series) -> pl.DataFrame:
    """The rows that `series` folded into *column*, once it is collected."""
    rows: pl.Series = column[0]
    return rows.struct.unnest()


def tally(rows: pl.LazyFrame, key: str) -> pl.LazyFrame:
    """Count rows per *key*: columns ``key`` (as it is) and ``count`` (UInt32), no order."""
    return rows.group_by(key=pl.col(key)).agg(count=pl.len())


def regrouped(counts: pl.LazyFrame, key: str | pl.Expr) -> pl.LazyFrame:
    """Add up a tally of finer groups per *key*: columns ``key`` and ``count``."""
    return counts.group_by(key=key).agg(pl.col("count").sum())


def named(counts: pl.LazyFrame, key: str = "key") -> pl.LazyFrame:
    """`regrouped`, with the name ``UNKNOWN`` (String) in the place of missing keys."""
    return regrouped(counts, pl.col(key).cast(pl.String).fill_null(UNKNOWN))


def largest(counts: pl.LazyFrame, *keys: str, top: int | None = None) -> pl.LazyFrame:
    """Sort by ``count``, largest first, ties by *keys* with nulls last; keep *top*."""
    by = keys or ("key",)
    ordered = counts.sort(
        "count", *by, descending=[True, *(False for _ in by)], nulls_last=True
    )
    return ordered if top is None else ordered.head(top)


def total(column: str) -> pl.Expr:
    """Sum of an integer column as Int64; 0 without rows."""
    return pl.col(column).cast(pl.Int64).sum()


def mean(column: str) -> pl.Expr:
    """Mean (Float64) of the values that are there; 0 without any.

    Unlike Expr.mean, which adds decimals as floats, the sum is exact: times one, any
    integer is an Int64 and any decimal a Decimal(38).
    """
    values = pl.col(column) * pl.lit(1, dtype=pl.Int64)
    return ratio(values.sum().cast(pl.Float64), pl.col(column).count())


def ratio(part: pl.Expr, whole: pl.Expr) -> pl.Expr:
    """*part* / *whole* (Float64); 0 where the whole is 0."""
    return pl.when(whole != 0).then(part / whole).otherwise(0.0)
