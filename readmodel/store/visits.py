"""Visits: a narrow second copy of some columns, derived when the parts are written.

Beside each part of the tables in `COLUMNS` lies a file with the same rows in the same
order. Its columns are ``visitor`` (UInt64, a hash of ``user_id``; null if that is null)
and those in `COLUMNS`. It is not compressed. Reading and hashing the 21 characters of
``user_id`` costs nine times as much, a fifth of the time of all statistics: see
docs/decisions/visits.md.
"""

import io
from collections.abc import Collection, Mapping
from functools import cache
from typing import Final

import polars as pl

COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "fpp_estimations": ("estimated_at", "room_id"),
    "fpp_page_views": ("viewed_at", "route", "source"),
}
"""Table -> the columns copied beside ``visitor``."""

FORMAT: Final = 2
"""Raised when `COLUMNS` change."""

COMPRESSION: Final = "uncompressed"
ROW_GROUP_ROWS: Final = 131_072


def derive(rows: pl.LazyFrame, table: str) -> pl.LazyFrame:
    """Compute the visits of *rows*: ``visitor`` (UInt64) and the columns of *table*."""
    return rows.select(visitor("user_id"), *COLUMNS[table])


def schema(table: str, columns: pl.Schema) -> pl.Schema:
    """Names and dtypes of the visits of *table*, which has *columns*."""
    copied = {name: columns[name] for name in COLUMNS[table]}
    return pl.Schema({"visitor": pl.UInt64(), **copied})


def visitor(user: str) -> pl.Expr:
    """The hash (UInt64) of the column *user* as ``visitor``; null where it is null."""
    text = pl.col(user).cast(pl.String)
    return pl.when(text.is_not_null()).then(text.hash()).alias("visitor")


def encode(rows: pl.LazyFrame, table: str) -> bytes:
    """The file with the visits of *rows*."""
    file = io.BytesIO()
    derive(rows, table).collect().write_parquet(
        file, compression=COMPRESSION, row_group_size=ROW_GROUP_ROWS
    )
    return file.getvalue()


def applies_to(table: str, columns: Collection[str]) -> bool:
    """True if *table* has visits and *columns* include all that they need."""
    return table in COLUMNS and {"user_id", *COLUMNS[table]} <= set(columns)


def version() -> str:
    """The version of the format, of which the hash function is a part."""
    return f"{hash_fingerprint()}-{FORMAT}"


@cache
def hash_fingerprint() -> str:
    """Identify this process's hash function by its values for two texts.

    Another version of Polars or another processor may hash differently. Visitors of
    different hash functions cannot be compared.
    """
    probe = pl.Series(["", "V1StGXR8_Z5jdHi6B-myT"]).hash()
    return "-".join(f"{value:016x}" for value in probe)
