"""Traffic: visitors, page views, bounce rate and session length."""

from datetime import timedelta

import polars as pl

from calculations.activity import visitors
from calculations.period import Period
from calculations.shapes import ROWS, hstack, ratio

SESSION_GAP = timedelta(minutes=10)
LAST_SIGHT = timedelta(seconds=10)


def traffic(
    page_views: pl.LazyFrame,
    activity: pl.LazyFrame,
    period: Period,
    view_count: pl.Expr = ROWS,
) -> pl.LazyFrame:
    """One row shaped like Traffic; *activity* is `activity` of the same rows.

    *view_count* is TALLIED if *page_views* are their quarters.

    Without a range, bounces and sessions consider only activity after the start of
    START_DATE. With a range, a session that crosses its edge counts with the part
    inside.
    """
    return traffic_of(traffic_sums(page_views, activity, period, view_count))


def traffic_sums(
    page_views: pl.LazyFrame,
    activity: pl.LazyFrame,
    period: Period,
    view_count: pl.Expr = ROWS,
) -> pl.LazyFrame:
    """One row with what `traffic_of` needs. Rows of disjoint sets of visitors add up.

    Columns: ``unique_users``, ``page_views``, ``estimators``, ``sessions`` (Int64) and
    ``pauses`` (Duration us), the sum of the pauses within sessions.
    """
    considered = (
        activity
        if period.range
        else activity.filter(pl.col("at") > period.history_start)
    )
    return hstack(
        visitors(activity.filter(~pl.col("estimated")), "unique_users"),
        page_views.select(page_views=view_count.cast(pl.Int64)),
        visitors(considered.filter(pl.col("estimated")), "estimators"),
        session_sums(considered),
    )


def traffic_of(sums: pl.LazyFrame) -> pl.LazyFrame:
    """One row shaped like Traffic, from the row *sums* of `traffic_sums`.

    A session lasts until ``LAST_SIGHT`` after its last event. Total session time = sum
    of all pauses ≤ ``SESSION_GAP`` + ``LAST_SIGHT`` per session, so sessions need not
    be materialised.
    """
    users, sessions = pl.col("unique_users"), pl.col("sessions")
    seconds = pl.col("pauses").dt.total_microseconds() / 1_000_000
    total_seconds = seconds + sessions * LAST_SIGHT.total_seconds()
    return sums.select(
        "unique_users",
        "page_views",
        bounce_rate=ratio((users - pl.col("estimators")).clip(0), users),
        average_duration=ratio(total_seconds, sessions) / 60,
    )


def session_sums(activity: pl.LazyFrame) -> pl.LazyFrame:
    """One row: the number of ``sessions`` (Int64) and their ``pauses`` (Duration us).

    A pause longer than ``SESSION_GAP`` starts a new session.
    """
    pause = pl.col("at").diff()
    same_visitor = pl.col("visitor") == pl.col("visitor").shift(1)
    continues = (same_visitor & (pause <= SESSION_GAP)).fill_null(False)
    return activity.select(
        sessions=pl.len().cast(pl.Int64) - continues.sum(),
        pauses=pause.filter(continues).sum(),
    )
