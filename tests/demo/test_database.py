"""The sample as an SQLite file."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from demo.database import write_database
from demo.sample import sample
from demo.schema import COLUMNS

NOW = datetime(2026, 11, 20, 15, 30, tzinfo=UTC)


def votes() -> pl.DataFrame:
    """A vote at the edge of summer time."""
    return pl.DataFrame(
        {
            "id": [1],
            "room_id": [7],
            "avg_estimation": [Decimal("4.25")],
            "max_estimation": [8],
            "min_estimation": [1],
            "amount_of_estimations": [4],
            "amount_of_spectators": [0],
            "duration": [61],
            "voted_at": [datetime(2026, 3, 29, 1, 59, 59, tzinfo=UTC)],
        }
    )


def estimations() -> pl.DataFrame:
    """An estimation, and a spectator without one."""
    return pl.DataFrame(
        {
            "id": [1, 2],
            "user_id": ["V1StGXR8_Z5jdHi6B-myT"] * 2,
            "room_id": [7, 7],
            "estimation": [5, None],
            "spectator": [False, True],
            "estimated_at": [datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)] * 2,
        }
    )


def rows(path: Path, table: str) -> list[tuple[object, ...]]:
    """Return all rows of *table*."""
    with closing(sqlite3.connect(path)) as database:
        return database.execute(f"SELECT * FROM {table}").fetchall()


def test_values_are_stored_as_the_updater_expects_them(tmp_path: Path) -> None:
    """Timestamps are UTC text, decimals numbers, booleans 0 and 1, nulls NULL."""
    path = tmp_path / "source.db"
    write_database(path, {"fpp_votes": votes(), "fpp_estimations": estimations()})
    assert rows(path, "fpp_votes") == [
        (1, 7, 4.25, 8, 1, 4, 0, 61, "2026-03-29 01:59:59")
    ]
    assert rows(path, "fpp_estimations") == [
        (1, "V1StGXR8_Z5jdHi6B-myT", 7, 5, 0, "2026-01-02 03:04:05"),
        (2, "V1StGXR8_Z5jdHi6B-myT", 7, None, 1, "2026-01-02 03:04:05"),
    ]


def test_columns_are_declared_as_in_mysql(tmp_path: Path) -> None:
    """The catalogue has DECIMAL(4,2), BOOLEAN and TIMESTAMP, not SQLite's own types."""
    path = tmp_path / "source.db"
    write_database(path, sample(NOW, scale=0.01))
    with closing(sqlite3.connect(path)) as database:
        kinds = {
            (table, column): kind
            for table in COLUMNS
            for _, column, kind, *_ in database.execute(f"PRAGMA table_info({table})")
        }
    assert kinds["fpp_votes", "avg_estimation"] == "DECIMAL(4,2)"
    assert kinds["fpp_estimations", "spectator"] == "BOOLEAN"
    assert kinds["fpp_users", "created_at"] == "TIMESTAMP"
    assert len(kinds) == sum(map(len, COLUMNS.values()))


def test_every_row_of_every_table_is_written(tmp_path: Path) -> None:
    """The file holds as many rows as the frames."""
    path, tables = tmp_path / "source.db", sample(NOW, scale=0.01)
    write_database(path, tables)
    assert {name: len(rows(path, name)) for name in tables} == {
        name: frame.height for name, frame in tables.items()
    }


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    """Only a complete file replaces it; a partial one is overwritten later."""
    path = tmp_path / "source.db"
    write_database(path, {"fpp_votes": votes()})
    twice = pl.concat([votes(), votes()])
    with pytest.raises(sqlite3.IntegrityError):
        write_database(path, {"fpp_votes": twice})
    assert len(rows(path, "fpp_votes")) == 1
    write_database(path, {"fpp_votes": votes().with_columns(pl.lit(9).alias("id"))})
    assert rows(path, "fpp_votes")[0][0] == 9
