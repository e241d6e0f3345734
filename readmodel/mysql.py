"""MySQL and MariaDB as a source: one read-only transaction, rows packed by the server.

Nothing but SELECT rights is needed.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

import mysql.connector
from mysql.connector import errorcode
from mysql.connector.connection import MySQLConnection

from readmodel.mysql_types import Catalogued, column, identifier
from readmodel.packed import END, SEPARATOR, Batch, Column, Truncated, is_whole
from readmodel.source import (
    EVERYTHING,
    SECONDS_TO_1970,
    Axis,
    Block,
    Cut,
    Extent,
    PassingFault,
    Span,
    Unreachable,
    unpacked,
)
from readmodel.tables import Table
from util.errors import SourceError

CONNECT_SECONDS = 10
# A server that is frozen, or a network that swallows packets, ends the run.
READ_SECONDS = 300

ROWS_PER_QUERY = 40_000

_SESSION = (
    "SET SESSION time_zone = '+00:00', sql_mode = '', group_concat_max_len = 1073741824"
)
# Under READ COMMITTED a consistent snapshot silently is none, so this comes first.
_ISOLATION = "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ"
_BEGIN = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"


@dataclass(frozen=True, slots=True)
class MysqlSource:
    """Where the database is, and who may read it."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    database: str
    ssl_ca: str | None = None
    read_seconds: int = READ_SECONDS

    @property
    def name(self) -> str:
        return f"{self.database} on {self.host}:{self.port}"

    @contextmanager
    def view(self) -> Iterator["MysqlView"]:
        """One consistent instant. Raises SourceError that says what to do."""
        with _explained(self):
            connection = self._connect()
        try:
            yield MysqlView(self, connection)
        finally:
            connection.close()

    def _encryption(self) -> dict[str, Any]:
        """TLS where the server offers it; with a CA only TLS, and only with that CA."""
        if self.ssl_ca is None:
            return {}
        return {
            "ssl_ca": self.ssl_ca,
            "ssl_verify_cert": True,
            "ssl_verify_identity": True,
        }

    def _connect(self) -> Any:
        connection = MySQLConnection()
        try:
            connection.connect(**self._login())
            with connection.cursor() as cursor:
                for statement in (_SESSION, _ISOLATION, _BEGIN):
                    cursor.execute(statement)
        except BaseException:
            # Also where it was refused, or its socket stays open.
            connection.close()
            raise
        return connection

    def _login(self) -> dict[str, Any]:
        return {
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "password": self.password,
            "database": self.database,
            "autocommit": True,
            "charset": "utf8mb4",
            "collation": "utf8mb4_bin",
            "connection_timeout": CONNECT_SECONDS,
            "read_timeout": self.read_seconds,
            "write_timeout": self.read_seconds,
            **self._encryption(),
        }


