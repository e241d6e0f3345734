"""Historical: what happened on each listed day, so far, and on average."""

import polars as pl

from calculations.period import Period
from calculations.shapes import series

MOVING_AVERAGE_ROWS = 30
"""How many rows of the series, of whatever interval, a moving average covers."""


def historical(
    *,
    users: pl.LazyFrame,
    page_views: pl.LazyFrame,
    rooms: pl.LazyFrame,
    estimations: pl.LazyFrame,
    votes: pl.LazyFrame,
    period: Period,
) -> pl.LazyFrame:
    """One row, one list column ``historical`` of Day, ascending by date.

    Under a range, running sums start with it, and so do moving averages.
    """
    days = period.listed_days()
    for name, rows, at in (
        ("new_users", users, "created_at"),
        ("page_views", page_views, "viewed_at"),
        ("rooms", rooms, "first_used_at"),
        ("estimations", estimations, "estimated_at"),
        ("votes", votes, "voted_at"),
    ):
        daily = per_day(period.of(rows, at), at, name, period)
        days = days.join(daily, on="date", how="left")
    counts, window = pl.exclude("date"), MOVING_AVERAGE_ROWS
    listed = days.sort("date").with_columns(counts.fill_null(0))
    return series(
        "historical",
        period.bucketed(listed, counts.sum()).with_columns(
            counts.cum_sum().name.prefix("acc_"),
            (counts.rolling_sum(window) / window).name.prefix("ma_"),
        ),
    )


def per_day(rows: pl.LazyFrame, at: str, name: str, period: Period) -> pl.LazyFrame:
    """Rows per calendar day of *at*: columns ``date`` and *name* (Int64).

    Rows come nearly in the order of their days, so runs of equal days are measured
    first, from end to end, and few are left to group. (Where the last day is null its
    run has no end, and is not wanted.)
    """
    date, end = pl.col("date"), pl.col("end").cast(pl.Int64)
    return (
        rows.select(date=period.day_of(at))
        .with_row_index("end")
        .filter(date.ne_missing(date.shift(-1)))
        .select("date", run=end - end.shift(1, fill_value=-1))
        .drop_nulls("date")
        .group_by("date")
        .agg(pl.col("run").sum().alias(name))
    )
