"""The few shapes every answer is built from: hstack, section, series, count_by, mean."""

import polars as pl

UNKNOWN = "Unknown"
"""Where a name is missing, this stands in its place."""

TOP_GROUPS = 40
"""How many of the top groups a long breakdown keeps."""


def hstack(*rows: pl.LazyFrame) -> pl.LazyFrame:
    """Join one-row frames side by side: still one row."""
    return pl.concat(rows, how="horizontal")


def as_struct(name: str, row: pl.LazyFrame) -> pl.LazyFrame:
    """Fold a one-row frame into one struct column called *name*."""
    return row.select(pl.struct(pl.all()).alias(name))


def as_list(name: str, rows: pl.LazyFrame) -> pl.LazyFrame:
    """Fold all rows, in order, into one list column called *name*; no rows, no items."""
    return rows.select(pl.struct(pl.all()).implode().alias(name))


def rows_of(column: pl.Series) -> pl.DataFrame:
    """The rows that `series` folded into *column*, once it is collected."""
    rows: pl.Series = column[0]
    return rows.struct.unnest()


def count_by(rows: pl.LazyFrame, key: str) -> pl.LazyFrame:
    """Count rows per *key*: columns ``key`` (as it is) and ``count`` (UInt32), no order."""
    return rows.group_by(key=pl.col(key)).agg(count=pl.len())


def regroup(counts: pl.LazyFrame, key: str | pl.Expr) -> pl.LazyFrame:
    """Add up a count_by of finer groups per *key*: columns ``key`` and ``count``."""
    return counts.group_by(key=key).agg(pl.col("count").sum())


def count_by_name(counts: pl.LazyFrame, key: str = "key") -> pl.LazyFrame:
    """`regroup`, with the name ``UNKNOWN`` (String) in the place of missing keys."""
    return regroup(counts, pl.col(key).cast(pl.String).fill_null(UNKNOWN))


def top(counts: pl.LazyFrame, *keys: str, limit: int | None = None) -> pl.LazyFrame:
    """Sort by ``count``, top first, ties by *keys* with nulls last; keep *limit*."""
    by = keys or ("key",)
    ordered = counts.sort(
        "count", *by, descending=[True, *(False for _ in by)], nulls_last=True
    )
    return ordered if limit is None else ordered.head(limit)


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
