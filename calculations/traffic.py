"""Traffic: visitors, page views, bounce rate and session length."""

from datetime import timedelta

import polars as pl

from calculations.activity import visitors
from calculations.period import Period
from calculations.shapes import hstack, ratio

SESSION_GAP = timedelta(minutes=10)
LAST_SIGHT = timedelta(seconds=10)


def traffic(
    page_views: pl.LazyFrame, activity: pl.LazyFrame, period: Period
) -> pl.LazyFrame:
    """One row shaped like Traffic; *activity* is `activity` of the same rows.

    Without a range, bounces and sessions consider only activity after the start of
    START_DATE. With a range, a session that crosses its edge counts with the part
    inside.
    """
    considered = (
        activity
        if period.range
        else activity.filter(pl.col("at") > period.history_start)
    )
    counts = hstack(
        visitors(activity.filter(~pl.col("estimated")), "unique_users"),
        page_views.select(page_views=pl.len().cast(pl.Int64)),
        visitors(considered.filter(pl.col("estimated")), "estimators"),
    ).select(
        "unique_users",
        "page_views",
        bounce_rate=ratio(
            (pl.col("unique_users") - pl.col("estimators")).clip(0),
            pl.col("unique_users"),
        ),
    )
    return hstack(counts, average_duration(considered))


def average_duration(activity: pl.LazyFrame) -> pl.LazyFrame:
    """Mean session length in minutes: one row, column ``average_duration`` (Float64).

    A pause longer than ``SESSION_GAP`` starts a new session. A session lasts until
    ``LAST_SIGHT`` after its last event. Total session time = sum of all pauses ≤
    ``SESSION_GAP`` + ``LAST_SIGHT`` per session, so sessions need not be materialised.
    """
    pause = pl.col("at").diff()
    same_visitor = pl.col("visitor") == pl.col("visitor").shift(1)
    continues = (same_visitor & (pause <= SESSION_GAP)).fill_null(False)
    sessions = pl.len() - continues.sum()
    seconds = pause.filter(continues).sum().dt.total_microseconds() / 1_000_000
    total_seconds = seconds + sessions * LAST_SIGHT.total_seconds()
    return activity.select(average_duration=ratio(total_seconds, sessions) / 60)
