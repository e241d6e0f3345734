"""Historical: counts per listed day, running sums and moving averages."""

from collections.abc import Collection, Mapping

import polars as pl

from calculations.period import Interval, Period
from calculations.shapes import as_list

KEYS = ("date", "hour")

MOVING_AVERAGE_ROWS = 30
"""Rows of the series in a moving average, whatever the interval."""


def historical(
    *,
    users: pl.LazyFrame,
    page_views: pl.LazyFrame,
    rooms: pl.LazyFrame,
    estimations: pl.LazyFrame,
    votes: pl.LazyFrame,
    period: Period,
    without: Collection[str] = (),
) -> pl.LazyFrame:
    """One row, one list column ``historical`` of HistoricalRow, ascending by date.

    With a range, running sums and moving averages start at its first row. The columns
    *without*, their sums and their averages are null. With ``average_rows``, moving
    averages use rows before the range, so the tables must contain them.
    """
    moments = {
        "new_users": users.select(at="created_at"),
        "page_views": page_views.select(at="viewed_at"),
        "rooms": rooms.select(at="first_used_at"),
        "estimations": estimations.select(at="estimated_at"),
        "votes": votes.select(at="voted_at"),
    }
    wider = period.with_lookback()
    rows = counts_per_row(moments, wider)
    counts, window = pl.exclude(KEYS), period.average_rows or MOVING_AVERAGE_ROWS
    # A multiple of 1/30 is never near a tie, so Polars and Rounded round it alike.
    averages = (counts.rolling_sum(window) / window).round(2).name.prefix("ma_")
    if wider != period:
        averages_only = rows.select(pl.col("^(date|hour)$"), averages)
        rows = counts_per_row(
            {name: period.filter(at, "at") for name, at in moments.items()}, period
        )
        keys = ["date", "hour"] if period.interval is Interval.HOUR else ["date"]
        rows = rows.with_columns(counts.cum_sum().name.prefix("acc_")).join(
            averages_only, on=keys, how="left", maintain_order="left"
        )
    else:
        rows = rows.with_columns(counts.cum_sum().name.prefix("acc_"), averages)
    columns = [
        f"{prefix}{name}" for name in sorted(without) for prefix in ("", "acc_", "ma_")
    ]
    unknown = [
        pl.lit(None, pl.Float64 if name.startswith("ma_") else pl.Int64).alias(name)
        for name in columns
    ]
    return as_list("historical", _with_local_hour(rows.with_columns(unknown), period))


def counts_per_row(moments: Mapping[str, pl.LazyFrame], period: Period) -> pl.LazyFrame:
    """Rows per hour, day, week or month of each frame in *moments*, ascending.

    Columns: ``date``, with hours ``hour`` (Datetime us, UTC), then one Int64 column
    per key of *moments*.
    """
    if period.interval is Interval.HOUR:
        return hourly_counts(moments, period)
    days = daily_counts(moments, period)
    return period.group_by_interval(days, pl.exclude("date").sum())


def hourly_counts(moments: Mapping[str, pl.LazyFrame], period: Period) -> pl.LazyFrame:
    """Rows per hour of each frame in *moments*, including zeros; see `counts_per_row`."""
    rows = period.listed_hours()
    for name, at in moments.items():
        counts = at.group_by(hour=period.hour_of("at")).agg(
            pl.len().cast(pl.Int64).alias(name)
        )
        rows = rows.join(counts, on="hour", how="left", maintain_order="left")
    return rows.with_columns(pl.exclude(KEYS).fill_null(0))


def _with_local_hour(rows: pl.LazyFrame, period: Period) -> pl.LazyFrame:
    """Write ``hour`` as local time with its offset, ``2026-10-25T02:00:00+02:00``."""
    if period.interval is not Interval.HOUR:
        return rows
    local = pl.col("hour").dt.convert_time_zone(period.zone.key)
    return rows.with_columns(hour=local.dt.strftime("%Y-%m-%dT%H:%M:%S%:z"))


def daily_counts(moments: Mapping[str, pl.LazyFrame], period: Period) -> pl.LazyFrame:
    """Rows per listed day of each frame in *moments* (column ``at``), including zeros.

    Columns: ``date``, then one Int64 column per key of *moments*. Ascending by date.
    """
    kinds = list(enumerate(moments.items()))
    dated = pl.concat(
        rows.select(kind=_kind(number), date=period.day_of("at"))
        for number, (_, rows) in kinds
    )
    zero_runs = period.listed_days().select(
        kind=_kind(None), date="date", run=pl.lit(0, dtype=pl.Int64)
    )
    runs = day_runs(dated).filter(period.reports("date"))
    run, kind = pl.col("run"), pl.col("kind")
    return (
        pl.concat([runs, zero_runs])
        .group_by("date")
        .agg(
            run.filter(kind == number).sum().alias(name) for number, (name, _) in kinds
        )
        .sort("date")
    )


def day_runs(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Run-length encode ``kind`` and ``date``: both, and ``run``, the length (Int64).

    Rows arrive almost in date order, so few runs remain to be grouped.
    """
    kind, date, end = pl.col("kind"), pl.col("date"), pl.col("end").cast(pl.Int64)
    ends_run = kind.ne_missing(kind.shift(-1)) | date.ne_missing(date.shift(-1))
    return (
        rows.with_row_index("end")
        .filter(ends_run)
        .select("kind", "date", run=end - end.shift(1, fill_value=-1))
    )


def _kind(number: int | None) -> pl.Expr:
    return pl.lit(number, dtype=pl.UInt8)
