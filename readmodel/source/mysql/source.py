"""MySQL and MariaDB as a source: read-only transactions of a user with SELECT rights."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Final

import mysql.connector

from readmodel.source.mysql import login, session
from readmodel.source.mysql.errors import translate_errors
from readmodel.source.mysql.server import MysqlServer
from readmodel.source.mysql.view import MysqlView
from readmodel.tables import Table
from util.errors import SourceError

KILL_SECONDS: Final = 3
"""The time limit for ending a statement that is still running when a view is closed."""


@dataclass(frozen=True, slots=True)
class MysqlSource(MysqlServer):
    """A MySQL or MariaDB database as a `Source`."""

    @contextmanager
    def view(
        self,
        tables: Sequence[Table] = (),  # noqa: ARG002 - part of the protocol
    ) -> Iterator[MysqlView]:
        """Open a view of the present instant. Raises SourceError when that fails.

        No statement of the view is running on the server afterwards.
        """
        with ExitStack() as opened:
            view = opened.enter_context(self._open())
            view.open_second = cache(partial(self._open_second, view, opened))
            yield view

    def _open_second(self, first: MysqlView, opened: ExitStack) -> MysqlView | None:
        """Open another view of the instant of *first*, until *opened* ends.

        None if something was written between, or if the log's position does not tell, and
        if the server does not accept another connection.
        """
        with suppress(SourceError), ExitStack() as trial:
            second = trial.enter_context(self._open())
            if second.is_of_instant(first):
                opened.push(trial.pop_all())
                return second
        return None

    @contextmanager
    def _open(self) -> Iterator[MysqlView]:
        """A view with a connection of its own."""
        with translate_errors(self, login=True):
            connection = self._connect()
        view = MysqlView(self, connection)
        try:
            view.begin()
            yield view
        finally:
            connection_id = connection.connection_id
            connection.close()
            if view.is_busy:
                self._kill(connection_id)

    def _connect(self) -> Any:
        connection = login.new_connection(is_verified=self.ssl_ca is not None)
        with ExitStack() as undo:
            # A refused connection has an open socket, too; also after a stop.
            undo.callback(connection.close)
            connection.connect(**self.connection_arguments())
            with translate_errors(self):
                session.prepare(connection, self.database)
            undo.pop_all()
        return connection

    def _kill(self, connection_id: int) -> None:
        """End what another connection is running, if the server answers in time.

        The server notices a closed connection only when it sends something.
        """
        seconds = min(KILL_SECONDS, self.read_seconds)
        limits = dict.fromkeys(
            ("connection_timeout", "read_timeout", "write_timeout"), seconds
        )
        connection = login.new_connection(is_verified=self.ssl_ca is not None)
        with suppress(mysql.connector.Error, OSError), closing(connection):
            connection.connect(**self.connection_arguments() | limits)
            with connection.cursor() as cursor:
                cursor.execute(f"KILL {connection_id:d}")
