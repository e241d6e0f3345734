"""Historical: counts per listed day, running sums and moving averages."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

import polars as pl

from calculations.period import Interval, Period
from calculations.shapes import ROWS, TALLIED, as_list

KEYS = ("date", "hour")

MOVING_AVERAGE_ROWS = 30
"""Rows of the series in a moving average, whatever the interval."""


class Moments(NamedTuple):
    """When the rows of a table happened: column ``at`` (Datetime us, UTC).

    If they are *tallied*, each row stands for ``count`` of them.
    """

    rows: pl.LazyFrame
    tallied: bool = False

    def within(self, period: Period) -> "Moments":
        """Those in the range of *period*."""
        return Moments(period.filter(self.rows, "at"), self.tallied)

    def total(self) -> pl.Expr:
        """How many rows there were in a group (Int64)."""
        return (TALLIED if self.tallied else ROWS).cast(pl.Int64)

    def count_days(self, name: str, period: Period) -> pl.LazyFrame:
        """Counts of rows as column *name* (Int64), beside ``date``; in several rows."""
        dated = self.rows.with_columns(date=period.day_of("at"))
        if self.tallied:
            return dated.select("date", pl.col("count").cast(pl.Int64).alias(name))
        return day_runs(dated.select("date")).rename({"run": name})


def historical(
    *,
    users: pl.LazyFrame,
    page_views: pl.LazyFrame,
    rooms: pl.LazyFrame,
    estimations: pl.LazyFrame,
    votes: pl.LazyFrame,
    period: Period,
    without: Collection[str] = (),
    tallied: Collection[str] = (),
) -> pl.LazyFrame:
    """One row, one list column ``historical`` of HistoricalRow, ascending by date.

    The tables *tallied* are quarters of an hour with a ``count`` of rows.

    With a range, running sums and moving averages start at its first row. The columns
    *without*, their sums and their averages are null. With ``average_rows``, moving
    averages use rows before the range, so the tables must contain them.
    """

    def moments_of(table: str, rows: pl.LazyFrame, at: str) -> Moments:
        counts = {"count": "count"} if table in tallied else {}
        return Moments(rows.select(at=at, **counts), bool(counts))

    moments = {
        "new_users": moments_of("users", users, "created_at"),
        "page_views": moments_of("page_views", page_views, "viewed_at"),
        "rooms": moments_of("rooms", rooms, "first_used_at"),
        "estimations": moments_of("estimations", estimations, "estimated_at"),
        "votes": moments_of("votes", votes, "voted_at"),
    }
    rows = _without(_with_sums(moments, period), without)
    return as_list("historical", _with_local_hour(rows, period))


def _with_sums(moments: Mapping[str, Moments], period: Period) -> pl.LazyFrame:
    """`counts_per_row`, then their running sums ``acc_`` and averages ``ma_``."""
    wider = period.with_lookback()
    counts, window = pl.exclude(KEYS), period.average_rows or MOVING_AVERAGE_ROWS
    sums = counts.cum_sum().name.prefix("acc_")
    # A multiple of 1/30 is never near a tie, so Polars and Rounded round it alike.
    averages = (counts.rolling_sum(window) / window).round(2).name.prefix("ma_")
    rows = counts_per_row(moments, wider)
    if wider == period:
        return rows.with_columns(sums, averages)
    averages_only = rows.select(pl.col("^(date|hour)$"), averages)
    listed = {name: of.within(period) for name, of in moments.items()}
    keys = ["date", "hour"] if period.interval is Interval.HOUR else ["date"]
    return (
        counts_per_row(listed, period)
        .with_columns(sums)
        .join(averages_only, on=keys, how="left", maintain_order="left")
    )


def _without(rows: pl.LazyFrame, names: Collection[str]) -> pl.LazyFrame:
    """*rows* with null for the columns *names*, their sums and their averages."""
    dtypes = {"": pl.Int64, "acc_": pl.Int64, "ma_": pl.Float64}
    return rows.with_columns(
        pl.lit(None, dtype).alias(f"{prefix}{name}")
        for name in sorted(names)
        for prefix, dtype in dtypes.items()
    )


def counts_per_row(moments: Mapping[str, Moments], period: Period) -> pl.LazyFrame:
    """Rows per hour, day, week or month of each of *moments*, ascending.

    Columns: ``date``, with hours ``hour`` (Datetime us, UTC), then one Int64 column
    per key of *moments*.
    """
    if period.interval is Interval.HOUR:
        return hourly_counts(moments, period)
    days = daily_counts(moments, period)
    return period.group_by_interval(days, pl.exclude("date").sum())


def hourly_counts(moments: Mapping[str, Moments], period: Period) -> pl.LazyFrame:
    """Rows per hour of each of *moments*, including zeros; see `counts_per_row`."""
    rows = period.listed_hours()
    for name, of in moments.items():
        counts = of.rows.group_by(hour=period.hour_of("at")).agg(of.total().alias(name))
        rows = rows.join(counts, on="hour", how="left", maintain_order="left")
    return rows.with_columns(pl.exclude(KEYS).fill_null(0))


def _with_local_hour(rows: pl.LazyFrame, period: Period) -> pl.LazyFrame:
    """Write ``hour`` as local time with its offset, ``2026-10-25T02:00:00+02:00``."""
    if period.interval is not Interval.HOUR:
        return rows
    local = pl.col("hour").dt.convert_time_zone(period.zone.key)
    return rows.with_columns(hour=local.dt.strftime("%Y-%m-%dT%H:%M:%S%:z"))


def daily_counts(moments: Mapping[str, Moments], period: Period) -> pl.LazyFrame:
    """Rows per listed day of each of *moments*, including zeros.

    Columns: ``date``, then one Int64 column per key of *moments*. Ascending by date.
    """
    counts = (of.count_days(name, period) for name, of in moments.items())
    return (
        pl.concat([period.listed_days(), *counts], how="diagonal")
        .filter(period.reports("date"))
        .group_by("date")
        .agg(pl.col(moments).sum())
        .sort("date")
    )


def day_runs(dates: pl.LazyFrame) -> pl.LazyFrame:
    """Run-length encode the column ``date``: it, and ``run``, the length (Int64).

    Rows arrive almost in date order, so few runs remain to be grouped.
    """
    date, end = pl.col("date"), pl.col("end").cast(pl.Int64)
    is_last = end.shift(-1).is_null()
    return (
        dates.with_row_index("end")
        .filter(date.ne_missing(date.shift(-1)) | is_last)
        .select("date", run=end - end.shift(1, fill_value=-1))
    )