class MysqlView:
    """One instant of the database: the methods of `source.View`."""

    def __init__(self, source: MysqlSource, connection: Any) -> None:
        self._source = source
        self._connection = connection

    def columns(self, table: Table) -> Sequence[Column]:
        found = self._query(
            "SELECT column_name, column_type, character_set_name, is_nullable "
            "FROM information_schema.columns "
            "WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position",
            (self._source.database, table.name),
        )
        if not found:
            raise SourceError(
                f"Table {table.name} is missing in {self._source.name}, "
                "or this user may not SELECT from it"
            )
        return [
            _column(table, Catalogued(r[0], r[1], r[2], r[3] == "YES")) for r in found
        ]

    def extent(self, table: Table) -> Extent | None:
        key, name = identifier(table.key), identifier(table.name)
        ((low, high),) = self._query(f"SELECT MIN({key}), MAX({key}) FROM {name}")
        if low is None:
            return None
        estimate = self._query(
            "SELECT table_rows FROM information_schema.tables "
            "WHERE table_schema = %s AND table_name = %s",
            (self._source.database, table.name),
        )
        return Extent(int(low), int(high), int(estimate[0][0] or 0))

    def blocks(
        self,
        table: Table,
        columns: Sequence[Column],
        cut: Cut,
        span: Span = EVERYTHING,
    ) -> Sequence[Block]:
        # The second CRC is over the first one's digits: unlike CRC alone, it is not
        # linear, so values swapped between two rows cannot cancel out in the sum.
        found = self._query(
            f"SELECT {_number(cut)} AS block, COUNT(*), "
            f"SUM(CRC32(CRC32({_row(columns)}))) "
            f"FROM {identifier(table.name)} WHERE {_spanned(cut, span)} GROUP BY block"
        )
        numbered = [Block(_signed(n, columns, cut), c, int(d)) for n, c, d in found]
        return sorted(numbered, key=lambda b: (b.number is not None, b.number or 0))

    def rows(
        self,
        table: Table,
        columns: Sequence[Column],
        cut: Cut,
        blocks: Sequence[Block],
    ) -> Iterator[Batch]:
        fetch = _Fetch(self, table, columns, cut)
        small = [block for block in blocks if block.rows <= ROWS_PER_QUERY]
        large = [block for block in blocks if block.rows > ROWS_PER_QUERY]
        if cut.axis is Axis.TIME:
            # Often there is no index on it, so all blocks come from one scan.
            yield from fetch.by_block(small)
        else:
            for run in _runs(small):
                yield from fetch.together(run)
        for block in large:
            yield from fetch.split([block], -(-block.rows // ROWS_PER_QUERY))

    def stream(self, statement: str) -> Iterator[tuple[Any, ...]]:
        """The rows of an answer as bytes, one at a time as they come."""
        with _explained(self._source):
            # Closed only when read to its end: otherwise closing it complains of what
            # is unread, in place of the error that ended the reading.
            cursor = self._connection.cursor(raw=True)
            cursor.execute(statement)
            yield from cursor
            cursor.close()

    def _query(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        with _explained(self._source), self._connection.cursor() as cursor:
            cursor.execute(statement, tuple(values))
            rows: list[Any] = cursor.fetchall()
            return rows


def _column(table: Table, row: Catalogued) -> Column:
    made = column(row)
    if made is None:
        raise SourceError(
            f"{table.name}.{row.name} has the type {row.type}, "
            "which the read model cannot hold"
        )
    return made


def _row(columns: Sequence[Column]) -> str:
    """SQL for one packed row; separators stand in it as themselves, not escaped."""
    fields = f",'{SEPARATOR}',".join(column.sql for column in columns)
    return f"CONCAT({fields},'{END}')"


def _number(cut: Cut) -> str:
    key = identifier(cut.key)
    if cut.axis is Axis.TIME:
        return f"TO_SECONDS({key}) DIV {cut.width}"
    # A shift rounds down; DIV would put -1 and 1 into the same block.
    return f"{key} >> {cut.width.bit_length() - 1}"


def _signed(number: int | None, columns: Sequence[Column], cut: Cut) -> int | None:
    """MySQL shifts as unsigned 64 bits; bring negative blocks back."""
    if number is None or cut.axis is Axis.TIME:
        return number
    bits = 64 - (cut.width.bit_length() - 1)
    key = next(column for column in columns if column.name == cut.key)
    negative = key.dtype.is_signed_integer() and number >= 1 << (bits - 1)
    return number - (1 << bits) if negative else number


class _Fetch:
    """The ways to fetch blocks of one table."""

    def __init__(
        self, view: MysqlView, table: Table, columns: Sequence[Column], cut: Cut
    ) -> None:
        self._view = view
        self._table = table
        self._columns = columns
        self._cut = cut
        self._row = _row(columns)

    def together(self, blocks: Sequence[Block]) -> Iterator[Batch]:
        """In one text, or in more where one does not fit."""
        ((_, count, text),) = self._view.stream(self._statement(blocks, "NULL"))
        self._check(count, blocks)
        try:
            yield self._unpacked(text, int(count))
        except Truncated:
            yield from self.split(blocks, 2)

    def by_block(self, blocks: Sequence[Block]) -> Iterator[Batch]:
        """In one scan, a text per block; texts are gathered to a batch."""
        wanted = {block.number: block for block in blocks}
        gathered, rows, missed = [], 0, []
        statement = self._statement(blocks, _number(self._cut), grouped=True)
        for group, count, text in self._view.stream(statement) if blocks else ():
            block = wanted.pop(None if group is None else int(group))
            self._check(count, [block])
            if not is_whole(text):
                missed.append(block)
                continue
            gathered.append(bytes(text))
            rows += block.rows
            if rows >= ROWS_PER_QUERY:
                yield self._unpacked(b"".join(gathered), rows)
                gathered, rows = [], 0
        self._check(0, list(wanted.values()))
        if rows:
            yield self._unpacked(b"".join(gathered), rows)
        for block in missed:
            yield from self.split([block], 2)

    def split(self, blocks: Sequence[Block], shares: int) -> Iterator[Batch]:
        """In as many texts as it takes: a row's hash says in which it comes."""
        rows = sum(block.rows for block in blocks)
        share = f"MOD(CRC32({self._row}),{shares})"
        statement = self._statement(blocks, share, grouped=True)
        batches, came, whole = [], 0, True
        for _, count, text in self._view.stream(statement):
            came += int(count)
            whole = whole and is_whole(text)
            if whole:
                batches.append(self._unpacked(text, int(count)))
        self._check(came, blocks)
        if whole:
            yield from batches
            return
        if shares > 8 * rows:
            raise SourceError(
                f"{self._table.name}: a row is larger than the server's "
                "max_allowed_packet, so it cannot be sent"
            )
        yield from self.split(blocks, shares * 2)

    def _statement(
        self, blocks: Sequence[Block], group: str, grouped: bool = False
    ) -> str:
        return (
            f"SELECT {group} AS part, COUNT(*), GROUP_CONCAT({self._row} SEPARATOR '') "
            f"FROM {identifier(self._table.name)} WHERE {_within(self._cut, blocks)}"
            + (" GROUP BY part" if grouped else "")
        )

    def _check(self, count: Any, blocks: Sequence[Block]) -> None:
        wanted = sum(block.rows for block in blocks)
        if int(count) != wanted:
            raise PassingFault(
                f"{self._table.name}: {int(count)} rows came where {wanted} were "
                "counted; its storage engine must know transactions (InnoDB)"
            )

    def _unpacked(self, text: Any, rows: int) -> Batch:
        return unpacked(self._table, bytes(text or b""), self._columns, rows)


def _within(cut: Cut, blocks: Sequence[Block]) -> str:
    """SQL that is true for the rows of *blocks* and no others."""
    key = identifier(cut.key)
    block_of = f"TO_SECONDS({key})" if cut.axis is Axis.TIME else key
    numbers = [block.number for block in blocks if block.number is not None]
    ranges = [
        f"{key} BETWEEN {_first(cut, low)} AND {_last(cut, high)}"
        for low, high in _spans(numbers)
    ]
    inside = f"({' OR '.join(ranges)}) AND {block_of} IS NOT NULL" if ranges else ""
    if len(numbers) == len(blocks):
        return inside
    nowhere = f"{block_of} IS NULL"
    return f"({inside}) OR {nowhere}" if inside else nowhere


def _spanned(cut: Cut, span: Span) -> str:
    """SQL that is true for the rows of *span*."""
    key = identifier(cut.key)
    bounds = []
    if span.first is not None:
        bounds.append(f"{key} >= {_first(cut, span.first)}")
    if span.last is not None:
        bounds.append(f"{key} <= {_last(cut, span.last)}")
    inside = " AND ".join(bounds) or "TRUE"
    return inside if span.first is not None else f"({inside}) OR {key} IS NULL"


def _first(cut: Cut, number: int) -> str:
    if cut.axis is Axis.NUMBER:
        return str(number * cut.width)
    return f"'{_moment(number * cut.width)}'"


def _last(cut: Cut, number: int) -> str:
    if cut.axis is Axis.NUMBER:
        return str((number + 1) * cut.width - 1)
    return f"'{_moment((number + 1) * cut.width - 1)}.999999'"


def _moment(seconds: int) -> datetime:
    return datetime(1970, 1, 1) + timedelta(seconds=seconds - SECONDS_TO_1970)


def _spans(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """First and last of each unbroken run of ascending *numbers*."""
    for _, run in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0]):
        members = [number for _, number in run]
        yield members[0], members[-1]


def _runs(blocks: Sequence[Block]) -> Iterator[Sequence[Block]]:
    """*blocks* in order, in runs of at most ROWS_PER_QUERY rows."""
    run: list[Block] = []
    rows = 0
    for block in blocks:
        if run and rows + block.rows > ROWS_PER_QUERY:
            yield run
            run, rows = [], 0
        run.append(block)
        rows += block.rows
    if run:
        yield run


@contextmanager
def _explained(source: MysqlSource) -> Iterator[None]:
    """Turn the driver's errors into one line that says what to do."""
    try:
        yield
    except mysql.connector.Error as error:
        raise _kind(error)(_explanation(source, error)) from error
    except OSError as error:
        raise PassingFault(f"The connection to {source.name} broke: {error}") from error


def _kind(error: mysql.connector.Error) -> type[SourceError]:
    if error.errno in _UNREACHABLE:
        return Unreachable
    return PassingFault if error.errno in _PASSING else SourceError


_UNREACHABLE = {errorcode.CR_CONNECTION_ERROR, errorcode.CR_CONN_HOST_ERROR}
# What another try may find gone: the server shutting down, a connection lost or killed, a lock, a table that was altered since the transaction began.
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


def _explanation(source: MysqlSource, error: mysql.connector.Error) -> str:
    where = f"{source.host}:{source.port}"
    match error.errno:
        case errorcode.CR_CONN_HOST_ERROR | errorcode.CR_UNKNOWN_HOST:
            return f"No database answers at {where}: check DB_HOST, DB_PORT and the network"
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
            reason = " ".join(str(error.msg or error).split())
            return f"{source.name} failed: {reason}"
