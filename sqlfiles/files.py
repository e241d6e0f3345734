"""Find the SQL files of a folder, and read their text."""

from collections.abc import Collection
from pathlib import Path
from typing import Final

from readmodel.tables import EVENT_TABLE_NAMES

SUFFIX: Final = ".sql"
EVENTS_FOLDER: Final = "events"
LARGEST_FILE_BYTES: Final = 1_000_000


def sql_files(
    views_dir: Path, tables: Collection[str] = EVENT_TABLE_NAMES
) -> dict[str, Path]:
    """The SQL files of *views_dir* by their names; none if there is no such folder.

    Those in its folder `events` are about events: ``events/top.sql``. They are left out
    unless the tables of events are among *tables*. Raises OSError if a folder cannot be
    read.
    """
    found = _files_in(views_dir)
    if set(EVENT_TABLE_NAMES) <= set(tables):
        folder = views_dir / EVENTS_FOLDER
        found |= {f"{EVENTS_FOLDER}/{n}": p for n, p in _files_in(folder).items()}
    return found


def _files_in(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        return {}
    files = (path for path in folder.iterdir() if path.suffix == SUFFIX)
    return {path.name: path for path in sorted(files) if path.name[0] != "."}


def read_text(path: Path) -> str:
    """The text of a SQL file.

    Raises OSError, UnicodeDecodeError, and ValueError if the file is too large.
    """
    if path.stat().st_size > LARGEST_FILE_BYTES:
        raise ValueError(f"larger than {LARGEST_FILE_BYTES:,} bytes")
    return path.read_bytes().decode("utf-8-sig")
