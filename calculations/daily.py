"""Daily: the figures of the last 24 hours, for the daily e-mail."""

from collections.abc import Collection
from datetime import timedelta

import polars as pl

from calculations.period import Period
from calculations.shapes import hstack, total

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
            return rows.filter(pl.col(at) > since - DAY, pl.col(at) <= since)
        return rows.filter(pl.col(at) > since)

    figures = hstack(
        recent(votes, "voted_at").select(
            votes=pl.len().cast(pl.Int64),
            estimations=total("amount_of_estimations"),
            rooms=distinct("room_id"),
        ),
        recent(page_views, "viewed_at").select(
            unique_users=distinct("user_id"), page_views=pl.len().cast(pl.Int64)
        ),
    )
    return figures.with_columns(
        pl.lit(None, pl.Int64).alias(name) for name in sorted(without)
    )


def distinct(column: str) -> pl.Expr:
    """Number of distinct values (Int64), without null."""
    return pl.col(column).drop_nulls().n_unique().cast(pl.Int64)
