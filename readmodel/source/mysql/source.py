"""MySQL and MariaDB as a source: one read-only transaction, rows packed by the server.

Nothing but SELECT rights is needed.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from mysql.connector.connection import MySQLConnection

from readmodel.source.blocking import (
    EVERYTHING,
    Block,
    Blocking,
    BlockRange,
    KeyBounds,
    KeyKind,
)
from readmodel.source.mysql import sql
from readmodel.source.mysql.columns import Catalogued, column, identifier
from readmodel.source.mysql.errors import explained, is_no_table
from readmodel.source.protocol import PassingFault
from readmodel.source.wire import Batch, Column, Truncated, decode, is_whole
from readmodel.tables import Table
from util.errors import SourceError

CONNECT_SECONDS = 10
# A server that is frozen, or a network that swallows packets, ends the run.
READ_SECONDS = 300

ROWS_PER_QUERY = 40_000
# Ids per row up to which an estimate of the rows is believed.
DENSE = 4

# As long as a packet can be, less one: servers multiply it by the bytes of a character
# within 32 bits, where 2 ** 30 would become 0.
_TEXT_BYTES = 2**30 - 1
_SESSION = (
    "SET SESSION time_zone = '+00:00', sql_mode = '', "
    f"group_concat_max_len = {_TEXT_BYTES}"
)
# GROUP BY takes a name for a column's before it takes it for an alias.
_FIRST = 1
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

    @property
    def connect_seconds(self) -> int:
        return min(CONNECT_SECONDS, self.read_seconds)

    @contextmanager
    def view(self) -> Iterator["MysqlView"]:
        """One consistent instant. Raises SourceError that says what to do."""
        with explained(self):
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
            "connection_timeout": self.connect_seconds,
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
            raise self._missing(table)
        return [_column(table, _catalogued(row)) for row in found]

    def _missing(self, table: Table) -> SourceError:
        """Why the catalogue does not have it.

        MariaDB's lacks a table for a moment while it is altered; to read from it waits
        until that is over.
        """
        try:
            self._query(f"SELECT 1 FROM {identifier(table.name)} LIMIT 0")
        except SourceError as fault:
            if not is_no_table(fault):
                return fault
            return SourceError(
                f"Table {table.name} is missing in {self._source.name}, "
                "or this user may not SELECT from it"
            )
        return PassingFault(f"Table {table.name} was altered in {self._source.name}")

    def extent(self, table: Table) -> KeyBounds | None:
        key, name = identifier(table.key), identifier(table.name)
        ((low, high),) = self._query(f"SELECT MIN({key}), MAX({key}) FROM {name}")
        if low is None:
            return None
        return KeyBounds(int(low), int(high), self._rows(table, int(high) - int(low)))

    def _rows(self, table: Table, spread: int) -> int:
        """About how many rows there are; counted where the estimate looks stale."""
        ((estimate,),) = self._query(
            "SELECT table_rows FROM information_schema.tables "
            "WHERE table_schema = %s AND table_name = %s",
            (self._source.database, table.name),
        )
        if estimate is not None and spread < DENSE * int(estimate):
            return int(estimate)
        ((count,),) = self._query(f"SELECT COUNT(*) FROM {identifier(table.name)}")
        return int(count)

    def blocks(
        self,
        table: Table,
        columns: Sequence[Column],
        cut: Blocking,
        span: BlockRange = EVERYTHING,
    ) -> Sequence[Block]:
        # The second CRC is over the first one's digits: unlike CRC alone, it is not
        # linear, so values swapped between two rows cannot cancel out in the sum.
        found = self._query(
            f"SELECT {sql.number(cut)}, COUNT(*), "
            f"SUM(CRC32(CRC32({sql.row(columns)}))) "
            f"FROM {identifier(table.name)} WHERE {sql.spanned(cut, span)} "
            f"GROUP BY {_FIRST}"
        )
        numbered = [Block(_signed(n, columns, cut), c, int(d)) for n, c, d in found]
        return sorted(numbered, key=lambda b: (b.number is not None, b.number or 0))

    def rows(
        self,
        table: Table,
        columns: Sequence[Column],
        cut: Blocking,
        blocks: Sequence[Block],
    ) -> Iterator[Batch]:
        fetch = _Fetch(self, table, columns, cut)
        small = [block for block in blocks if block.rows <= ROWS_PER_QUERY]
        large = [block for block in blocks if block.rows > ROWS_PER_QUERY]
        if cut.axis is KeyKind.TIME:
            # Often there is no index on it, so all blocks come from one scan.
            yield from fetch.by_block(small)
        else:
            for run in _runs(small):
                yield from fetch.together(run)
        for block in large:
            yield from fetch.split([block], -(-block.rows // ROWS_PER_QUERY))

    def stream(self, statement: str) -> Iterator[tuple[Any, ...]]:
        """The rows of an answer as bytes, one at a time as they come."""
        with explained(self._source):
            # Closed only when read to its end: otherwise closing it complains of what
            # is unread, in place of the error that ended the reading.
            cursor = self._connection.cursor(raw=True)
            cursor.execute(statement)
            yield from cursor
            cursor.close()

    def _query(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        with explained(self._source), self._connection.cursor() as cursor:
            cursor.execute(statement, tuple(values))
            rows: list[Any] = cursor.fetchall()
            return rows


def _catalogued(row: Sequence[Any]) -> Catalogued:
    # Some servers declare these columns as binary, so they arrive as bytes.
    name, kind, charset, nullable = (
        value.decode() if isinstance(value, bytes | bytearray) else value
        for value in row
    )
    return Catalogued(name, kind, charset, nullable == "YES")


def _column(table: Table, row: Catalogued) -> Column:
    made = column(row)
    if made is None:
        raise SourceError(
            f"{table.name}.{row.name} has the type {row.type}, "
            "which the read model cannot hold"
        )
    return made


def _signed(number: int | None, columns: Sequence[Column], cut: Blocking) -> int | None:
    """MySQL shifts as unsigned 64 bits; bring negative blocks back."""
    if number is None or cut.axis is KeyKind.TIME:
        return number
    bits = 64 - (cut.width.bit_length() - 1)
    key = next(column for column in columns if column.name == cut.key)
    negative = key.dtype.is_signed_integer() and number >= 1 << (bits - 1)
    return number - (1 << bits) if negative else number


class _Fetch:
    """The ways to fetch blocks of one table."""

    def __init__(
        self, view: MysqlView, table: Table, columns: Sequence[Column], cut: Blocking
    ) -> None:
        self._view = view
        self._table = table
        self._columns = columns
        self._cut = cut
        self._row = sql.row(columns)

    def together(self, blocks: Sequence[Block]) -> Iterator[Batch]:
        """In one text, or in more where one does not fit."""
        ((_, count, text),) = self._view.stream(self._statement(blocks, "NULL"))
        self._check(count, blocks)
        batch = self._whole(text, int(count))
        if batch is None:
            yield from self.split(blocks, 2)
        else:
            yield batch

    def by_block(self, blocks: Sequence[Block]) -> Iterator[Batch]:
        """In one scan, a text per block; texts are gathered to a batch."""
        wanted = {block.number: block for block in blocks}
        gathered: list[tuple[Block, Any]] = []
        missed: list[Block] = []
        rows = 0
        statement = self._statement(blocks, sql.number(self._cut), grouped=True)
        for group, count, text in self._view.stream(statement) if blocks else ():
            number = None if group is None else int(group)
            block = wanted.pop(number, Block(number, 0, 0))
            self._check(count, [block])
            gathered.append((block, text))
            rows += block.rows
            if rows >= ROWS_PER_QUERY:
                yield from self._batches(gathered, missed)
                gathered, rows = [], 0
        self._check(0, list(wanted.values()))
        yield from self._batches(gathered, missed)
        for block in missed:
            yield from self.split([block], 2)

    def _batches(
        self, gathered: Sequence[tuple[Block, Any]], missed: list[Block]
    ) -> Iterator[Batch]:
        """One batch of all; where a text was cut, the others, and its block is missed."""
        if all(is_whole(text) for _, text in gathered):
            texts = b"".join(text for _, text in gathered)
            batch = self._whole(texts, sum(block.rows for block, _ in gathered))
            if batch is not None:
                yield batch
                return
        for block, text in gathered:
            batch = self._whole(text, block.rows)
            if batch is None:
                missed.append(block)
            else:
                yield batch

    def split(self, blocks: Sequence[Block], shares: int) -> Iterator[Batch]:
        """In as many texts as it takes: a row's hash says in which it comes."""
        rows = sum(block.rows for block in blocks)
        share = f"MOD(CRC32({self._row}),{shares})"
        statement = self._statement(blocks, share, grouped=True)
        batches: list[Batch] = []
        came, whole = 0, True
        for _, count, text in self._view.stream(statement):
            came += int(count)
            batch = self._whole(text, int(count)) if whole else None
            if batch is None:
                whole = False
            else:
                batches.append(batch)
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
            f"SELECT {group}, COUNT(*), GROUP_CONCAT({self._row} SEPARATOR '') "
            f"FROM {identifier(self._table.name)} WHERE {sql.within(self._cut, blocks)}"
            + (f" GROUP BY {_FIRST}" if grouped else "")
        )

    def _check(self, count: Any, blocks: Sequence[Block]) -> None:
        wanted = sum(block.rows for block in blocks)
        if int(count) != wanted:
            raise PassingFault(
                f"{self._table.name}: {int(count)} rows came where {wanted} were "
                "counted; its storage engine must know transactions (InnoDB)"
            )

    def _whole(self, text: Any, rows: int) -> Batch | None:
        """The *rows* rows of *text*; None where it was cut, within a row or between."""
        if not is_whole(text):
            return None
        try:
            return decode(self._table, bytes(text), self._columns, rows)
        except Truncated:
            return None


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
