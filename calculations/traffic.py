"""Traffic: visitors, page views, bounce rate and time spent per session."""

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
    """One row shaped like Traffic; *activity* is that of page views and estimations.

    Under a range a session that its edge cuts counts with the part inside. Else bounces
    and sessions begin after START_DATE.
    """
    since = (
        activity
        if period.range
        else activity.filter(pl.col("at") > period.history_start)
    )
    counts = hstack(
        visitors(activity.filter(~pl.col("estimated")), "unique_users"),
        page_views.select(page_views=pl.len().cast(pl.Int64)),
        visitors(since.filter(pl.col("estimated")), "estimators"),
    ).select(
        "unique_users",
        "page_views",
        bounce_rate=ratio(
            (pl.col("unique_users") - pl.col("estimators")).clip(0),
            pl.col("unique_users"),
        ),
    )
    return hstack(counts, duration(since))


def duration(activity: pl.LazyFrame) -> pl.LazyFrame:
    """The mean length of a session in minutes, as ``average_duration``.

    A pause longer than ``SESSION_GAP`` opens a new session, and each session lasts
    ``LAST_SIGHT`` beyond its last event. So the sessions together last all pauses
    that are not longer, and ``LAST_SIGHT`` each: no session has to be built.
    """
    pause = pl.col("at").diff()
    same_visitor = pl.col("visitor") == pl.col("visitor").shift(1)
    goes_on = (same_visitor & (pause <= SESSION_GAP)).fill_null(False)
    sessions = pl.len() - goes_on.sum()
    seconds = pause.filter(goes_on).sum().dt.total_microseconds() / 1_000_000
    lasting = seconds + sessions * LAST_SIGHT.total_seconds()
    return activity.select(average_duration=ratio(lasting, sessions) / 60)
