"""One connection to PostgreSQL: statements and COPY, with a deadline on every wait.

libpq is polled here instead of by psycopg, so that a server that falls silent ends the
run, an exception raised by a signal handler propagates at once, and rows are not
turned into Python objects. Statements go by the simple protocol: nothing is prepared,
which a pooler could not follow.
"""

import selectors
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple, Self

import psycopg
from psycopg import Error
from psycopg.errors import Diagnostic
from psycopg.pq import DiagnosticField, ExecStatus, TransactionStatus
from psycopg.pq.abc import PGconn, PGresult

from readmodel.source.postgres.faults import (
    ConnectFailed,
    ConnectionBroken,
    ServerError,
    Silence,
    TextRow,
)

ROWS_PER_BATCH = 40_000
# Joined at once. A line is two objects of the garbage collector, which would run at 700
# and look at all lines again and again: that doubled the cost of a row.
LINES_AT_ONCE = 250
BYTES_PER_BATCH = 32 * 2**20
CANCEL_SECONDS = 2.0


class CopiedRows(NamedTuple):
    """Lines of a COPY as one text, and how many rows they are."""

    text: bytes
    rows: int


class Connection:
    """A session. `query` and `copy` raise the errors of this module."""

    def __init__(self, session: psycopg.Connection, read_seconds: float) -> None:
        self._session = session
        self._libpq: PGconn = session.pgconn
        self._read_seconds = read_seconds
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._libpq.socket, selectors.EVENT_READ)
        self._has_lines = False
        self._last_words: ServerError | None = None
        session.add_notice_handler(self._listen)

    @classmethod
    def open(cls, login: Mapping[str, str | int], read_seconds: float) -> Self:
        """Log in. Raises ConnectFailed."""
        try:
            # psycopg's own statements, of which there are none, would not be prepared.
            session = psycopg.connect(
                **login,  # type: ignore[arg-type]
                autocommit=True,
                prepare_threshold=None,
            )
        except Error as error:
            raise ConnectFailed(str(error)) from error
        return cls(session, read_seconds)

    @property
    def prepare_threshold(self) -> int | None:
        """Psycopg's limit for preparing statements: None, so it never does."""
        return self._session.prepare_threshold

    @property
    def server_version(self) -> int:
        """The server's version, as 150018 for 15.18."""
        return self._libpq.server_version

    @property
    def is_encrypted(self) -> bool:
        """Whether the session uses TLS."""
        return bool(self._libpq.ssl_in_use)

    @property
    def backend_pid(self) -> int:
        """The process of the server that serves this session."""
        return self._libpq.backend_pid

    def query(self, statement: str) -> list[TextRow]:
        """All rows of *statement*; several statements give those of the last."""
        self._send(statement)
        results = self._results()
        return _rows(results[-1]) if results else []

    def copy(self, statement: str) -> Iterator[CopiedRows]:
        """The lines of a COPY TO STDOUT, one a row, in texts of bounded size.

        To be read to its end.
        """
        self._send(statement)
        self._results()
        self._has_lines = True
        while self._has_lines:
            texts: list[bytes] = []
            rows = size = 0
            while self._has_lines and rows < ROWS_PER_BATCH and size < BYTES_PER_BATCH:
                lines = self._lines()
                texts.append(b"".join(lines))
                rows += len(lines)
                size += len(texts[-1])
            if rows:
                yield CopiedRows(b"".join(texts), rows)
        self._results()

    def abandon_copy(self) -> None:
        """Cancel a COPY whose lines are not wanted any more, so that others can follow."""
        if self._has_lines:
            with suppress(Error):
                self._session.cancel_safe(timeout=CANCEL_SECONDS)
        with suppress(ServerError):
            while self._has_lines:
                self._lines()
            self._results()

    def _lines(self) -> list[memoryview]:
        """The next lines of a COPY. After the last one, `_has_lines` is False."""
        # A message a row: this loop is most of what a fetch costs.
        receive = self._libpq.get_copy_data
        lines: list[memoryview] = []
        size = 0
        try:
            while len(lines) < LINES_AT_ONCE and size < BYTES_PER_BATCH:
                length, line = receive(1)
                if length > 0:
                    lines.append(line)
                    size += length
                elif length == 0:
                    self._read()
                else:
                    self._has_lines = False
                    return lines
        except Error as error:
            raise self._broken(error) from error
        return lines

    def close(self) -> None:
        """End the session; a statement still at work is cancelled first."""
        self._selector.close()
        if self._libpq.transaction_status == TransactionStatus.ACTIVE:
            with suppress(Error):
                self._session.cancel_safe(timeout=CANCEL_SECONDS)
        self._session.close()

    def _send(self, statement: str) -> None:
        try:
            self._read_while_idle()
            self._libpq.send_query(statement.encode())
            while self._libpq.flush():
                self._wait(selectors.EVENT_READ | selectors.EVENT_WRITE)
        except Error as error:
            raise self._broken(error) from error

    def _read_while_idle(self) -> None:
        """Take in why the server ended the session meanwhile; sending would lose it."""
        if self._selector.select(0):
            self._libpq.consume_input()
            self._libpq.is_busy()

    def _listen(self, notice: Diagnostic) -> None:
        """Keep a fatal error that came between two statements, where it is a notice."""
        if notice.severity_nonlocalized in ("FATAL", "PANIC"):
            self._last_words = ServerError(
                notice.sqlstate or "", notice.message_primary or ""
            )

    def _broken(self, error: Exception) -> Exception:
        """The server's last words, which explain it best, or that the session broke."""
        return self._last_words or ConnectionBroken(str(error))

    def _results(self) -> Sequence[PGresult]:
        """The results of what was sent, up to the lines of a COPY.

        Raises ServerError for the first statement that failed.
        """
        results: list[PGresult] = []
        failure: ServerError | None = None
        try:
            while (result := self._next_result()) is not None:
                if result.status == ExecStatus.FATAL_ERROR:
                    failure = failure or _error(result)
                results.append(result)
                if result.status == ExecStatus.COPY_OUT:
                    break
        except Error as error:
            # After a fatal error the server closes the connection.
            if failure is None:
                raise self._broken(error) from error
        if failure is not None:
            raise failure if failure.sqlstate else self._broken(failure)
        return results

    def _next_result(self) -> PGresult | None:
        # Where the connection ended, libpq has a result that says why.
        with suppress(Error):
            while self._libpq.is_busy():
                self._read()
        return self._libpq.get_result()

    def _read(self) -> None:
        self._wait(selectors.EVENT_READ)
        self._libpq.consume_input()

    def _wait(self, events: int) -> None:
        self._selector.modify(self._libpq.socket, events)
        if not self._selector.select(self._read_seconds):
            raise Silence


def _rows(result: PGresult) -> list[TextRow]:
    columns = range(result.nfields)
    return [
        tuple(_text(result.get_value(row, column)) for column in columns)
        for row in range(result.ntuples)
    ]


def _text(value: bytes | None) -> str | None:
    return None if value is None else bytes(value).decode()


def _error(result: PGresult) -> ServerError:
    """Its message may not be UTF-8 before the encodings are agreed on."""
    state = result.error_field(DiagnosticField.SQLSTATE) or b""
    primary = result.error_field(DiagnosticField.MESSAGE_PRIMARY)
    message = primary or result.error_message
    return ServerError(state.decode(), message.decode(errors="replace").strip())
