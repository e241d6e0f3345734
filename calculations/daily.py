"""Daily: the last 24 hours, for the e-mail of the day."""

from datetime import timedelta

import polars as pl

from calculations.period import Period
from calculations.shapes import beside, total

DAY = timedelta(hours=24)


def daily(
    votes: pl.LazyFrame, page_views: pl.LazyFrame, period: Period
) -> pl.LazyFrame:
    """One row shaped like Daily: what is later than 24 hours before now."""
    since = period.now - DAY
    return beside(
        votes.filter(pl.col("voted_at") > since).select(
            votes=pl.len().cast(pl.Int64),
            estimations=total("amount_of_estimations"),
            rooms=different("room_id"),
        ),
        page_views.filter(pl.col("viewed_at") > since).select(
            unique_users=different("user_id"), page_views=pl.len().cast(pl.Int64)
        ),
    )


def different(column: str) -> pl.Expr:
    """How many different values there are, nulls aside (Int64)."""
    return pl.col(column).drop_nulls().n_unique().cast(pl.Int64)
