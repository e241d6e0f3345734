"""The server's errors as one line each that says what to do, and whether to try again."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from readmodel.source.postgres.columns import identifier
from readmodel.source.postgres.faults import (
    ConnectFailed,
    ConnectionBroken,
    ServerError,
    Silence,
)
from readmodel.source.protocol import PassingFault, Unreachable
from util.errors import SourceError

LOCK_SECONDS = 10

MISSING_DRIVER = (
    "A postgresql:// source needs psycopg, which is not installed: "
    "run uv sync --extra postgres"
)


class Refused(Unreachable):
    """The server answered and let nobody in: only a server that starts changes that."""


class Server(Protocol):
    """What a message names of a server."""

    @property
    def host(self) -> str:
        """The address."""
        ...

    @property
    def port(self) -> int:
        """The port."""
        ...

    @property
    def user(self) -> str:
        """The role that reads."""
        ...

    @property
    def database(self) -> str:
        """The name of the database."""
        ...

    @property
    def name(self) -> str:
        """The database and its server, without secrets."""
        ...

    @property
    def read_seconds(self) -> int:
        """How long a silent server is waited for."""
        ...


@contextmanager
def explained(source: Server, table: str | None = None) -> Iterator[None]:
    """Turn the errors of a connection into SourceError; they concern *table*."""
    try:
        yield
    except ImportError as error:
        raise SourceError(MISSING_DRIVER) from error
    except ConnectFailed as error:
        raise _connect_fault(source, str(error)) from error
    except Silence as error:
        raise PassingFault(
            f"{source.name} has not answered for {source.read_seconds} s: "
            "check whether the server is frozen or overloaded, and the network"
        ) from error
    except ConnectionBroken as error:
        reason = _one_line(str(error))
        raise PassingFault(
            f"The connection to {source.name} broke: {reason}"
        ) from error
    except ServerError as error:
        raise _kind(error)(_explanation(source, error, table)) from error


_LIBPQ = re.compile(r"connection (?:to server .*?|is bad.*?)failed: ", re.DOTALL)
_SEVERITY = re.compile(r"^[^\s:]+:  ")
# libpq's own words where no server spoke; those of a server are in its language.
_NO_ANSWER = re.compile(
    r"Connection refused|could not translate host name|timeout expired|timed out|"
    r"No route to host|Network is unreachable|resolve host|Name or service not known|"
    r"No such file or directory"
)
_BROKE_OFF = re.compile(r"server closed the connection|could not receive|reset by peer")
_STARTING = re.compile(
    r"starting up|shutting down|recovery mode|not yet accepting|not accepting|"
    r"too many (?:clients|connections)|connection slots|is restarting"
)


def _connect_fault(source: Server, text: str) -> SourceError:
    where = f"{source.host}:{source.port}"
    if _NO_ANSWER.search(text):
        silent = "timeout expired" in text or "timed out" in text
        reason = " in time" if silent else ""
        return Unreachable(
            f"No database answers{reason} at {where}: check SOURCE_URL and the network"
        )
    if "cleartext password" in text:
        return Refused(
            f"{where} asks for the password in clear text, and nothing proves that it "
            "is the database: set DB_SSL_CA"
        )
    if _BROKE_OFF.search(text):
        return PassingFault(f"The connection to {source.name} broke: {_words(text)}")
    if _STARTING.search(text):
        return PassingFault(f"{where} lets nobody in now: {_words(text)}")
    return Refused(
        f"{where} refused {source.user}: {_words(text)}; check the user, the password "
        "and the database in SOURCE_URL, TLS (sslmode) and pg_hba.conf"
    )


def _words(text: str) -> str:
    """What the server said, without libpq's preamble."""
    last = _LIBPQ.split(text)[-1]
    return _one_line(_SEVERITY.sub("", last.strip())).rstrip(".")


def _one_line(text: str) -> str:
    return " ".join(text.split())


