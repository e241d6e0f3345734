"""Reoccurring: users and rooms that came back on another working day."""

from datetime import timedelta

import polars as pl

from calculations.activity import changes
from calculations.period import Period, is_workday
from calculations.shapes import series

LAPSE = timedelta(days=30)
"""Who was not seen for longer is no longer counted as adjusted."""

DAYS = 2**24
"""More days than any date has since 1970, so that a room and a day make one integer."""


def reoccurring(
    activity: pl.LazyFrame, estimations: pl.LazyFrame, period: Period
) -> pl.LazyFrame:
    """One row, one list column ``reoccurring`` of Return, ascending by date.

    *activity* is that of page views and estimations, in its order.
    """
    users = comings_and_goings(user_days(activity, period), "users")
    rooms = comings_and_goings(room_days(estimations, period), "rooms")
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
        .filter(changes("who") | changes("date"))
        .filter(period.counts("date"))
    )


def room_days(estimations: pl.LazyFrame, period: Period) -> pl.LazyFrame:
    """The listed days on which each room estimated: ``who``, ``date``, sorted, once.

    Estimations of a room come in a row, so most repetitions go before the sort; and
    one integer of both is sorted several times faster than two columns.
    """
    both = pl.col("room_id").cast(pl.Int64) * DAYS + pl.col("date").to_physical()
    return (
        estimations.select("room_id", date=period.day_of("estimated_at"))
        .filter(changes("room_id") | changes("date"))
        .filter(period.counts("date"))
        .select(both=both)
        .drop_nulls()
        .sort("both")
        .filter(changes("both"))
        .select(
            who=pl.col("both") // DAYS,
            date=(pl.col("both") % DAYS).cast(pl.Int32).cast(pl.Date),
        )
    )


def comings_and_goings(days: pl.LazyFrame, whose: str) -> pl.LazyFrame:
    """How the number that is known to return, and is still active, changes by ``date``.

    *days* are ``who`` and ``date``, sorted, each once. Someone becomes known on
    their second day. They are active from then, or from their return after a lapse,
    until ``LAPSE`` is over without them. Counting is then a running sum.
    """
    who, date = pl.col("who"), pl.col("date")
    before = pl.when(~changes("who")).then(date.shift(1))
    after = pl.when(who == who.shift(-1)).then(date.shift(-1))
    second = before.is_not_null() & (who != who.shift(2)).fill_null(True)
    seen = days.select(
        "date",
        known=second,
        comes=second | (date - before > LAPSE),
        goes=before.is_not_null() & (after - date > LAPSE).fill_null(True),
    ).filter(pl.col("comes") | pl.col("goes"))
    one = pl.lit(1, dtype=pl.Int64)
    came = seen.filter("comes").select(
        "date", known=pl.col("known").cast(pl.Int64), active=one
    )
    went = seen.filter("goes").select(
        date=date + LAPSE + timedelta(days=1), known=one * 0, active=-one
    )
    return (
        pl.concat([came, went])
        .group_by("date")
        .agg(
            pl.col("known").sum().alias(f"reoccurring_{whose}"),
            pl.col("active").sum().alias(f"adjusted_reoccurring_{whose}"),
        )
    )
