"""Historical: what happened on each working day, so far, and on average."""

import polars as pl

from calculations.period import Period
from calculations.shapes import series

MOVING_AVERAGE_DAYS = 30


def historical(
    *,
    users: pl.LazyFrame,
    page_views: pl.LazyFrame,
    rooms: pl.LazyFrame,
    estimations: pl.LazyFrame,
    votes: pl.LazyFrame,
    period: Period,
) -> pl.LazyFrame:
    """One row, one list column ``historical`` of Day, ascending by date."""
    days = period.listed_days()
    for name, rows, at in (
        ("new_users", users, "created_at"),
        ("page_views", page_views, "viewed_at"),
        ("rooms", rooms, "first_used_at"),
        ("estimations", estimations, "estimated_at"),
        ("votes", votes, "voted_at"),
    ):
        days = days.join(per_day(rows, at, name, period), on="date", how="left")
    counts = pl.exclude("date")
    window = MOVING_AVERAGE_DAYS
    return series(
        "historical",
        days.sort("date")
        .with_columns(counts.fill_null(0))
        .with_columns(
            counts.cum_sum().name.prefix("acc_"),
            (counts.rolling_sum(window) / window).name.prefix("ma_"),
        ),
    )


def per_day(rows: pl.LazyFrame, at: str, name: str, period: Period) -> pl.LazyFrame:
    """Rows per calendar day of *at*: columns ``date`` and *name* (Int64).

    Rows stand nearly in the order of time, so runs of one day are counted first;
    there are few of them.
    """
    runs = rows.select(run=period.day_of(at).rle()).unnest("run")
    return (
        runs.drop_nulls("value")
        .group_by(date="value")
        .agg(pl.col("len").sum().cast(pl.Int64).alias(name))
    )
