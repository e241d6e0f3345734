"""The sample as an SQLite file, its columns declared as in the product's MySQL schema."""

import os
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import polars as pl
import polars.selectors as cs

BATCH_ROWS = 200_000

COLUMNS: Mapping[str, Mapping[str, str]] = {
    "fpp_estimations": {
        "id": "INTEGER NOT NULL PRIMARY KEY",
        "user_id": "VARCHAR(21) NOT NULL",
        "room_id": "INT NOT NULL",
        "estimation": "SMALLINT",
        "spectator": "BOOLEAN NOT NULL",
        "estimated_at": "TIMESTAMP NOT NULL",
    },
    "fpp_events": {
        "id": "INTEGER NOT NULL PRIMARY KEY",
        "user_id": "VARCHAR(21) NOT NULL",
        "event": "VARCHAR(30) NOT NULL",
        "event_at": "TIMESTAMP NOT NULL",
    },
    "fpp_page_views": {
        "id": "INTEGER NOT NULL PRIMARY KEY",
        "user_id": "VARCHAR(21) NOT NULL",
        "source": "VARCHAR(255)",
        "route": "VARCHAR(30) NOT NULL",
        "room_id": "INT",
        "viewed_at": "TIMESTAMP NOT NULL",
    },
    "fpp_rooms": {
        "id": "INTEGER NOT NULL PRIMARY KEY",
        "number": "MEDIUMINT NOT NULL",
        "name": "VARCHAR(15)",
        "first_used_at": "TIMESTAMP NOT NULL",
        "last_used_at": "TIMESTAMP NOT NULL",
    },
    "fpp_users": {
        "id": "VARCHAR(21) NOT NULL PRIMARY KEY",
        "device": "VARCHAR(50)",
        "os": "VARCHAR(50)",
        "browser": "VARCHAR(50)",
        "country": "VARCHAR(5)",
        "region": "VARCHAR(100)",
        "city": "VARCHAR(100)",
        "created_at": "TIMESTAMP NOT NULL",
    },
    "fpp_votes": {
        "id": "INTEGER NOT NULL PRIMARY KEY",
        "room_id": "INT NOT NULL",
        "avg_estimation": "DECIMAL(4,2) NOT NULL",
        "max_estimation": "SMALLINT NOT NULL",
        "min_estimation": "SMALLINT NOT NULL",
        "amount_of_estimations": "SMALLINT NOT NULL",
        "amount_of_spectators": "SMALLINT NOT NULL",
        "duration": "SMALLINT NOT NULL",
        "voted_at": "TIMESTAMP NOT NULL",
    },
}
"""Table -> column -> declaration. MySQL's ENUMs are texts here: SQLite has none."""


def write_database(path: Path, tables: Mapping[str, pl.DataFrame]) -> None:
    """Write *tables* to the SQLite file *path*, replacing it only when complete.

    Timestamps are stored as UTC text, ``YYYY-MM-DD HH:MM:SS``, booleans as 0 and 1.
    """
    aside = path.with_name(f"{path.name}.part")
    aside.unlink(missing_ok=True)
    with closing(sqlite3.connect(aside, autocommit=False)) as database:
        for name, rows in tables.items():
            _write_table(database, name, rows)
        database.commit()
    os.replace(aside, path)


def _write_table(database: sqlite3.Connection, name: str, rows: pl.DataFrame) -> None:
    declared = COLUMNS[name]
    columns = ", ".join(f'"{column}" {kind}' for column, kind in declared.items())
    database.execute(f'CREATE TABLE "{name}" ({columns})')
    insert = f'INSERT INTO "{name}" VALUES ({", ".join("?" * len(declared))})'
    for batch in rows.select(declared.keys()).iter_slices(BATCH_ROWS):
        database.executemany(insert, _as_stored(batch).iter_rows())


def _as_stored(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(
        cs.datetime().dt.strftime("%Y-%m-%d %H:%M:%S"),
        cs.decimal().cast(pl.Float64),
        cs.boolean().cast(pl.Int8),
    )
