"""Room statistics: the votes of one room."""

import polars as pl

from calculations.period import Period
from calculations.shapes import mean, ratio, total


def room_stats(votes: pl.LazyFrame, room_id: int, period: Period) -> pl.LazyFrame:
    """One row shaped like RoomStats, durations in seconds; zeros without votes."""
    rows = period.filter(votes, "voted_at").filter(pl.col("room_id") == room_id)
    return rows.select(
        votes=pl.len().cast(pl.Int64),
        duration=mean("duration"),
        estimations=total("amount_of_estimations"),
        estimations_per_vote=ratio(total("amount_of_estimations"), pl.len()),
        avg_min_estimation=mean("min_estimation"),
        avg_avg_estimation=mean("avg_estimation"),
        avg_max_estimation=mean("max_estimation"),
        spectators=total("amount_of_spectators"),
        spectators_per_vote=ratio(total("amount_of_spectators"), pl.len()),
    )
