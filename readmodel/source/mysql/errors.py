"""The driver's errors as one line each that says what to do, and whether to try again."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import mysql.connector
from mysql.connector import errorcode
from mysql.connector.errors import (
    ConnectionTimeoutError,
    NotSupportedError,
    ReadTimeoutError,
    WriteTimeoutError,
)

from readmodel.source.protocol import PassingFault, Unreachable
from util.errors import SourceError


class Server(Protocol):
    """What a message names of a server."""

    @property
    def host(self) -> str: ...

    @property
    def port(self) -> int: ...

    @property
    def user(self) -> str: ...

    @property
    def database(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def connect_seconds(self) -> int: ...

    @property
    def read_seconds(self) -> int: ...


@contextmanager
def explained(source: Server) -> Iterator[None]:
    """Turn the driver's errors into SourceError."""
    try:
        yield
    except mysql.connector.Error as error:
        raise _kind(error)(_explanation(source, error)) from error
    except OSError as error:
        raise PassingFault(f"The connection to {source.name} broke: {error}") from error


def is_no_table(fault: SourceError) -> bool:
    """Whether the server said that there is no such table for this user."""
    error = fault.__cause__
    return isinstance(error, mysql.connector.Error) and error.errno in (
        errorcode.ER_NO_SUCH_TABLE,
        errorcode.ER_TABLEACCESS_DENIED_ERROR,
    )


def _kind(error: mysql.connector.Error) -> type[SourceError]:
    if error.errno in _UNREACHABLE:
        return Unreachable
    if isinstance(error, NotSupportedError):
        return SourceError
    return PassingFault if error.errno in _PASSING else SourceError


_UNREACHABLE = {errorcode.CR_CONNECTION_ERROR, errorcode.CR_CONN_HOST_ERROR}
# What another try may find gone: the server shutting down, a connection lost or killed,
# a lock, a table that was altered since the transaction began.
_PASSING = {
    -1,  # the driver's own: an answer that breaks off
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

_SILENCE = "check whether the server is frozen or overloaded, and the network"


def _explanation(source: Server, error: mysql.connector.Error) -> str:
    where = f"{source.host}:{source.port}"
    reason = " ".join(str(error.msg or error).split())
    if isinstance(error, NotSupportedError):
        return (
            f"{where} cannot log {source.user} in: {reason}; "
            "let them use caching_sha2_password, or mysql_native_password on MariaDB"
        )
    match error.errno:
        case errorcode.CR_CONN_HOST_ERROR | errorcode.CR_UNKNOWN_HOST:
            return f"No database answers at {where}: check DB_HOST, DB_PORT and the network"
        case errorcode.ER_QUERY_TIMEOUT if isinstance(error, ConnectionTimeoutError):
            return (
                f"{where} took the connection, but said nothing for "
                f"{source.connect_seconds} s: {_SILENCE}"
            )
        case errorcode.ER_QUERY_TIMEOUT if isinstance(
            error, ReadTimeoutError | WriteTimeoutError
        ):
            return f"{source.name} has not answered for {source.read_seconds} s: {_SILENCE}"
        case errorcode.ER_ACCESS_DENIED_ERROR:
            return (
                f"{where} denied access to {source.user}: "
                "check DB_USERNAME and DB_PASSWORD"
            )
        case errorcode.ER_BAD_DB_ERROR | errorcode.ER_DBACCESS_DENIED_ERROR:
            return (
                f"{where} has no database {source.database} for {source.user}: "
                "check DB_NAME and the user's SELECT right"
            )
        case _:
            return f"{source.name} failed: {reason}"
