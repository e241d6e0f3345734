"""The votes of a snapshot, in a form whose sums cannot overflow."""

import polars as pl

from readmodel.store.room_votes import TABLE, RoomVotes
from readmodel.store.side_files import ROOMS
from readmodel.store.snapshot import Snapshot
from readmodel.store.tallies import SUMMABLE_DIGITS


def open_votes(snapshot: Snapshot) -> pl.LazyFrame:
    """The votes of *snapshot* as a lazy frame; reads no rows.

    A column of decimals is Float64 if their sum may have more digits than a decimal.
    """
    votes = snapshot.scan(TABLE)
    wide = [
        name
        for name, dtype in votes.collect_schema().items()
        if isinstance(dtype, pl.Decimal) and dtype.precision > SUMMABLE_DIGITS
    ]
    return votes.with_columns(pl.col(wide).cast(pl.Float64)) if wide else votes


def open_room_votes(snapshot: Snapshot, votes: pl.LazyFrame) -> RoomVotes | None:
    """The votes by room of *snapshot*, with the dtypes of *votes*; None without any.

    Raises OSError and PolarsError if a file cannot be read.
    """
    files = snapshot.side_files(TABLE, ROOMS)
    if not files or snapshot.manifest is None:
        return None
    stored = snapshot.manifest.tables[TABLE].schema
    return RoomVotes(files, stored, votes.collect_schema())
