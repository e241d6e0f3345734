"""What SQLite calls of ours: SQL functions, and a look for signals.

The functions are numbers as text with all of their digits, and digests.
"""

import sqlite3
import sys
import zlib
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from readmodel.source.sqlite.sql import MISFIT

STEPS: Final = 1_000_000
"""Instructions of SQLite between two looks for signals: some tens of milliseconds."""


class SqlFunctions:
    """Our SQL functions.

    SQLite replaces an exception in a function by an error of its own. `raised` keeps
    the exception, which may be a request to stop and then is no Exception.
    """

    def __init__(self) -> None:
        self.raised: BaseException | None = None

    def register(self, connection: sqlite3.Connection) -> None:
        """Make them known to *connection*."""
        for name, arguments, function in (
            ("digest", 1, row_digest),
            ("exact", 2, _exact),
            ("exact_decimal", 2, _exact_decimal),
        ):
            connection.create_function(
                name, arguments, self._keep_errors(function), deterministic=True
            )
        connection.set_progress_handler(self._keep_errors(_go_on), STEPS)

    def _keep_errors(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            has_returned = False
            try:
                result = function(*arguments)
                has_returned = True
            finally:
                if not has_returned:
                    self.raised = sys.exception()
            return result

        return call


def _go_on() -> int:
    """Let SQLite go on. Python handles signals here, however long a statement takes."""
    return 0


def row_digest(packed_row: bytes) -> int:
    """CRC-32 twice, as the MySQL source does."""
    return zlib.crc32(str(zlib.crc32(packed_row)).encode())


def _exact(value: float, text: str) -> str:
    """*text*, as SQLite writes *value*, if it reads back as the same number.

    SQLite writes 15 digits by default, and even 17 are not always the right ones. It
    writes no sign of zero.
    """
    return text if value and float(text) == value else repr(value)


def _exact_decimal(value: float, text: str) -> str:
    """*text*, which is *value* rounded to the scale of its column, if that is exact.

    The 16th and 17th digit are noise, as in 0.1 + 0.2.
    """
    if float(text) in (value, float(f"{value:.15g}")):
        return text
    # SQLite writes 16 digits at most.
    exact = f"{Decimal(repr(value)):f}"
    scale = len(text.partition(".")[2])
    return exact if len(exact.partition(".")[2]) <= scale else MISFIT
