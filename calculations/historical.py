"""Historical: what happened on each listed day, so far, and on average."""

from collections.abc import Mapping

import polars as pl

from calculations.period import Period
from calculations.shapes import as_list

MOVING_AVERAGE_ROWS = 30
"""How many rows of the series, of whatever interval, a moving average covers."""


def historical(
    *,
    users: pl.LazyFrame,
    page_views: pl.LazyFrame,
    rooms: pl.LazyFrame,
    estimations: pl.LazyFrame,
    votes: pl.LazyFrame,
    period: Period,
) -> pl.LazyFrame:
    """One row, one list column ``historical`` of HistoricalRow, ascending by date.

    Under a range, running sums start with it, and so do moving averages.
    """
    moments = {
        "new_users": users.select(at="created_at"),
        "page_views": page_views.select(at="viewed_at"),
        "rooms": rooms.select(at="first_used_at"),
        "estimations": estimations.select(at="estimated_at"),
        "votes": votes.select(at="voted_at"),
    }
    days = period.bucketed(counted(moments, period), pl.exclude("date").sum())
    counts, window = pl.exclude("date"), MOVING_AVERAGE_ROWS
    # A thirtieth is never near a tie, so Polars rounds it as Rounded does.
    averages = (counts.rolling_sum(window) / window).round(2)
    return as_list(
        "historical",
        days.with_columns(
            counts.cum_sum().name.prefix("acc_"), averages.name.prefix("ma_")
        ),
    )


def counted(moments: Mapping[str, pl.LazyFrame], period: Period) -> pl.LazyFrame:
    """How many of each of *moments* (``at``) there were, a row each listed day.

    Columns: ``date``, and one of Int64 for each, ascending by date.
    """
    kinds = list(enumerate(moments.items()))
    moments_of_all = pl.concat(
        rows.select(kind=_kind(number), date=period.day_of("at"))
        for number, (_, rows) in kinds
    )
    no_runs = period.listed_days().select(
        kind=_kind(None), date="date", run=pl.lit(0, dtype=pl.Int64)
    )
    runs = day_runs(moments_of_all).filter(period.reports("date"))
    run, kind = pl.col("run"), pl.col("kind")
    return (
        pl.concat([runs, no_runs])
        .group_by("date")
        .agg(
            run.filter(kind == number).sum().alias(name) for number, (name, _) in kinds
        )
        .sort("date")
    )


def day_runs(rows: pl.LazyFrame) -> pl.LazyFrame:
    """How many rows in a row have one ``kind`` and ``date``: both, and ``run`` (Int64).

    Rows come nearly in the order of their days, so measuring runs from end to end
    leaves few to group.
    """
    kind, date, end = pl.col("kind"), pl.col("date"), pl.col("end").cast(pl.Int64)
    ends = kind.ne_missing(kind.shift(-1)) | date.ne_missing(date.shift(-1))
    return (
        rows.with_row_index("end")
        .filter(ends)
        .select("kind", "date", run=end - end.shift(1, fill_value=-1))
    )


def _kind(number: int | None) -> pl.Expr:
    return pl.lit(number, dtype=pl.UInt8)
