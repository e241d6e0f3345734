"""Historical: what happened on each listed day, so far, and on average."""

import polars as pl

from calculations.period import Period
from calculations.shapes import series, tally

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
    """Rows per calendar day of *at*: columns ``date`` and *name* (Int64)."""
    days = tally(rows.select(date=period.day_of(at)), "date").drop_nulls("key")
    return days.select(date="key", **{name: pl.col("count").cast(pl.Int64)})
