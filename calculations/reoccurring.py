"""Reoccurring: users and rooms that came back on another listed day."""

from datetime import timedelta

import polars as pl

from calculations.activity import starts_run
from calculations.period import Period
from calculations.shapes import as_list

LAPSE = timedelta(days=30)
"""Who was not seen for longer is no longer counted as adjusted."""

ONE_DAY = timedelta(days=1)

WHOSE = ("users", "rooms")

IDENTITY_STEP = 2**24
"""Identities are multiples of it, so that a number of days fits in between."""


def reoccurring(
    activity: pl.LazyFrame, estimations: pl.LazyFrame, period: Period
) -> pl.LazyFrame:
    """One row, one list column ``reoccurring`` of ReoccurringRow, ascending by date.

    *activity* is that of page views and estimations, in its order. Under a range
    those who were seen in it count, and what they did before decides whether they
    returned.
    """
    rooms = pl.col("room_id").cast(pl.Int64) * IDENTITY_STEP
    if period.range:
        users, by_room = days_with_history(estimations, period)
    else:
        users = user_days(activity, period).with_columns(returns=pl.lit(False))
        by_room = days_of(estimations, rooms, period).with_columns(
            returns=pl.lit(False)
        )
    days = period.every_day()
    for who, whose in zip((users, by_room), WHOSE, strict=True):
        days = days.join(comings_and_goings(who, whose), on="date", how="left")
    listed = (
        days.sort("date")
        .with_columns(pl.exclude("date").fill_null(0))
        .select("date", *map(returned, WHOSE), *map(active, WHOSE))
        .filter(period.is_listed("date"))
    )
    return as_list("reoccurring", period.bucketed(listed, pl.exclude("date").last()))


def returned(whose: str) -> pl.Expr:
    """How many of *whose* were known as returning by the end of each calendar day."""
    return pl.col(f"known_{whose}").cum_sum().alias(f"reoccurring_{whose}")


def active(whose: str) -> pl.Expr:
    """How many of those were seen within ``LAPSE``; a row each calendar day."""
    gone = pl.col(f"last_seen_{whose}").shift(LAPSE.days + 1, fill_value=0)
    here = pl.col(f"came_{whose}") - gone
    return here.cum_sum().alias(f"adjusted_reoccurring_{whose}")


def user_days(activity: pl.LazyFrame, period: Period) -> pl.LazyFrame:
    """The listed days on which each user estimated: ``who``, ``date``, sorted, once."""
    return (
        activity.filter(pl.col("estimated"))
        .select(who="visitor", date=period.day_of("at"))
        .filter(starts_run("who") | starts_run("date"))
        .filter(period.reports("date"))
    )


def days_of(estimations: pl.LazyFrame, who: pl.Expr, period: Period) -> pl.LazyFrame:
    """The listed days on which each *who* estimated: ``who``, ``date``, sorted, once.

    *who* is an integer and a multiple of ``IDENTITY_STEP``, so that one integer holds
    who and day: it is sorted several times faster than two columns. Estimations of
    one room come in a row, so most repetitions go before the sort.
    """
    both = pl.col("both")
    day = both % IDENTITY_STEP
    return (
        estimations.select(who=who, date=period.day_of("estimated_at"))
        .drop_nulls()
        .filter(starts_run("who") | starts_run("date"))
        .filter(period.reports("date"))
        .select(both=pl.col("who") + pl.col("date").to_physical())
        .sort("both")
        .filter(starts_run("both"))
        .select(who=both - day, date=day.cast(pl.Int32).cast(pl.Date))
    )


def days_with_history(
    estimations: pl.LazyFrame, period: Period
) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """`days_of` users and of rooms in a range, with ``returns``.

    That is whether they had been seen on a listed day before; it travels in ``who``.
    """
    rows = with_history(estimations, period)
    who = pl.col("who")

    def in_range(key: str, identity: pl.Expr) -> pl.LazyFrame:
        marked = identity * 2 + pl.col(f"{key}_returns").cast(pl.Int64)
        return days_of(rows, marked * IDENTITY_STEP, period).with_columns(
            returns=who // IDENTITY_STEP % 2 == 1
        )

    return (
        in_range("user", (pl.col("visitor") // 2).cast(pl.Int128)),
        in_range("room", pl.col("room_id").cast(pl.Int64)),
    )


def with_history(estimations: pl.LazyFrame, period: Period) -> pl.LazyFrame:
    """The estimations of a range, and who in them had been seen on a listed day before.

    Columns: ``visitor``, ``room_id``, ``estimated_at``, ``user_returns``,
    ``room_returns``, and what these are made of. A join would find the same, but
    looking up is several times faster.
    """
    begins, ends = period.bounds
    at = pl.col("estimated_at")
    within = at.is_between(begins, ends, closed="left")
    before = (at >= period.history_start) & (at < begins) & period.is_listed("date")
    if period.last < period.today:  # else a filter would only copy nearly all rows
        estimations = estimations.filter(at < ends)

    def among(key: str, those: pl.Expr) -> pl.Expr:
        return pl.col(key).is_in(pl.col(key).filter(those).drop_nulls().implode())

    return (
        # Two columns and no one condition, since columns are made side by side.
        estimations.with_columns(
            user_seen=among("visitor", within), room_seen=among("room_id", within)
        )
        .filter(pl.col("user_seen") | pl.col("room_seen"))
        .with_columns(date=period.day_of("estimated_at"))
        .with_columns(
            user_returns=among("visitor", before),
            room_returns=among("room_id", before),
        )
        .filter(within)
        .cache()
    )


def comings_and_goings(days: pl.LazyFrame, whose: str) -> pl.LazyFrame:
    """How many became known as returning, came, and were last seen, by ``date``.

    Columns: ``date``, then ``known_``, ``came_`` and ``last_seen_`` (Int64) with
    *whose* appended. *days* are ``who`` and ``date``, sorted, each once, and
    ``returns``: whether their first day is a return already. Else they become known
    on their second. They are active from then, or from their next day after a lapse,
    until ``LAPSE`` is over after they were last seen before one.
    """
    who, date, returns = pl.col("who"), pl.col("date"), pl.col("returns")
    first = starts_run("who")
    before = pl.when(~first).then(date.shift(1))
    after = pl.when(who == who.shift(-1)).then(date.shift(-1))
    second = ~first & (who != who.shift(2)).fill_null(True)
    known = (first & returns) | (second & ~returns)
    lapsed = (date - before > LAPSE).fill_null(False)
    leaves = (~first | returns) & (after - date > LAPSE).fill_null(True)
    found = {"known": known, "came": known | lapsed, "last_seen": leaves}
    return (
        days.select("date", **{f"{name}_{whose}": flag for name, flag in found.items()})
        .group_by("date")
        .agg(pl.all().sum().cast(pl.Int64))
    )
