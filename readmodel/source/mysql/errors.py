"""The driver's errors as one-line messages, and whether a retry may help."""

from collections.abc import Iterator
from contextlib import contextmanager

import mysql.connector
from mysql.connector import errorcode
from mysql.connector.errors import (
    ConnectionTimeoutError,
    NotSupportedError,
    ReadTimeoutError,
    WriteTimeoutError,
)

from readmodel.source.mysql.server import MysqlServer
from readmodel.source.protocol import PassingFault, Unreachable
from util.errors import SourceError

_UNREACHABLE = {errorcode.CR_CONNECTION_ERROR, errorcode.CR_CONN_HOST_ERROR}
# A retry may help after these: the server shuts down, the connection is lost or killed,
# a lock is taken, a table was altered since the transaction began.
_PASSING = {
    -1,  # the driver's own number: an answer breaks off
    errorcode.CR_SERVER_GONE_ERROR,
    errorcode.CR_SERVER_LOST,
    errorcode.CR_SERVER_LOST_EXTENDED,
    errorcode.ER_CON_COUNT_ERROR,
    errorcode.ER_SERVER_SHUTDOWN,
    errorcode.ER_BAD_FIELD_ERROR,
    errorcode.ER_NO_SUCH_TABLE,
    errorcode.ER_LOCK_WAIT_TIMEOUT,
    errorcode.ER_LOCK_DEADLOCK,
    errorcode.ER_QUERY_INTERRUPTED,
    errorcode.ER_TABLE_DEF_CHANGED,
    errorcode.ER_QUERY_TIMEOUT,  # also the driver's number for a read that timed out
    1927,  # MariaDB: the connection was killed
}
_CHECK_SERVER = "check whether the server is frozen or overloaded, and the network"


# At the login these are about the account; later they are about a table.
_DENIED_LATER = {
    errorcode.ER_ACCESS_DENIED_ERROR,
    errorcode.ER_TABLEACCESS_DENIED_ERROR,
    errorcode.ER_COLUMNACCESS_DENIED_ERROR,
    errorcode.ER_VIEW_NO_EXPLAIN,
}
_BROKEN_VIEW = {
    errorcode.ER_NO_SUCH_USER,
    errorcode.ER_VIEW_INVALID,
    errorcode.ER_PROCACCESS_DENIED_ERROR,
}


@contextmanager
def translate_errors(
    server: MysqlServer, table: str | None = None, *, login: bool = False
) -> Iterator[None]:
    """Raise the driver's errors as SourceError, or as one of its subclasses.

    *table* is what was read. An error number may have another meaning at the *login*.
    """
    try:
        yield
    except mysql.connector.Error as error:
        message = (
            _login_message(server, error) if login else _message(server, error, table)
        )
        raise _error_class(error)(message) from error
    except OSError as error:
        raise PassingFault(f"The connection to {server.name} broke: {error}") from error


def is_missing_table(error: SourceError) -> bool:
    """Whether the server reported that the table does not exist for this user."""
    return _errno(error) in (
        errorcode.ER_NO_SUCH_TABLE,
        errorcode.ER_TABLEACCESS_DENIED_ERROR,
    )


def is_denied_column(error: SourceError) -> bool:
    """Whether the server reported that this user may not read some of the columns."""
    return _errno(error) in (
        errorcode.ER_TABLEACCESS_DENIED_ERROR,
        errorcode.ER_COLUMNACCESS_DENIED_ERROR,
    )


def _errno(error: SourceError) -> int | None:
    cause = error.__cause__
    return cause.errno if isinstance(cause, mysql.connector.Error) else None


def _error_class(error: mysql.connector.Error) -> type[SourceError]:
    if error.errno in _UNREACHABLE:
        return Unreachable
    if isinstance(error, NotSupportedError):
        return SourceError
    return PassingFault if error.errno in _PASSING else SourceError


def _login_message(server: MysqlServer, error: mysql.connector.Error) -> str:
    address = server.address
    if isinstance(error, NotSupportedError):
        return (
            f"{server.user} cannot log in to {address}: {_reason(error)}; let the "
            "account use caching_sha2_password, or mysql_native_password on MariaDB"
        )
    match error.errno:
        case errorcode.CR_CONN_HOST_ERROR | errorcode.CR_UNKNOWN_HOST:
            return (
                f"No database answers at {address}: "
                "check DB_HOST, DB_PORT and the network"
            )
        case errorcode.CR_CONNECTION_ERROR:
            return (
                f"No database answers at the socket {address}: "
                "check DB_HOST, and that this user may open the file"
            )
        case errorcode.ER_QUERY_TIMEOUT if isinstance(error, ConnectionTimeoutError):
            return (
                f"{address} accepted the connection, but sent nothing for "
                f"{server.connect_seconds} s: {_CHECK_SERVER}"
            )
        case errorcode.ER_ACCESS_DENIED_ERROR:
            return (
                f"{address} denied access to {server.user}: "
                "check DB_USERNAME and DB_PASSWORD"
            )
        case errorcode.ER_BAD_DB_ERROR | errorcode.ER_DBACCESS_DENIED_ERROR:
            return (
                f"{address} has no database {server.database} for {server.user}: "
                "check DB_NAME and the user's SELECT right"
            )
        case _:
            return _message(server, error, None)


def _message(
    server: MysqlServer, error: mysql.connector.Error, table: str | None
) -> str:
    subject = f"{table} in {server.name}" if table else server.name
    reason = _reason(error)
    if isinstance(error, ReadTimeoutError | WriteTimeoutError):
        return (
            f"{server.name} has not answered for {server.read_seconds} s: "
            f"{_CHECK_SERVER}"
        )
    if error.errno in _BROKEN_VIEW:
        return (
            f"{subject} cannot be read: {reason}; it is a view that does not work: "
            "check that its definer exists and may read the tables below it"
        )
    if error.errno in _DENIED_LATER:
        return (
            f"{subject} cannot be read: {reason}; check the user's SELECT right and, "
            "if it is a view, that its definer exists and may read the tables below it"
        )
    return f"{subject} failed: {reason}"


def _reason(error: mysql.connector.Error) -> str:
    return " ".join(str(error.msg or error).split())
