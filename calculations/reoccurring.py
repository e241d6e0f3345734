"""Reoccurring: users and rooms that came back on another working day."""

from datetime import timedelta

import polars as pl

from calculations.activity import starts
from calculations.period import Period, is_workday
from calculations.shapes import series

LAPSE = timedelta(days=30)
"""Who was not seen for longer is no longer counted as adjusted."""


def reoccurring(
    activity: pl.LazyFrame, estimations: pl.LazyFrame, period: Period
) -> pl.LazyFrame:
    """One row, one list column ``reoccurring`` of Return, ascending by date.

    *activity* is that of page views and estimations, in its order.
    """
    users = changes(user_days(activity, period), "users")
    rooms = changes(room_days(estimations, period), "rooms")
    every_day = pl.date_range(period.start, period.today, "1d").alias("date")
    days = pl.LazyFrame().select(every_day)
    for who in (users, rooms):
        days = days.join(who, on="date", how="left")
    running = pl.exclude("date").fill_null(0).cum_sum()
    return series(
        "reoccurring",
        days.sort("date").with_columns(running).filter(is_workday("date")),
    )


def user_days(activity: pl.LazyFrame, period: Period) -> pl.LazyFrame:
    """The listed days on which each user estimated: ``who``, ``date``, sorted, once."""
    return (
        activity.filter("estimated")
        .select(who="visitor", date=period.day_of("at"))
        .filter(period.counts("date"))
        .filter(starts("who", "date"))
    )


def room_days(estimations: pl.LazyFrame, period: Period) -> pl.LazyFrame:
    """The listed days on which each room estimated: ``who``, ``date``, sorted, once.

    Estimations of a room come in a row, so most repetitions go before the sort.
    """
    return (
        estimations.select(who="room_id", date=period.day_of("estimated_at"))
        .filter(starts("who", "date"))
        .filter(period.counts("date"))
        .drop_nulls("who")
        .unique()
        .sort("who", "date")
    )


def changes(days: pl.LazyFrame, whose: str) -> pl.LazyFrame:
    """How the number that is known to return, and is still active, changes by ``date``.

    *days* are ``who`` and ``date``, sorted, each once. Someone becomes known on
    their second day and is active then; they stop being so when ``LAPSE`` is over,
    unless they are seen before. Counting is then a running sum.
    """
    seen = days.with_columns(
        first=starts("who"),
        second=starts("who").shift(1, fill_value=False) & ~starts("who"),
        next=pl.when(~starts("who").shift(-1, fill_value=True)).then(
            pl.col("date").shift(-1)
        ),
    ).filter(~pl.col("first"))
    lapses = pl.min_horizontal("next", pl.col("date") + LAPSE + timedelta(days=1))
    one = pl.lit(1, dtype=pl.Int64)
    came = seen.select("date", known=pl.col("second").cast(pl.Int64), active=one)
    went = seen.select(date=lapses, known=one * 0, active=-one)
    return (
        pl.concat([came, went])
        .group_by("date")
        .agg(
            pl.col("known").sum().alias(f"reoccurring_{whose}"),
            pl.col("active").sum().alias(f"adjusted_reoccurring_{whose}"),
        )
    )
