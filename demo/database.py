"""The sample as an SQLite file."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

import polars as pl
import polars.selectors as cs

from demo.schema import COLUMNS, create_table, insert_into

BATCH_ROWS: Final = 200_000


def write_database(path: Path, tables: Mapping[str, pl.DataFrame]) -> None:
    """Write *tables* to the SQLite file *path*; replace it only when complete.

    Timestamps become UTC text, ``YYYY-MM-DD HH:MM:SS``, booleans 0 and 1, decimals
    numbers.
    """
    partial = path.with_name(f"{path.name}.part")
    partial.unlink(missing_ok=True)
    with closing(sqlite3.connect(partial, autocommit=False)) as database:
        for name, rows in tables.items():
            _write_table(database, name, rows)
        database.commit()
    partial.replace(path)


def _write_table(database: sqlite3.Connection, name: str, rows: pl.DataFrame) -> None:
    database.execute(create_table(name, "sqlite"))
    insert = insert_into(name, "?")
    for batch in rows.select(COLUMNS[name].keys()).iter_slices(BATCH_ROWS):
        database.executemany(insert, _as_stored(batch).iter_rows())


def _as_stored(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(
        cs.datetime().dt.strftime("%Y-%m-%d %H:%M:%S"),
        cs.decimal().cast(pl.Float64),
        cs.boolean().cast(pl.Int8),
    )
