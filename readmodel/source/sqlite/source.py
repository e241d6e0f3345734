"""SQLite as a source: the embedded database of the demo and of small installations.

Columns are declared with the type names of MySQL or SQLite; timestamps are UTC text.
SQLite stores any value in any column, so a value that does not fit its column's declared
type is an error that names the row.
"""

import hashlib
import os
import sqlite3
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from itertools import batched, groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from readmodel.source.blocking import (
    EVERYTHING,
    Block,
    Blocking,
    BlockRange,
    KeyBounds,
    KeyKind,
    KnownBlocks,
    in_order,
)
from readmodel.source.protocol import PassingFault, ScannedBatch
from readmodel.source.sqlite.columns import kind, mirrored_column
from readmodel.source.sqlite.errors import translate_errors
from readmodel.source.sqlite.functions import SqlFunctions, row_digest
from readmodel.source.sqlite.packed import first_misfit, packed_row, repair
from readmodel.source.sqlite.sql import block_number, identifier, in_range, literal
from readmodel.source.wire import Batch, Column, decode
from readmodel.tables import Table
from util.errors import SourceError

BUSY_SECONDS = 10


ROWS_PER_BATCH = 40_000


BYTES_PER_BATCH = 32 * 2**20


@dataclass(frozen=True, slots=True)
class SqliteSource:
    """An SQLite file as a `Source`."""

    path: Path

    @property
    def name(self) -> str:
        """A name for messages."""
        return f"SQLite file {self.path}"

    @contextmanager
    def view(
        self,
        tables: Sequence[Table] = (),  # noqa: ARG002 - part of the protocol
    ) -> Iterator["SqliteView"]:
        """Open a view of the present instant. Raises SourceError when that fails."""
        if not self.path.is_file():
            raise SourceError(f"There is no {self.name}: check SOURCE_URL")
        functions = SqlFunctions()
        is_locked = not self._needs_no_shared_memory()
        with closing(self._connect(is_locked)) as connection:
            with translate_errors(self.name, functions):
                functions.register(connection)
                # As they are stored, which need not be UTF-8.
                connection.text_factory = bytes
                connection.execute("BEGIN")
                # BEGIN alone does not start the transaction: its first read does.
                connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
            stable = self.path if is_locked and not self._has_wal() else None
            yield SqliteView(self.name, connection, functions, stable)

    def _connect(self, is_locked: bool) -> sqlite3.Connection:
        uri = f"{self.path.absolute().as_uri()}?mode=ro"
        if not is_locked:
            uri += "&immutable=1"
        with translate_errors(self.name):
            return sqlite3.connect(
                uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None
            )

    def _needs_no_shared_memory(self) -> bool:
        """Whether a file in WAL mode is read in a folder that we cannot write to.

        SQLite then cannot create the -shm file that a reader needs. Without a -wal
        file no application has the database open, and the file is complete. Raises
        SourceError when there is a -wal file, whose changes cannot be read then.
        """
        folder = self.path.parent
        if not _is_wal(self.path) or os.access(folder, os.W_OK):
            return False
        if Path(f"{self.path}-shm").exists():
            return False
        if self._has_wal():
            raise SourceError(
                f"{self.name} is in WAL mode with changes in {self.path.name}-wal, which can be "
                f"read only by a user who may write to {folder}: let the updater write "
                "there, or run PRAGMA wal_checkpoint(TRUNCATE) as the owner"
            )
        return True

    def _has_wal(self) -> bool:
        """Whether there are changes that are not in the file itself.

        Without them, an open transaction keeps the file as it is: a writer needs its
        lock, and a checkpoint does, too.
        """
        try:
            return Path(f"{self.path}-wal").stat().st_size > 0
        except FileNotFoundError:
            return False


def _is_wal(file: Path) -> bool:
    """Whether the database's header says that it is in WAL mode."""
    with file.open("rb") as stream:
        return stream.read(20)[18:20] == b"\x02\x02"


