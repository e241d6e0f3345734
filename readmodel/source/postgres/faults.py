"""How a session of PostgreSQL fails, and the rows that it gives; needs no driver."""

type TextRow = tuple[str | None, ...]
"""One row of an answer, each value as the text of its output function."""


class ServerError(Exception):
    """The server refused a statement; `sqlstate` is its five-character code."""

    def __init__(self, sqlstate: str, message: str) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


class ConnectFailed(Exception):
    """No session came about; libpq reports no SQLSTATE for this."""


class ConnectionBroken(Exception):
    """The connection ended without an error of the server."""


class Silence(Exception):
    """The server sent nothing for the whole deadline."""
