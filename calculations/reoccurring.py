"""Reoccurring: users and rooms that return on another listed day."""

from datetime import timedelta

import polars as pl

from calculations.activity import starts_run
from calculations.period import Period
from calculations.shapes import as_list, as_signed

LAPSE = timedelta(days=30)
"""Users and rooms absent for longer no longer count as adjusted (active)."""

GROUPS = ("users", "rooms")

KEY_STEP = 2**24
"""Keys are multiples of it, so that a day number fits in between."""


def reoccurring(
    activity: pl.LazyFrame,
    estimations: pl.LazyFrame,
    period: Period,
    room_moments: pl.LazyFrame | None = None,
) -> pl.LazyFrame:
    """One row, one list column ``reoccurring`` of ReoccurringRow, ascending by date.

    *activity* is `activity` of all page views and estimations, in its order;
    *estimations* is ``Tables.estimated``, and *room_moments* its quarters, if there are
    any. With a range, users and rooms that estimated
    in it are counted; their earlier estimations decide whether they have returned.
    """
    return reoccurring_of(*changes(activity, estimations, period, room_moments), period)


def changes(
    activity: pl.LazyFrame,
    estimations: pl.LazyFrame,
    period: Period,
    room_moments: pl.LazyFrame | None = None,
) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """`count_changes` of users and of rooms. Those of disjoint sets add up per date.

    The arguments are those of `reoccurring`.
    """
    rooms = estimations if room_moments is None else room_moments
    if period.range:
        user_days, room_days = days_with_history(estimations, rooms, period)
    else:
        returns = pl.lit(False)
        room_key = as_signed("room_id") * KEY_STEP
        user_days = days_of_users(activity, period).with_columns(returns=returns)
        room_days = days_of(rooms, room_key, period).with_columns(returns=returns)
    return count_changes(user_days, "users"), count_changes(room_days, "rooms")


def reoccurring_of(
    users: pl.LazyFrame, rooms: pl.LazyFrame, period: Period
) -> pl.LazyFrame:
    """One row, one list column ``reoccurring``, from the `changes` of all."""
    days = period.calendar_days()
    for group_changes in (users, rooms):
        days = days.join(group_changes, on="date", how="left")
    listed = (
        days.sort("date")
        .with_columns(pl.exclude("date").fill_null(0))
        .select("date", *map(returned, GROUPS), *map(active, GROUPS))
        .filter(period.is_listed("date"))
    )
    last_day = pl.exclude("date").last()
    return as_list("reoccurring", period.group_by_interval(listed, last_day))


def returned(group: str) -> pl.Expr:
    """Number of *group* that had returned by the end of each calendar day."""
    return pl.col(f"known_{group}").cum_sum().alias(f"reoccurring_{group}")


def active(group: str) -> pl.Expr:
    """Number of those last seen within ``LAPSE``. Needs one row per calendar day."""
    lapsed = pl.col(f"last_seen_{group}").shift(LAPSE.days + 1, fill_value=0)
    change = pl.col(f"came_{group}") - lapsed
    return change.cum_sum().alias(f"adjusted_reoccurring_{group}")


def days_of_users(activity: pl.LazyFrame, period: Period) -> pl.LazyFrame:
    """Listed days on which each user estimated: distinct ``key``, ``date``, sorted."""
    return (
        activity.filter(pl.col("estimated"))
        .select(key="visitor", date=period.day_of("at"))
        .filter(starts_run("key") | starts_run("date"))
        .filter(period.reports("date"))
    )


