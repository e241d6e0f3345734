"""Votes: totals, means per vote, votes per weekday and estimations per value."""

import calendar

import polars as pl

from calculations.period import Period
from calculations.shapes import as_list, count_by, hstack, mean, total

WEEKDAYS = dict(enumerate(calendar.day_name, start=1))


def votes(
    votes: pl.LazyFrame, estimations: pl.LazyFrame, period: Period
) -> pl.LazyFrame:
    """One row shaped like Votes. Durations are minutes; the source stores seconds."""
    totals = votes.select(
        total_votes=pl.len().cast(pl.Int64),
        total_estimations=total("amount_of_estimations"),
        avg_estimations_per_vote=mean("amount_of_estimations"),
        avg_spectators_per_vote=mean("amount_of_spectators"),
        avg_duration_per_vote=mean("duration") / 60,
        avg_estimation=mean("avg_estimation"),
        avg_min_estimation=mean("min_estimation"),
        avg_max_estimation=mean("max_estimation"),
    )
    return hstack(
        totals,
        as_list("weekday_counts", weekdays(votes, period)),
        as_list("estimation_counts", values(estimations)),
    )


def weekdays(votes: pl.LazyFrame, period: Period) -> pl.LazyFrame:
    """Votes per weekday name: ``key``, ``count``. Monday first, without zeros."""
    days = count_by(votes.select(day=period.day_of("voted_at")), "day").drop_nulls(
        "key"
    )
    return (
        days.group_by(pl.col("key").dt.weekday())
        .agg(pl.col("count").sum())
        .sort("key")
        .with_columns(pl.col("key").replace_strict(WEEKDAYS, return_dtype=pl.String))
    )


def values(estimations: pl.LazyFrame) -> pl.LazyFrame:
    """Estimations per value: ``key``, ``count``, ascending. Spectators have no value."""
    return count_by(estimations, "estimation").drop_nulls("key").sort("key")
