"""The six tables in MariaDB, and whether a data directory mirrors them exactly."""

from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from readmodel.sync.run import Options, sync
from readmodel.tables import TABLES
from testbed import schema
from testbed.mariadb import Database
from tests.support.mysql import mysql_source

ROWS = 400


def create(database: Database, seed: int) -> None:
    """Create the six tables with ROWS random rows each."""
    with closing(database.connect()) as connection:
        schema.create_mysql(connection)
        schema.fill(connection, seed, ROWS)


def mirror_all(database: Database, data_dir: Path, **options: Any) -> None:
    """Sync the six tables into *data_dir*; *options* are those of `sync`."""
    sync(
        mysql_source(database),
        data_dir,
        list(TABLES.values()),
        lambda: datetime.now(UTC),
        options=Options(**options),
    )


def assert_exact(database: Database, data_dir: Path) -> None:
    """Assert that all tables equal the database by rows, and that no leftovers exist."""
    for table in TABLES:
        mirrored = pl.read_parquet(data_dir / f"{table}.parquet").rows()
        assert _sorted(mirrored) == _database_rows(database, table), table
    known = {"current", "snapshots", "update.lock", "sync_runs.parquet"}
    known |= {f"{table}.parquet" for table in TABLES}
    assert {path.name for path in data_dir.iterdir()} <= known
    assert all(path.name[0].isdigit() for path in (data_dir / "snapshots").iterdir())


def _database_rows(database: Database, table: str) -> list[str]:
    """The rows that the driver's own cursor returns."""
    with (
        closing(database.connect()) as connection,
        closing(connection.cursor()) as cursor,
    ):
        cursor.execute("SET time_zone = '+00:00'")
        cursor.execute(f"SELECT * FROM {table}")
        return _sorted(cursor.fetchall())


def _sorted(rows: Sequence[Sequence[Any]]) -> list[str]:
    """Rows as sorted texts, so that two lists of them can be compared."""
    return sorted(repr([_comparable(value) for value in row]) for row in rows)


def _comparable(value: Any) -> Any:
    """Drop the time zone of a timestamp, and make a boolean the driver's integer."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=None)
    return int(value) if isinstance(value, bool) else value
