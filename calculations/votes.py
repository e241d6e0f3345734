"""Votes: totals, means per vote, votes per weekday and estimations per value."""

import calendar
from typing import Final

import polars as pl

from calculations.period import Period
from calculations.shapes import (
    ROWS,
    TALLIED,
    as_list,
    count_by,
    exact_sum,
    hstack,
    ratio,
)

WEEKDAYS = dict(enumerate(calendar.day_name, start=1))

SUMMED: Final = (
    "amount_of_estimations",
    "amount_of_spectators",
    "duration",
    "avg_estimation",
    "min_estimation",
    "max_estimation",
)
"""Columns of votes that are averaged."""


def votes(
    votes: pl.LazyFrame,
    estimations: pl.LazyFrame,
    period: Period,
    *,
    sums: pl.LazyFrame | None = None,
    quarters: pl.LazyFrame | None = None,
    estimation_count: pl.Expr = ROWS,
) -> pl.LazyFrame:
    """One row shaped like Votes. Durations are minutes; the source stores seconds.

    *sums* are `vote_sums` of all votes in one or several rows, and *quarters* their
    counts per quarter of an hour, if these are known. *estimation_count* is TALLIED if
    *estimations* are tallied.
    """
    moments, count = (votes, ROWS) if quarters is None else (quarters, TALLIED)
    return hstack(
        totals(vote_sums(votes) if sums is None else sums),
        as_list("weekday_counts", weekdays(moments, period, count)),
        as_list("estimation_counts", values(estimations, estimation_count)),
    )


def vote_sums(votes: pl.LazyFrame) -> pl.LazyFrame:
    """One row: ``count``, and of each column in SUMMED the sum and the number of values.

    The latter is called ``duration_count``.
    """
    return votes.select(
        count=pl.len(),
        **{name: exact_sum(name) for name in SUMMED},
        **{f"{name}_count": pl.col(name).count() for name in SUMMED},
    )


def totals(sums: pl.LazyFrame) -> pl.LazyFrame:
    """One row with the figures of Votes, from any number of rows of `vote_sums`."""

    def mean(name: str) -> pl.Expr:
        return ratio(pl.col(name).cast(pl.Float64), pl.col(f"{name}_count"))

    return sums.select(pl.all().sum()).select(
        total_votes=pl.col("count").cast(pl.Int64),
        total_estimations=pl.col("amount_of_estimations").cast(pl.Int128),
        avg_estimations_per_vote=mean("amount_of_estimations"),
        avg_spectators_per_vote=mean("amount_of_spectators"),
        avg_duration_per_vote=mean("duration") / 60,
        avg_estimation=mean("avg_estimation"),
        avg_min_estimation=mean("min_estimation"),
        avg_max_estimation=mean("max_estimation"),
    )


def weekdays(
    votes: pl.LazyFrame, period: Period, count: pl.Expr = ROWS
) -> pl.LazyFrame:
    """Votes per weekday name: ``key``, ``count``. Monday first, without zeros."""
    weekday = period.day_of("voted_at").dt.weekday()
    return (
        votes.group_by(key=weekday)
        .agg(count=count)
        .drop_nulls("key")
        .sort("key")
        .with_columns(pl.col("key").replace_strict(WEEKDAYS, return_dtype=pl.String))
    )


def values(estimations: pl.LazyFrame, count: pl.Expr = ROWS) -> pl.LazyFrame:
    """Estimations per value: ``key``, ``count``, ascending. Spectators have no value."""
    return count_by(estimations, "estimation", count).drop_nulls("key").sort("key")
