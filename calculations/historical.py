"""Historical: what happened on each listed day, so far, and on average."""

import polars as pl

from calculations.period import Period
from calculations.shapes import series

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
    """One row, one list column ``historical`` of Day, ascending by date.

    Under a range, running sums start with it, and so do moving averages.
    """
    moments = {
        "new_users": users.select(at="created_at"),
        "page_views": page_views.select(at="viewed_at"),
        "rooms": rooms.select(at="first_used_at"),
        "estimations": estimations.select(at="estimated_at"),
        "votes": votes.select(at="voted_at"),
    }
    kinds = dict(enumerate(moments))
    runs = day_runs(
        pl.concat(
            rows.select(kind=_kind(kind), date=period.day_of("at"))
            for kind, rows in enumerate(moments.values())
        )
    )
    no_runs = period.listed_days().select(
        kind=_kind(None), date="date", run=pl.lit(0, dtype=pl.Int64)
    )
    days = pl.concat([runs.filter(period.lists("date")), no_runs])
    run, kind = pl.col("run"), pl.col("kind")
    listed = (
        days.group_by("date")
        .agg(run.filter(kind == number).sum().alias(n) for number, n in kinds.items())
        .sort("date")
    )
    counts, window = pl.exclude("date"), MOVING_AVERAGE_ROWS
    return series(
        "historical",
        period.bucketed(listed, counts.sum()).with_columns(
            counts.cum_sum().name.prefix("acc_"),
            # A thirtieth is never near a tie, so this rounds as Rounded does, and
            # takes a tenth of the time.
            (counts.rolling_sum(window) / window).round(2).name.prefix("ma_"),
        ),
    )


def day_runs(rows: pl.LazyFrame) -> pl.LazyFrame:
    """How many rows in a row have one ``kind`` and ``date``: both, and ``run`` (Int64).

    Rows come nearly in the order of their days, so measuring runs from end to end
    leaves few to group. (Where the very last date is null its run has no end, and is
    not wanted.)
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
