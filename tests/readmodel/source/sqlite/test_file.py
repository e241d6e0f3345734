"""The file stays as it is while a view is open, whatever other processes do."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from readmodel.source.sqlite.file import OpenFile
from readmodel.source.sqlite.source import SqliteSource
from readmodel.tables import Table

THINGS = Table("things", key="id")

WRITE = """
import sqlite3, sys
opened = sqlite3.connect(sys.argv[1], autocommit=True, timeout=0)
try:
    opened.execute("UPDATE things SET id = 2")
except sqlite3.OperationalError as error:
    print(error)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file in rollback mode, which nobody has open."""
    path = tmp_path / "source.db"
    with closing(sqlite3.connect(path, autocommit=True)) as opened:
        opened.execute("CREATE TABLE things (id INT)")
        opened.execute("INSERT INTO things VALUES (1)")
    return path


def write(path: Path) -> str:
    """What another process is told that writes to the file; nothing if it could."""
    command = [sys.executable, "-c", WRITE, str(path)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip()


def test_the_checksum_leaves_the_lock_in_place(path: Path) -> None:
    """Closing a stream of the file would drop all locks that this process has on it."""
    with SqliteSource(path).view() as view:
        assert view.mark(THINGS) is not None
        assert write(path) == "database is locked"
        assert view.key_bounds(THINGS) is not None
    assert write(path) == ""


def test_a_file_that_was_replaced_meanwhile_has_no_mark(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stream and the connection may be of different files."""
    open_file = SqliteSource._open

    def replaced(source: SqliteSource) -> object:
        stream = open_file(source)
        copy = path.with_name("copy.db")
        copy.write_bytes(path.read_bytes())
        copy.replace(path)
        return stream

    monkeypatch.setattr(SqliteSource, "_open", replaced)
    with SqliteSource(path).view() as view:
        assert view.mark(THINGS) is None


def test_a_file_that_was_removed_is_not_current(path: Path) -> None:
    """Its stream still reads it."""
    with path.open("rb") as stream:
        opened = OpenFile(stream, path)
        assert opened.is_current()
        path.unlink()
        assert not opened.is_current()