# What another try may find gone: the server shutting down, a session that was ended,
# a lock, a conflict on a standby, a query that took too long.
_PASSING_CLASSES = ("08", "57")
_PASSING = {
    "25P03",  # the transaction was idle for too long
    "25P04",  # the transaction took too long
    "40001",  # on a standby: the primary removed rows that were being read
    "40P01",  # a deadlock
    "42703",  # a column that was there when the columns were read
    "53200",  # out of memory
    "53300",  # too many connections
    "55P03",  # a lock was not granted in time
}
_UNGRANTED = {"55P03", "40P01"}
_ALTER_ROLE = "ALTER ROLE {user} SET {setting} = '{value}'"


_NO_TRANSACTIONS = "statement pooling mode"


def is_passing(error: ServerError) -> bool:
    """Whether another try may succeed."""
    if _NO_TRANSACTIONS in str(error):
        return False
    return error.sqlstate in _PASSING or error.sqlstate[:2] in _PASSING_CLASSES


def is_ungranted(error: BaseException | None) -> bool:
    """Whether *error* only says that one table could not be locked in time."""
    return isinstance(error, ServerError) and error.sqlstate in _UNGRANTED


def _as_written(word: str) -> str:
    """*word* as SQL has it, quoted where it must be."""
    return word if re.fullmatch("[a-z_][a-z0-9_]*", word) else identifier(word)


def _kind(error: ServerError) -> type[SourceError]:
    return PassingFault if is_passing(error) else SourceError


def _explanation(source: Server, error: ServerError, table: str | None) -> str:
    reason = _one_line(str(error))
    where = f" at {table}" if table else ""
    return (
        _ended(source, error.sqlstate, reason)
        or _unreadable(source, error.sqlstate, reason, table)
        or f"{source.name} failed{where}: {reason}"
    )


def _ended(source: Server, sqlstate: str, reason: str) -> str | None:
    """Why the server, or a pooler, ended a transaction; None for another error."""
    match sqlstate:
        case "08P01" if _NO_TRANSACTIONS in reason:
            return (
                f"{source.name} is reached by a pooler without transactions ({reason}): "
                "give this database pool_mode = transaction or session, "
                "or name the server itself"
            )
        case "40001":
            return (
                f"{source.name} is a standby and cancelled the transaction ({reason}): "
                "set hot_standby_feedback = on there, or a larger "
                "max_standby_streaming_delay"
            )
        case "57014":
            remedy = _ALTER_ROLE.format(
                user=source.user, setting="statement_timeout", value="10min"
            )
            return (
                f"{source.name} ended a query ({reason}): "
                f"if its statement_timeout is too short, {remedy}"
            )
        case "25P03" | "25P04":
            return f"{source.name} ended the transaction for taking long: {reason}"
    return None


def _unreadable(
    source: Server, sqlstate: str, reason: str, table: str | None
) -> str | None:
    """Why a table cannot be read; None for another error."""
    named, user = table or "a table", source.user
    match sqlstate:
        case "55P03":
            return f"{named} is being altered: waited {LOCK_SECONDS} s for its lock"
        case "42P01" | "3F000":
            return (
                f"Table {named} is missing in {source.name}; "
                "a table outside the schema public is written schema.table"
            )
        case "42501" if "row-level security" in reason:
            return (
                f"Row-level security hides rows of {named} from {user}, so the mirror "
                f"would not be the table: ALTER ROLE {user} BYPASSRLS, "
                "or leave the table out"
            )
        case "42501" if table:
            return (
                f"{user} may not read {table} in {source.name}: {_grants(user, table)}"
            )
        case "42809":
            return (
                f"{named} is a materialized view, a foreign table or no table at all, "
                "which cannot be kept from changing while it is read: "
                "leave it out, or name a table or a view"
            )
        case "22021" | "22P05":
            return (
                f"{named} holds text that is not UTF-8 ({reason}): the database's "
                "encoding must say what its text is, and SQL_ASCII does not"
            )
        case "54000" | "XX000" if "memory alloc" in reason or "enlarge" in reason:
            return f"A row of {named} is larger than 1 GB as text: {reason}"
    return None


def _grants(user: str, table: str) -> str:
    """The statements that let *user* read *table*."""
    schema, dot, name = table.partition(".")
    schema, name = map(_as_written, (schema, name) if dot else ("public", table))
    return (
        f"GRANT USAGE ON SCHEMA {schema} TO {user}; "
        f"GRANT SELECT ON {f'{schema}.{name}' if dot else name} TO {user} (all columns)"
    )
