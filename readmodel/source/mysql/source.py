"""MySQL and MariaDB as a source: one read-only transaction, rows packed by the server.

A user with SELECT rights is enough.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from mysql.connector.connection import MySQLConnection

from readmodel.source.blocking import EVERYTHING, Block, Blocking, BlockRange, KeyBounds
from readmodel.source.mysql import sql
from readmodel.source.mysql.columns import CatalogColumn, encode, identifier
from readmodel.source.mysql.errors import is_missing_table, translate_errors
from readmodel.source.mysql.fetch import BlockFetch
from readmodel.source.mysql.server import MysqlServer
from readmodel.source.protocol import PassingFault
from readmodel.source.wire import Batch, Column
from readmodel.tables import Table
from util.errors import SourceError

# An estimate of the rows is used up to this many ids per row.
TRUSTED_IDS_PER_ROW = 4

# The largest possible packet, less one: servers multiply it by the bytes of a character
# within 32 bits, which would turn 2 ** 30 into 0.
_TEXT_BYTES = 2**30 - 1
_SESSION = (
    "SET SESSION time_zone = '+00:00', sql_mode = '', "
    f"group_concat_max_len = {_TEXT_BYTES}"
)
# This comes first: under READ COMMITTED, a "consistent snapshot" is silently none.
_ISOLATION = "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ"
_BEGIN = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"


@dataclass(frozen=True, slots=True)
class MysqlSource(MysqlServer):
    """A MySQL or MariaDB database as a `Source`."""

    @contextmanager
    def view(
        self,
        tables: Sequence[Table] = (),  # noqa: ARG002 - part of the protocol
    ) -> Iterator["MysqlView"]:
        """Open a view of the present instant. Raises SourceError when that fails."""
        with translate_errors(self):
            connection = self._connect()
        try:
            yield MysqlView(self, connection)
        finally:
            connection.close()

    def _connect(self) -> Any:
        connection = MySQLConnection()
        try:
            connection.connect(**self.connection_arguments())
            with connection.cursor() as cursor:
                for statement in (_SESSION, _ISOLATION, _BEGIN):
                    cursor.execute(statement)
        except BaseException:
            # A refused connection has an open socket, too.
            connection.close()
            raise
        return connection


class MysqlView:
    """A `View` of a MySQL or MariaDB database: one open transaction."""

    def __init__(self, server: MysqlServer, connection: Any) -> None:
        self._server = server
        self._connection = connection

    def columns(self, table: Table) -> Sequence[Column]:
        """Read the columns of *table*, in their order, from information_schema."""
        found = self._query(
            "SELECT column_name, column_type, character_set_name, is_nullable "
            "FROM information_schema.columns "
            "WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position",
            (self._server.database, table.name),
        )
        if not found:
            raise self._missing_table(table)
        return [_column(table, _catalog_column(row)) for row in found]

    def _missing_table(self, table: Table) -> SourceError:
        """The error for a table that the catalog lacks.

        MariaDB's catalog lacks a table for a moment while it is altered. A SELECT waits
        for the end of that, so it tells whether the table exists.
        """
        try:
            self._query(f"SELECT 1 FROM {identifier(table.name)} LIMIT 0")
        except SourceError as error:
            if not is_missing_table(error):
                return error
            return SourceError(
                f"Table {table.name} is missing in {self._server.name}, "
                "or this user may not SELECT from it"
            )
        return PassingFault(f"Table {table.name} was altered in {self._server.name}")

    def key_bounds(self, table: Table) -> KeyBounds | None:
        """Read the bounds of an integer key; None when no row has a key."""
        key, name = identifier(table.key), identifier(table.name)
        ((low, high),) = self._query(f"SELECT MIN({key}), MAX({key}) FROM {name}")
        if low is None:
            return None
        low, high = int(low), int(high)
        return KeyBounds(low, high, self._estimate_rows(table, high - low))

    def _estimate_rows(self, table: Table, id_span: int) -> int:
        """The catalog's row estimate, or a count if the estimate is implausibly low."""
        ((estimate,),) = self._query(
            "SELECT table_rows FROM information_schema.tables "
            "WHERE table_schema = %s AND table_name = %s",
            (self._server.database, table.name),
        )
        if estimate is not None and id_span < TRUSTED_IDS_PER_ROW * int(estimate):
            return int(estimate)
        ((count,),) = self._query(f"SELECT COUNT(*) FROM {identifier(table.name)}")
        return int(count)

    def blocks(
        self,
        table: Table,
        columns: Sequence[Column],
        blocking: Blocking,
        block_range: BlockRange = EVERYTHING,
    ) -> Sequence[Block]:
        """Digest the blocks of *block_range* that contain rows, sorted by number."""
        # The second CRC is over the first one's digits: unlike CRC alone, it is not
        # linear, so values swapped between two rows cannot cancel out in the sum.
        found = self._query(
            f"SELECT {sql.block_number(blocking)}, COUNT(*), "
            f"SUM(CRC32(CRC32({sql.packed_row(columns)}))) "
            f"FROM {identifier(table.name)} WHERE {sql.in_range(blocking, block_range)} "
            f"GROUP BY {sql.FIRST_COLUMN}"
        )
        blocks = [
            Block(sql.signed_number(number, columns, blocking), rows, int(digest))
            for number, rows, digest in found
        ]
        return sorted(blocks, key=lambda b: (b.number is not None, b.number or 0))

    def rows(
        self,
        table: Table,
        columns: Sequence[Column],
        blocking: Blocking,
        blocks: Sequence[Block],
    ) -> Iterator[Batch]:
        """Fetch the rows of *blocks* in batches of bounded size."""
        yield from BlockFetch(self.stream, table, columns, blocking).batches(blocks)

    def stream(self, statement: str) -> Iterator[tuple[Any, ...]]:
        """Yield the result's rows, values as bytes, one at a time as they arrive."""
        with translate_errors(self._server):
            # Closed only after the last row: to close it earlier raises an error about
            # unread rows, in place of the error that ended the reading.
            cursor = self._connection.cursor(raw=True)
            cursor.execute(statement)
            yield from cursor
            cursor.close()

    def _query(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        with translate_errors(self._server), self._connection.cursor() as cursor:
            cursor.execute(statement, tuple(values))
            rows: list[Any] = cursor.fetchall()
            return rows


def _catalog_column(row: Sequence[Any]) -> CatalogColumn:
    # Some servers declare these columns as binary, so they arrive as bytes.
    name, declared, charset, nullable = (
        value.decode() if isinstance(value, bytes | bytearray) else value
        for value in row
    )
    return CatalogColumn(name, declared, charset, nullable == "YES")


def _column(table: Table, found: CatalogColumn) -> Column:
    column = encode(found)
    if column is None:
        raise SourceError(
            f"{table.name}.{found.name} has the type {found.type}, "
            "which the read model does not support"
        )
    return column
