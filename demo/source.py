"""The sample database of the demonstration: create, check and query it."""

import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from demo.database import write_database
from demo.sample import sample
from demo.schema import COLUMNS

LIFETIME: Final = timedelta(hours=4)
"""Older samples are replaced, so that there is activity in the last 24 hours."""


def is_usable(path: Path) -> bool:
    """Return True if *path* is a complete sample younger than LIFETIME."""
    if not path.is_file():
        return False
    age = time.time() - path.stat().st_mtime
    return 0 <= age <= LIFETIME.total_seconds() and _is_complete(path)


def make(path: Path, scale: float) -> None:
    """Write a sample that ends now to the SQLite file *path*."""
    write_database(path, sample(datetime.now(UTC), scale))


def count_rows(path: Path) -> int:
    """Count the rows of all six tables."""
    with closing(sqlite3.connect(path)) as database:
        counts = (f'(SELECT COUNT(*) FROM "{name}")' for name in COLUMNS)
        total: int = database.execute(f"SELECT {' + '.join(counts)}").fetchone()[0]
        return total


def busiest_room(path: Path) -> int:
    """Return the id of the room with the most votes; the lower one of equals."""
    query = "SELECT room_id FROM fpp_votes GROUP BY 1 ORDER BY COUNT(*) DESC, 1 LIMIT 1"
    with closing(sqlite3.connect(path)) as database:
        room: int = database.execute(query).fetchone()[0]
        return room


def _is_complete(path: Path) -> bool:
    try:
        with closing(sqlite3.connect(path)) as database:
            found = database.execute(
                "SELECT name FROM sqlite_schema WHERE type = 'table'"
            )
            names = {name for (name,) in found}
            (answer,) = database.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError:
        return False
    return names == set(COLUMNS) and answer == "ok"
