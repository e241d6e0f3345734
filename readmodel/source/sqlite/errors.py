"""The errors of SQLite as errors of a source."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from readmodel.source.protocol import PassingFault
from readmodel.source.sqlite.functions import SqlFunctions
from util.errors import SourceError

_PASSING = {
    sqlite3.SQLITE_BUSY,
    # A signal struck, and its exception was lost on the way through SQLite: before a
    # retry it is asked for.
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_SCHEMA,
}


@contextmanager
def translate_errors(
    name: str, functions: SqlFunctions | None = None
) -> Iterator[None]:
    """Raise the driver's errors as SourceError, or as PassingFault.

    An exception that a function of ours raised is raised as it is.
    """
    try:
        yield
    except sqlite3.Error as error:
        if functions and functions.raised:
            raise functions.raised from None
        # The primary code: extended codes have more bits.
        passing = getattr(error, "sqlite_errorcode", 0) & 0xFF in _PASSING
        kind = PassingFault if passing else SourceError
        raise kind(f"{name} cannot be read: {error}") from error
