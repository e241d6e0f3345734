"""The file of an SQLite database: how to open it, and whether it stays as it is."""

import hashlib
import os
import sqlite3
import time
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from readmodel.source.sqlite.errors import translate_errors
from util.errors import SourceError

BUSY_SECONDS = 10
"""How long to wait for a writer."""
LOOK_SECONDS = 0.25
"""Of that, how long SQLite waits by itself, in which Python handles no signal."""


@dataclass(frozen=True, slots=True)
class DatabaseFile:
    """The file at *path*, with the -wal and -shm files beside it."""

    path: Path

    @property
    def name(self) -> str:
        """A name for messages."""
        return f"SQLite file {self.path}"

    def connect(self, is_locked: bool) -> sqlite3.Connection:
        """Open the database read-only; if not *is_locked*, without locks."""
        uri = f"{self.path.absolute().as_uri()}?mode=ro"
        if not is_locked:
            uri += "&immutable=1"
        with translate_errors(self.name):
            return sqlite3.connect(
                uri, uri=True, timeout=LOOK_SECONDS, isolation_level=None
            )

    def needs_no_shared_memory(self) -> bool:
        """Whether a file in WAL mode is read in a folder that we cannot write to.

        SQLite then cannot create the -shm file that a reader needs. Without a -wal
        file no application has the database open, and the file is complete. Raises
        SourceError when there is a -wal file, whose changes cannot be read then.
        """
        folder = self.path.parent
        if not self._is_wal() or os.access(folder, os.W_OK):
            return False
        if Path(f"{self.path}-shm").exists():
            return False
        if self.has_changes_beside():
            raise SourceError(
                f"{self.name} is in WAL mode with changes in {self.path.name}-wal, which can be "
                f"read only by a user who may write to {folder}: let the updater write "
                "there, or run PRAGMA wal_checkpoint(TRUNCATE) as the owner"
            )
        return True

    def _is_wal(self) -> bool:
        """Whether the database's header says that it is in WAL mode."""
        with self.path.open("rb") as stream:
            return stream.read(20)[18:20] == b"\x02\x02"

    def has_changes_beside(self) -> bool:
        """Whether there are changes that are not in the file itself.

        Without them, an open transaction keeps the file as it is: a writer needs its
        lock, and a checkpoint does, too.
        """
        try:
            return Path(f"{self.path}-wal").stat().st_size > 0
        except FileNotFoundError:
            return False


def begin(connection: sqlite3.Connection) -> None:
    """Start a transaction, once no other process writes. Raises sqlite3.Error."""
    until = time.monotonic() + BUSY_SECONDS
    connection.execute("BEGIN")
    while True:
        try:
            # BEGIN alone does not start the transaction: its first read does.
            connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
        except sqlite3.OperationalError as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            is_busy = code == sqlite3.SQLITE_BUSY
            if not is_busy or time.monotonic() >= until:
                raise
        else:
            return


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A database's file, opened before its connection and closed after it.

    If this process closes any other stream of a file, the system drops the locks that
    SQLite has on it, and other processes may write to it within our transaction.
    """

    stream: BufferedReader
    path: Path

    def is_current(self) -> bool:
        """Whether it is still the file at its path, not one that was replaced."""
        try:
            return os.path.samestat(os.fstat(self.stream.fileno()), self.path.stat())
        except FileNotFoundError:
            return False

    def checksum(self) -> str:
        """The SHA-256 of all of it, in hexadecimal. Raises OSError."""
        self.stream.seek(0)
        return hashlib.file_digest(self.stream, "sha256").hexdigest()
