"""Building blocks of every plan: one-row frames, counts per group, sums and means."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

import polars as pl

UNKNOWN = "Unknown"
"""Replaces a missing name."""

TOP_GROUPS = 40
"""Number of groups in a breakdown that is limited."""


def hstack(*rows: pl.LazyFrame) -> pl.LazyFrame:
    """Join one-row frames side by side into one row."""
    return pl.concat(rows, how="horizontal")


def as_struct(name: str, row: pl.LazyFrame) -> pl.LazyFrame:
    """Fold a one-row frame into one struct column called *name*."""
    return row.select(pl.struct(pl.all()).alias(name))


def as_list(name: str, rows: pl.LazyFrame) -> pl.LazyFrame:
    """Fold all rows, in order, into one list column called *name*. May be empty."""
    return rows.select(pl.struct(pl.all()).implode().alias(name))


def without_lists(row: pl.LazyFrame, names: Collection[str]) -> pl.LazyFrame:
    """Empty the list columns *names* of a one-row frame."""
    columns = row.collect_schema()
    return row.with_columns(
        pl.lit([], dtype=columns[name]).alias(name) for name in sorted(names)
    )


def rows_of(column: pl.Series) -> pl.DataFrame:
    """The rows that `as_list` folded into *column*, after collecting it."""
    rows: pl.Series = column[0]
    return rows.struct.unnest()


ROWS = pl.len()
TALLIED = pl.col("count").sum()
"""How many rows there are in a group of rows, and in a group of a tally (see `Tables`)."""


def count_by(rows: pl.LazyFrame, key: str, count: pl.Expr = ROWS) -> pl.LazyFrame:
    """Count rows per *key*: ``key`` (its dtype), ``count`` (UInt32), unordered.

    *count* is ROWS, or TALLIED for a tally.
    """
    return rows.group_by(key=pl.col(key)).agg(count=count)


def regroup(counts: pl.LazyFrame, key: str | pl.Expr) -> pl.LazyFrame:
    """Add up ``count`` of finer groups per *key*: ``key``, ``count``, unordered."""
    return counts.group_by(key=key).agg(pl.col("count").sum())


def count_by_name(counts: pl.LazyFrame, key: str = "key") -> pl.LazyFrame:
    """`regroup` by *key* as String, with ``UNKNOWN`` for a missing key."""
    return regroup(counts, pl.col(key).cast(pl.String).fill_null(UNKNOWN))


def count_by_text(counts: pl.LazyFrame, key: str = "key") -> pl.LazyFrame:
    """`regroup` by *key* as String; a missing key stays null."""
    return regroup(counts, pl.col(key).cast(pl.String))


def top(counts: pl.LazyFrame, *keys: str, limit: int | None = None) -> pl.LazyFrame:
    """Sort by ``count``, largest first, then by *keys*, nulls last; keep *limit* rows."""
    by = keys or ("key",)
    ordered = counts.sort(
        "count", *by, descending=[True, *(False for _ in by)], nulls_last=True
    )
    return ordered if limit is None else ordered.head(limit)


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""From which Polars counts the microseconds of a time."""


def instant(moment: datetime) -> pl.Expr:
    """The literal *moment* (Datetime us, UTC).

    Polars folds it into the plan. Its own literal of a datetime runs a small query, which
    takes 0.3 ms, a tenth of the last 24 hours.
    """
    microseconds = (moment - EPOCH) // timedelta(microseconds=1)
    return pl.lit(microseconds, pl.Int64).cast(pl.Datetime("us", "UTC"))


def total(column: str) -> pl.Expr:
    """Sum of an integer column (Int128, which no sum exceeds); 0 without rows."""
    return pl.col(column).cast(pl.Int128).sum()


def as_signed(column: str) -> pl.Expr:
    """An integer column as Int64, equal only where the column is equal.

    An unsigned number of 64 bits, of which the highest is set, becomes negative.
    """
    return pl.col(column).cast(pl.Int64, wrap_numerical=True)


def mean(column: str) -> pl.Expr:
    """Mean (Float64) of the values that are not null; 0 without any.

    Unlike Expr.mean, which adds decimals as floats, the sum is exact.
    """
    return ratio(exact_sum(column).cast(pl.Float64), pl.col(column).count())


def exact_sum(column: str) -> pl.Expr:
    """Sum of the values that are not null, without overflow; exact unless of floats.

    Multiplying by one makes any integer an Int128 and any decimal a Decimal(38).
    """
    return (pl.col(column) * pl.lit(1, dtype=pl.Int128)).sum()


SHORT_INTEGERS = (pl.Int8, pl.Int16, pl.UInt8, pl.UInt16)
"""Integers of which Polars' float sum of 10^11 is exact, so Expr.mean is the exact mean."""


def mean_of_short(column: str) -> pl.Expr:
    """`mean` of a column of SHORT_INTEGERS, in half the time if rows are few."""
    return pl.col(column).mean().fill_null(0.0)


def per_row(column: str) -> pl.Expr:
    """`total` per row (Float64), where null adds nothing; 0 without rows."""
    return ratio(total(column), pl.len())


def per_row_of_short(column: str) -> pl.Expr:
    """`per_row` of a column of SHORT_INTEGERS, see `mean_of_short`."""
    return pl.col(column).fill_null(0).mean().fill_null(0.0)


def ratio(part: pl.Expr, whole: pl.Expr) -> pl.Expr:
    """*part* / *whole* (Float64); 0 where *whole* is 0."""
    return pl.when(whole != 0).then(part / whole).otherwise(0.0)
