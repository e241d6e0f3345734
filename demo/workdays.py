"""When people plan: hour by hour weights of working life, and instants drawn from them."""

from datetime import UTC, datetime, timedelta

import polars as pl

from demo.dice import Dice

OPENING = datetime(2024, 6, 3, tzinfo=UTC)
"""When the sample's history begins."""

_MORNING = (1, 1, 1, 1, 2, 6, 22, 60, 95, 100, 85, 55)
_EVENING = (65, 90, 95, 80, 60, 42, 30, 22, 14, 8, 4, 2)
HOUR_WEIGHTS = _MORNING + _EVENING
"""Activity per hour of the day, UTC: mostly European offices, some American."""

WEEKEND = 0.07
QUIET_WEEKS = 0.2
SUMMER = 0.75
GROWTH = 3.0
"""How many times busier the last day is than the first."""


def instants(count: int, now: datetime, dice: Dice, stream: str) -> pl.Series:
    """*count* instants (``Datetime("us", "UTC")``, whole seconds), ascending.

    They lie between OPENING and *now*, dense where hours are busy. The last
    24 hours count as a working day, whatever weekday it is.
    """
    hours = _hours(now)
    reached = hours["weight"].cum_sum()
    place = (pl.int_range(pl.len()) + dice.share(stream)) / count * reached[-1]
    places = pl.select(pl.int_range(count)).select(place).to_series()
    hour = reached.search_sorted(places, side="right").clip(0, len(hours) - 1)
    drawn = hours.with_columns(reached=reached)[hour].with_columns(place=places)
    into = 1 - (pl.col("reached") - pl.col("place")) / pl.col("weight")
    second = (into.clip(0, 1) * (pl.col("seconds") - 1)).floor().cast(pl.Int64)
    return drawn.select(pl.col("hour") + pl.duration(seconds=second)).to_series()


def _hours(now: datetime) -> pl.DataFrame:
    """Each hour since OPENING: its start, its length in seconds, its weight."""
    hour = pl.datetime_range(OPENING, now, "1h", closed="left", time_zone="UTC")
    seconds = (pl.lit(now) - pl.col("hour")).dt.total_seconds().clip(1, 3600)
    busy = pl.lit(pl.Series(HOUR_WEIGHTS)).gather(pl.col("hour").dt.hour())
    recent = pl.col("hour") > now - timedelta(hours=25)
    grown = 1 + (GROWTH - 1) * pl.int_range(pl.len()) / pl.len()
    return (
        pl.select(hour=hour)
        .with_columns(seconds=seconds)
        .with_columns(
            weight=pl.col("seconds")
            * busy
            * grown
            * pl.when(recent).then(1.0).otherwise(_season())
        )
    )


def _season() -> pl.Expr:
    """How much of a usual working day's life a day has."""
    day = pl.col("hour")
    new_year = (day.dt.ordinal_day() <= 3) | (
        (day.dt.month() == 12) & (day.dt.day() >= 23)
    )
    return (
        pl.when(new_year).then(QUIET_WEEKS).otherwise(1.0)
        * pl.when(day.dt.month() == 8).then(SUMMER).otherwise(1.0)
        * pl.when(day.dt.weekday() > 5).then(WEEKEND).otherwise(1.0)
    )
