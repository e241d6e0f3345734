"""Visits: a narrow second copy of who did something when, made as the parts are written.

Beside each part of the tables in `COLUMNS` lies a file of its rows, in their order, with
the columns there and ``visitor`` (UInt64), a hash of ``user_id``; null where that is.
It is not compressed. To read and hash 21 characters a row costs nine times as much, and
was a fifth of all that the statistics take; see docs/decisions/visits.md.
"""

from collections.abc import Collection, Mapping
from functools import cache
from typing import Final, Literal

import polars as pl

COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "fpp_estimations": ("estimated_at", "room_id"),
    "fpp_page_views": ("viewed_at",),
}
"""Table -> what is copied beside the hash."""

COMPRESSION: Final[Literal["uncompressed"]] = "uncompressed"


def derive(rows: pl.LazyFrame, table: str) -> pl.LazyFrame:
    """What the copy of *rows* of *table* holds."""
    user = pl.col("user_id").cast(pl.String)
    visitor = pl.when(user.is_not_null()).then(user.hash())
    return rows.select(visitor.alias("visitor"), *COLUMNS[table])


def applies_to(table: str, columns: Collection[str]) -> bool:
    """Whether *table*, with *columns*, has visits."""
    return table in COLUMNS and {"user_id", *COLUMNS[table]} <= set(columns)


@cache
def hash_fingerprint() -> str:
    """The name of this process's hash.

    Another version of Polars, or another processor, may hash otherwise: a copy that
    was made by another one than this is of no use beside new ones.
    """
    probe = pl.Series(["", "V1StGXR8_Z5jdHi6B-myT"]).hash()
    return "-".join(f"{value:016x}" for value in probe)