class SqliteView:
    """A `View` of an SQLite file: one open transaction."""

    digest_format = 1

    def __init__(
        self,
        name: str,
        connection: sqlite3.Connection,
        functions: SqlFunctions,
        stable: Path | None = None,
    ) -> None:
        """Read from *connection*; *stable* is the file if all of the view is in it."""
        self._name = name
        self._connection = connection
        self._functions = functions
        self._stable = stable
        self._checksum: str | None = None

    def columns(self, table: Table) -> Sequence[Column]:
        """Read the columns of *table*, in their order, with their declared types."""
        statement = f"PRAGMA table_xinfo({identifier(table.name)})"
        found = list(self._query(table, statement))
        if not found:
            raise SourceError(f"Table {table.name} is missing in {self._name}")
        # hidden = 1 marks the inner columns of virtual tables.
        return [
            mirrored_column(_text_of(r[1]), _text_of(r[2])) for r in found if r[6] != 1
        ]

    def hides_columns(self, table: Table) -> bool:  # noqa: ARG002 - the protocol's
        """Return False: SQLite has no rights on columns."""
        return False

    def key_bounds(self, table: Table) -> KeyBounds | None:
        """Read the bounds of an integer key; None when no row has a key."""
        key, name = identifier(table.key), identifier(table.name)
        ((low, high, rows),) = self._query(
            table, f"SELECT MIN({key}), MAX({key}), COUNT(*) FROM {name}"
        )
        if low is None:
            return None
        if not (isinstance(low, int) and isinstance(high, int)):
            keys = [c for c in self.columns(table) if c.name == table.key]
            raise self._misfit(table, keys) or self._changing(table)
        return KeyBounds(low, high, rows)

    def mark(self, table: Table) -> str | None:
        """A checksum of the file; None if it does not say what *table* contains.

        A view may contain the present time, and a virtual table what another file has.
        """
        if self._stable is None or not self._is_stored(table):
            return None
        if self._checksum is None:
            try:
                with self._stable.open("rb") as stream:
                    self._checksum = hashlib.file_digest(stream, "sha256").hexdigest()
            except OSError as error:
                raise SourceError(f"{self._name} cannot be read: {error}") from error
        return f"sqlite {self._checksum}"

    def _is_stored(self, table: Table) -> bool:
        statement = (
            "SELECT 1 FROM sqlite_master WHERE type = 'table' AND rootpage > 0 "
            f"AND name = {literal(table.name)} COLLATE NOCASE"
        )
        return bool(list(self._query(table, statement)))

    def blocks_since(
        self,
        table: Table,
        columns: Sequence[Column],
        blocking: Blocking,
        known: Sequence[KnownBlocks],
        block_range: BlockRange = EVERYTHING,
    ) -> Sequence[Block]:
        """Return what `blocks` does; if the file is the same, *known* are all of them.

        Unless a part was lost, which the number of rows tells.
        """
        mark = self.mark(table) if known else None
        same = [block for each in known if each.mark == mark for block in each.blocks]
        if same:
            ((rows,),) = self._query(
                table,
                f"SELECT COUNT(*) FROM {identifier(table.name)} "
                f"WHERE {in_range(blocking, block_range)}",
            )
            if rows == sum(block.rows for block in same):
                return in_order(same)
        return self.blocks(table, columns, blocking, block_range)

    def blocks(
        self,
        table: Table,
        columns: Sequence[Column],
        blocking: Blocking,
        block_range: BlockRange = EVERYTHING,
    ) -> Sequence[Block]:
        """Digest the blocks of *block_range* that contain rows, sorted by number."""
        where = in_range(blocking, block_range)
        if self._is_utf8(table):
            found = self._packed_blocks(table, columns, blocking, where)
            return [block for block, _ in found]
        digested = self._query(
            table,
            f"SELECT {block_number(blocking)}, COUNT(*), "
            f"SUM(digest(CAST({packed_row(columns)} AS BLOB))) "
            f"FROM {identifier(table.name)} WHERE {where} GROUP BY 1 ORDER BY 1",
        )
        return [Block(*row) for row in digested]

    def _is_utf8(self, table: Table) -> bool:
        """Whether text arrives in the encoding over which it is digested."""
        return list(self._query(table, "PRAGMA encoding")) == [(b"UTF-8",)]

    def _packed_blocks(
        self, table: Table, columns: Sequence[Column], blocking: Blocking, where: str
    ) -> Iterator[tuple[Block, bytes]]:
        """Yield each block that has rows *where*, and its packed rows, ascending."""
        # The key's index has the order of the numbers, which themselves have none.
        is_number = blocking.key_kind is KeyKind.NUMBER
        found = self._query(
            table,
            f"SELECT {block_number(blocking)}, {packed_row(columns)} "
            f"FROM {identifier(table.name)} WHERE {where} "
            f"ORDER BY {identifier(blocking.key) if is_number else 1}",
        )
        for number, rows in groupby(found, itemgetter(0)):
            packed = [row[1] for row in rows]
            digest = sum(map(row_digest, packed))
            yield Block(number, len(packed), digest), b"".join(packed)

    def scan(
        self, table: Table, columns: Sequence[Column], blocking: Blocking
    ) -> Generator[ScannedBatch] | None:
        """Yield all blocks and their rows; None if digests are not over UTF-8."""
        if not self._is_utf8(table):
            return None
        return self._scan(table, columns, blocking)

    def _scan(
        self, table: Table, columns: Sequence[Column], blocking: Blocking
    ) -> Generator[ScannedBatch]:
        found: list[tuple[Block, bytes]] = []
        rows = size = 0
        for block, text in self._packed_blocks(table, columns, blocking, "TRUE"):
            found.append((block, text))
            rows += block.rows
            size += len(text)
            if rows >= ROWS_PER_BATCH or size >= BYTES_PER_BATCH:
                yield self._scanned(table, columns, found)
                found, rows, size = [], 0, 0
        if found:
            yield self._scanned(table, columns, found)

    def _scanned(
        self,
        table: Table,
        columns: Sequence[Column],
        found: Sequence[tuple[Block, bytes]],
    ) -> ScannedBatch:
        blocks = tuple(block for block, _ in found)
        rows = sum(block.rows for block in blocks)
        batch = self._decode(table, b"".join(text for _, text in found), columns, rows)
        return ScannedBatch(blocks, batch)

    def rows(
        self,
        table: Table,
        columns: Sequence[Column],
        blocking: Blocking,
        blocks: Sequence[Block],
    ) -> Iterator[Batch]:
        """Fetch the rows of *blocks* in batches of bounded size."""
        wanted = sum(block.rows for block in blocks)
        came = 0
        for texts in self._texts(table, columns, blocking, blocks):
            came += len(texts)
            yield self._decode(table, b"".join(texts), columns, len(texts))
        if came != wanted:
            raise self._changing(table)

    def _changing(self, table: Table) -> PassingFault:
        return PassingFault(
            f"{table.name} in {self._name} gives other rows each time it is read"
        )

    def _decode(
        self, table: Table, text: bytes, columns: Sequence[Column], rows: int
    ) -> Batch:
        text, repaired = repair(text)
        try:
            batch = decode(table, text, columns, rows)
        except SourceError as error:
            raise self._misfit(table, columns) or error from error
        return replace(batch, repaired_texts=repaired)

    def _misfit(self, table: Table, columns: Sequence[Column]) -> SourceError | None:
        """An error that names the first value that does not fit its declared type."""
        key, name = identifier(table.key), identifier(table.name)
        for column in columns:
            value = identifier(column.name)
            statement = (
                f"SELECT {packed_row([column])}, quote({key}), substr(quote({value}), 1, 40) "
                f"FROM {name}"
            )
            for rows in batched(self._query(table, statement), ROWS_PER_BATCH):
                if row := first_misfit(table, column, rows):
                    return SourceError(
                        f"{table.name}.{column.name} has a value that is not "
                        f"{kind(column.dtype)} where {table.key} is "
                        f"{_shown(row[1])}: {_shown(row[2])}"
                    )
        return None

    def _texts(
        self,
        table: Table,
        columns: Sequence[Column],
        blocking: Blocking,
        blocks: Sequence[Block],
    ) -> Iterator[list[bytes]]:
        """The packed rows of *blocks*, in lists of bounded size."""
        # One scan for all blocks: no index of the key can be used for block numbers.
        number = block_number(blocking)
        numbers = ",".join(str(b.number) for b in blocks if b.number is not None)
        unnumbered = any(block.number is None for block in blocks)
        statement = (
            f"SELECT {packed_row(columns)} FROM {identifier(table.name)} "
            f"WHERE {number} IN ({numbers})"
            + (f" OR {number} IS NULL" if unnumbered else "")
        )
        texts: list[bytes] = []
        size = 0
        for (text,) in self._query(table, statement):
            texts.append(text)
            size += len(text)
            if len(texts) >= ROWS_PER_BATCH or size >= BYTES_PER_BATCH:
                yield texts
                texts, size = [], 0
        if texts:
            yield texts

    def _query(self, table: Table, statement: str) -> Iterator[tuple[Any, ...]]:
        """The rows of *statement*, texts as bytes."""
        place = f"{table.name} in {self._name}"
        with translate_errors(place, self._functions):
            yield from self._connection.execute(statement)


def _text_of(stored: bytes) -> str:
    return stored.decode(errors="replace")


def _shown(stored: bytes) -> str:
    """A value as SQL writes it, on one line."""
    return repr(_text_of(stored))[1:-1]
