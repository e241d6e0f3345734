"""Timestamps that follow working hours: weights per hour, and samples from them."""

from datetime import UTC, datetime, timedelta
from typing import Final

import polars as pl

from demo.dice import Dice

OPENING: Final = datetime(2024, 6, 3, tzinfo=UTC)
"""Start of the sample's history."""

_MORNING = (1, 1, 1, 1, 2, 6, 22, 60, 95, 100, 85, 55)
_EVENING = (65, 90, 95, 80, 60, 42, 30, 22, 14, 8, 4, 2)
HOUR_WEIGHTS: Final = _MORNING + _EVENING
"""Activity per hour of the day (UTC): mostly European offices, some American."""

WEEKEND: Final = 0.07
TURN_OF_YEAR: Final = 0.2
AUGUST: Final = 0.75
"""Activity relative to an ordinary working day."""

GROWTH: Final = 3.0
"""Activity of the last day relative to the first."""


def instants(count: int, now: datetime, dice: Dice, stream: str) -> pl.Series:
    """Sample *count* ascending timestamps between OPENING and *now*.

    They are ``Datetime("us", "UTC")`` in whole seconds, denser in busy hours. The last
    24 hours count as a working day on every weekday.
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
    """A row per hour since OPENING: hour (its start), seconds (its length), weight."""
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
    """Activity of the hour's day relative to an ordinary working day."""
    day = pl.col("hour")
    new_year = (day.dt.ordinal_day() <= 3) | (
        (day.dt.month() == 12) & (day.dt.day() >= 23)
    )
    return (
        pl.when(new_year).then(TURN_OF_YEAR).otherwise(1.0)
        * pl.when(day.dt.month() == 8).then(AUGUST).otherwise(1.0)
        * pl.when(day.dt.weekday() > 5).then(WEEKEND).otherwise(1.0)
    )
