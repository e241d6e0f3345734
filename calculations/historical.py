"""Historical: counts per listed day, running sums and moving averages."""

from collections.abc import Collection, Mapping

import polars as pl

from calculations.period import Period
from calculations.shapes import as_list

MOVING_AVERAGE_ROWS = 30
"""Rows of the series in a moving average, whatever the interval."""


def historical(
    *,
    users: pl.LazyFrame,
    page_views: pl.LazyFrame,
    rooms: pl.LazyFrame,
    estimations: pl.LazyFrame,
    votes: pl.LazyFrame,
    period: Period,
    without: Collection[str] = (),
) -> pl.LazyFrame:
    """One row, one list column ``historical`` of HistoricalRow, ascending by date.

    With a range, running sums and moving averages start at its first row. The columns
    *without*, their sums and their averages are null.
    """
    moments = {
        "new_users": users.select(at="created_at"),
        "page_views": page_views.select(at="viewed_at"),
        "rooms": rooms.select(at="first_used_at"),
        "estimations": estimations.select(at="estimated_at"),
        "votes": votes.select(at="voted_at"),
    }
    rows = period.group_by_interval(
        daily_counts(moments, period), pl.exclude("date").sum()
    ).with_columns(pl.lit(None, pl.Int64).alias(name) for name in sorted(without))
    counts, window = pl.exclude("date"), MOVING_AVERAGE_ROWS
    # A multiple of 1/30 is never near a tie, so Polars and Rounded round it alike.
    averages = (counts.rolling_sum(window) / window).round(2)
    return as_list(
        "historical",
        rows.with_columns(
            counts.cum_sum().name.prefix("acc_"), averages.name.prefix("ma_")
        ),
    )


def daily_counts(moments: Mapping[str, pl.LazyFrame], period: Period) -> pl.LazyFrame:
    """Rows per listed day of each frame in *moments* (column ``at``), including zeros.

    Columns: ``date``, then one Int64 column per key of *moments*. Ascending by date.
    """
    kinds = list(enumerate(moments.items()))
    dated = pl.concat(
        rows.select(kind=_kind(number), date=period.day_of("at"))
        for number, (_, rows) in kinds
    )
    zero_runs = period.listed_days().select(
        kind=_kind(None), date="date", run=pl.lit(0, dtype=pl.Int64)
    )
    runs = day_runs(dated).filter(period.reports("date"))
    run, kind = pl.col("run"), pl.col("kind")
    return (
        pl.concat([runs, zero_runs])
        .group_by("date")
        .agg(
            run.filter(kind == number).sum().alias(name) for number, (name, _) in kinds
        )
        .sort("date")
    )


def day_runs(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Run-length encode ``kind`` and ``date``: both, and ``run``, the length (Int64).

    Rows arrive almost in date order, so few runs remain to be grouped.
    """
    kind, date, end = pl.col("kind"), pl.col("date"), pl.col("end").cast(pl.Int64)
    ends_run = kind.ne_missing(kind.shift(-1)) | date.ne_missing(date.shift(-1))
    return (
        rows.with_row_index("end")
        .filter(ends_run)
        .select("kind", "date", run=end - end.shift(1, fill_value=-1))
    )


def _kind(number: int | None) -> pl.Expr:
    return pl.lit(number, dtype=pl.UInt8)
