"""The sample database: when it is used again, and the queries on it."""

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from demo import source


@pytest.fixture
def sample_file(tmp_path: Path) -> Path:
    """A new small sample."""
    path = tmp_path / "source.db"
    source.make(path, scale=0.01)
    return path


def test_a_new_sample_is_usable(sample_file: Path) -> None:
    """A second run within hours finds its sample."""
    assert source.is_usable(sample_file)


def test_a_missing_sample_is_not_usable(tmp_path: Path) -> None:
    """The check leaves no empty file behind."""
    assert not source.is_usable(tmp_path / "source.db")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("age_seconds", "usable"),
    [(4 * 3600 - 60, True), (4 * 3600 + 60, False), (-60, False)],
)
def test_a_sample_is_used_for_four_hours(
    sample_file: Path, age_seconds: int, usable: bool
) -> None:
    """An older one has quiet last hours; one from the future comes from a wrong clock."""
    made = time.time() - age_seconds
    os.utime(sample_file, (made, made))
    assert source.is_usable(sample_file) is usable


def test_a_truncated_sample_is_not_usable(sample_file: Path) -> None:
    """Half of a database is detected."""
    os.truncate(sample_file, sample_file.stat().st_size // 2)
    assert not source.is_usable(sample_file)


def test_a_sample_of_garbage_is_not_usable(tmp_path: Path) -> None:
    """A file that is not a database is detected."""
    path = tmp_path / "source.db"
    path.write_bytes(b"no database" * 1000)
    assert not source.is_usable(path)


def test_a_sample_without_a_table_is_not_usable(sample_file: Path) -> None:
    """All six tables must exist."""
    with closing(sqlite3.connect(sample_file)) as database:
        database.execute("DROP TABLE fpp_votes")
    assert not source.is_usable(sample_file)


def test_the_busiest_room_has_the_most_votes(sample_file: Path) -> None:
    """The lower id wins a tie."""
    with closing(sqlite3.connect(sample_file)) as database:
        database.execute("DELETE FROM fpp_votes")
        votes = [(1, 5), (2, 9), (3, 8), (4, 9), (5, 8)]
        database.executemany(
            "INSERT INTO fpp_votes VALUES (?, ?, 1, 1, 1, 1, 0, 1, '2026-01-01 00:00:00')",
            votes,
        )
        database.commit()
    assert source.busiest_room(sample_file) == 8


def test_rows_of_all_tables_are_counted(sample_file: Path) -> None:
    """The count is that of the six tables together."""
    before = source.count_rows(sample_file)
    with closing(sqlite3.connect(sample_file)) as database:
        database.execute("DELETE FROM fpp_events WHERE id <= 3")
        database.commit()
    assert source.count_rows(sample_file) == before - 3
    assert before > 1000