def days_of(estimations: pl.LazyFrame, key: pl.Expr, period: Period) -> pl.LazyFrame:
    """Listed days with an estimation by each *key*: distinct ``key``, ``date``, sorted.

    *key* is an integer and a multiple of ``KEY_STEP``, so that one integer holds key
    and day: key 3 · 2²⁴ on day 19,877 is 3 · 2²⁴ + 19,877. Sorting one integer is
    several times faster than sorting two columns. Estimations of one room come in
    runs, so most duplicates are dropped before the sort.
    """
    packed = pl.col("packed")
    day = packed % KEY_STEP
    return (
        estimations.select(key=key, date=period.day_of("estimated_at"))
        .drop_nulls()
        .filter(starts_run("key") | starts_run("date"))
        .filter(period.reports("date"))
        .select(packed=pl.col("key") + pl.col("date").to_physical())
        .sort("packed")
        .filter(starts_run("packed"))
        .select(key=packed - day, date=day.cast(pl.Int32).cast(pl.Date))
    )


def days_with_history(
    estimations: pl.LazyFrame, room_moments: pl.LazyFrame, period: Period
) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """`days_of` users and of rooms in a range, with ``returns`` (Boolean).

    ``returns`` is true if they estimated on a listed day before the range. It is
    encoded in the key: (2 · id + returns) · ``KEY_STEP``.
    """
    key = pl.col("key")

    def in_range(rows: pl.LazyFrame, member: str, identity: pl.Expr) -> pl.LazyFrame:
        marked = identity * 2 + pl.col("returns").cast(pl.Int64)
        return days_of(
            with_history(rows, member, period), marked * KEY_STEP, period
        ).with_columns(returns=key // KEY_STEP % 2 == 1)

    return (
        in_range(estimations, "visitor", (pl.col("visitor") // 2).cast(pl.Int128)),
        in_range(room_moments, "room_id", as_signed("room_id")),
    )


def with_history(
    estimations: pl.LazyFrame, member: str, period: Period
) -> pl.LazyFrame:
    """Estimations in a range, marked by whether the *member* estimated before it.

    *member* is ``visitor`` or ``room_id``. Columns: it, ``estimated_at`` and
    ``returns`` (Boolean), and intermediate columns. A join gives the same result, but
    is_in() is several times faster.
    """
    begins, ends = period.bounds
    at = pl.col("estimated_at")
    in_range = at.is_between(begins, ends, closed="left")
    before = (at >= period.history_start) & (at < begins) & period.is_listed("date")
    # A range that ends today includes nearly all rows: filtering would only copy them.
    if period.last < period.today or period.until:
        estimations = estimations.filter(at < ends)

    def occurs(condition: pl.Expr) -> pl.Expr:
        matching = pl.col(member).filter(condition).drop_nulls()
        return pl.col(member).is_in(matching.implode())

    return (
        estimations.select(member, "estimated_at")
        .filter(occurs(in_range))
        .with_columns(date=period.day_of("estimated_at"))
        .with_columns(returns=occurs(before))
        .filter(in_range)
    )


def count_changes(days: pl.LazyFrame, group: str) -> pl.LazyFrame:
    """Count per ``date`` how the numbers of returned and active members change.

    *days* holds distinct ``key`` and ``date``, sorted, and ``returns``: true if the
    key's first day is already a return. Otherwise its second day is. A key is active
    from its return, or from its next day after a lapse, until ``LAPSE`` has passed
    since it was last seen.

    Columns: ``date``, then Int64 ``known_`` (returned for the first time), ``came_``
    (became active) and ``last_seen_`` (last day before a lapse), each followed by
    *group*.
    """
    key, date, returns = pl.col("key"), pl.col("date"), pl.col("returns")
    first = starts_run("key")
    before = pl.when(~first).then(date.shift(1))
    after = pl.when(key == key.shift(-1)).then(date.shift(-1))
    second = ~first & (key != key.shift(2)).fill_null(True)
    known = (first & returns) | (second & ~returns)
    after_lapse = (date - before > LAPSE).fill_null(False)
    last_seen = (~first | returns) & (after - date > LAPSE).fill_null(True)
    changes = {"known": known, "came": known | after_lapse, "last_seen": last_seen}
    return (
        days.select("date", **{f"{name}_{group}": on for name, on in changes.items()})
        .group_by("date")
        .agg(pl.all().sum().cast(pl.Int64))
    )
