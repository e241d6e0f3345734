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


@contextmanager
def translate_errors(server: MysqlServer) -> Iterator[None]:
    """Raise the driver's errors as SourceError, or as one of its subclasses."""
    try:
        yield
    except mysql.connector.Error as error:
        raise _error_class(error)(_message(server, error)) from error
    except OSError as error:
        raise PassingFault(f"The connection to {server.name} broke: {error}") from error


def is_missing_table(error: SourceError) -> bool:
    """Whether the server reported that the table does not exist for this user."""
    cause = error.__cause__
    return isinstance(cause, mysql.connector.Error) and cause.errno in (
        errorcode.ER_NO_SUCH_TABLE,
        errorcode.ER_TABLEACCESS_DENIED_ERROR,
    )


def _error_class(error: mysql.connector.Error) -> type[SourceError]:
    if error.errno in _UNREACHABLE:
        return Unreachable
    if isinstance(error, NotSupportedError):
        return SourceError
    return PassingFault if error.errno in _PASSING else SourceError


def _message(server: MysqlServer, error: mysql.connector.Error) -> str:
    address = f"{server.host}:{server.port}"
    reason = " ".join(str(error.msg or error).split())
    if isinstance(error, NotSupportedError):
        return (
            f"{server.user} cannot log in to {address}: {reason}; let the account use "
            "caching_sha2_password, or mysql_native_password on MariaDB"
        )
    match error.errno:
        case errorcode.CR_CONN_HOST_ERROR | errorcode.CR_UNKNOWN_HOST:
            return (
                f"No database answers at {address}: "
                "check DB_HOST, DB_PORT and the network"
            )
        case errorcode.ER_QUERY_TIMEOUT if isinstance(error, ConnectionTimeoutError):
            return (
                f"{address} accepted the connection, but sent nothing for "
                f"{server.connect_seconds} s: {_CHECK_SERVER}"
            )
        case errorcode.ER_QUERY_TIMEOUT if isinstance(
            error, ReadTimeoutError | WriteTimeoutError
        ):
            return (
                f"{server.name} has not answered for {server.read_seconds} s: "
                f"{_CHECK_SERVER}"
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
            return f"{server.name} failed: {reason}"
