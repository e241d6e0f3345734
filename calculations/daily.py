"""Daily: the last 24 hours, for the e-mail of the day."""

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
) -> pl.LazyFrame:
    """One row shaped like Daily: what is later than 24 hours before now.

    *day_before* asks for the 24 hours before those; a range takes the place of both.
    """

    def recent(rows: pl.LazyFrame, at: str) -> pl.LazyFrame:
        if period.range:
            return period.filter(rows, at)
        since = period.now - DAY
        if day_before:
            return rows.filter(pl.col(at) > since - DAY, pl.col(at) <= since)
        return rows.filter(pl.col(at) > since)

    return hstack(
        recent(votes, "voted_at").select(
            votes=pl.len().cast(pl.Int64),
            estimations=total("amount_of_estimations"),
            rooms=different("room_id"),
        ),
        recent(page_views, "viewed_at").select(
            unique_users=different("user_id"), page_views=pl.len().cast(pl.Int64)
        ),
    )


def different(column: str) -> pl.Expr:
    """How many different values there are, nulls aside (Int64)."""
    return pl.col(column).drop_nulls().n_unique().cast(pl.Int64)
