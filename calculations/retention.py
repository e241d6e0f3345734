"""Retention: how many of those who estimated for the first time in a week return later."""

from enum import StrEnum

import polars as pl

from calculations.activity import starts_run
from calculations.period import Period
from calculations.shapes import as_list

KEY_STEP = 2**20
"""Keys are multiples of it, so that a week number fits in between."""

_WEEK_DAYS = 7
_FIRST_MONDAY = 4
"""Day number of the first Monday after 1 January 1970."""


class CohortOf(StrEnum):
    """What returns: users, or rooms."""

    USERS = "users"
    ROOMS = "rooms"


def retention(
    estimated: pl.LazyFrame, period: Period, of: CohortOf = CohortOf.USERS
) -> pl.LazyFrame:
    """One row, one list column ``cohorts``: of ``week``, ``after``, ``count``, ordered.

    ``week`` (Date) is the Monday of the week in which ``count`` members (Int64)
    estimated for the first time in the whole history, or, with ``after`` (Int64) above
    0, estimated that many weeks later. Weeks without any are left out. *estimated* is
    ``Tables.estimated``; cohorts are those whose Monday lies in the range, and with no
    range all from the week of START_DATE.
    """
    weeks = _weeks_of(estimated, period, of)
    key, week = pl.col("key"), pl.col("week")
    first = pl.when(starts_run("key")).then(week).forward_fill()
    return as_list(
        "cohorts",
        weeks.with_columns(first=first)
        .group_by(week="first", after=(week - pl.col("first")).cast(pl.Int64))
        .agg(count=key.len().cast(pl.Int64))
        .with_columns(
            week=(week * _WEEK_DAYS + _FIRST_MONDAY).cast(pl.Int32).cast(pl.Date)
        )
        .filter(week.is_between(period.first, period.last))
        .sort("week", "after"),
    )


def _weeks_of(estimated: pl.LazyFrame, period: Period, of: CohortOf) -> pl.LazyFrame:
    """Distinct ``key`` and ``week`` (both Int128), sorted. Weeks count from 1970.

    As one integer: key 3 in week 2,900 is 3 · 2²⁰ + 2,900.
    """
    member = pl.col("visitor" if of is CohortOf.USERS else "room_id")
    day = period.day_of("estimated_at").to_physical().cast(pl.Int64)
    packed = pl.col("packed")
    week = packed % KEY_STEP
    return (
        estimated.select(
            key=member.cast(pl.Int128) * KEY_STEP,
            week=(day - _FIRST_MONDAY) // _WEEK_DAYS,
        )
        .drop_nulls()
        .filter(starts_run("key") | starts_run("week"))
        .select(packed=pl.col("key") + pl.col("week"))
        .sort("packed")
        .filter(starts_run("packed"))
        .select(key=packed - week, week=week)
    )
