"""Daily: the figures of the last 24 hours, for the daily e-mail."""

from collections.abc import Collection
from datetime import timedelta
from functools import cache

import polars as pl

from calculations.period import Period
from calculations.shapes import hstack, instant, total

DAY = timedelta(hours=24)


def daily(
    votes: pl.LazyFrame,
    page_views: pl.LazyFrame,
    period: Period,
    *,
    day_before: bool = False,
    without: Collection[str] = (),
) -> pl.LazyFrame:
    """One row shaped like Daily: rows later than 24 hours before ``period.now``.

    With *day_before*: the 24 hours before those. If *period* has a range, the range
    is used instead, and *day_before* has no effect. The figures *without* are null.
    """

    def recent(rows: pl.LazyFrame, at: str) -> pl.LazyFrame:
        if period.range:
            return period.filter(rows, at)
        since = period.now - DAY
        if day_before:
            day_earlier = instant(since - DAY)
            return rows.filter(pl.col(at) > day_earlier, pl.col(at) <= instant(since))
        return rows.filter(pl.col(at) > instant(since))

    figures = hstack(
        recent(votes, "voted_at").select(*_vote_figures()),
        recent(page_views, "viewed_at").select(*_view_figures()),
    )
    return figures.with_columns(
        pl.lit(None, pl.Int64).alias(name) for name in sorted(without)
    )


@cache
def _vote_figures() -> tuple[pl.Expr, ...]:
    return (
        pl.len().cast(pl.Int64).alias("votes"),
        total("amount_of_estimations").alias("estimations"),
        distinct("room_id").alias("rooms"),
    )


@cache
def _view_figures() -> tuple[pl.Expr, ...]:
    return (
        distinct("visitor").alias("unique_users"),
        pl.len().cast(pl.Int64).alias("page_views"),
    )


def distinct(column: str) -> pl.Expr:
    """Number of distinct values (Int64), without null."""
    return pl.col(column).drop_nulls().n_unique().cast(pl.Int64)
