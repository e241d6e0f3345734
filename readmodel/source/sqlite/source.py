"""SQLite as a source: the embedded database of the demo and of small installations.

Columns are declared with the type names of MySQL or SQLite; timestamps are UTC text.
SQLite stores any value in any column, so a value that does not fit its column's declared
type is an error that names the row.
"""

import sqlite3
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from io import BufferedReader
from pathlib import Path
from typing import Any

from readmodel.source.blocking import (
    EVERYTHING,
    Block,
    Blocking,
    BlockRange,
    KeyBounds,
    KnownBlocks,
    in_order,
)
from readmodel.source.protocol import ScannedBatch
from readmodel.source.sqlite.columns import mirrored_column
from readmodel.source.sqlite.digest_format_1 import DIGEST_FORMAT, earlier_blocks
from readmodel.source.sqlite.errors import translate_errors
from readmodel.source.sqlite.file import DatabaseFile, OpenFile, begin
from readmodel.source.sqlite.functions import SqlFunctions
from readmodel.source.sqlite.misfits import changing, misfit
from readmodel.source.sqlite.reading import (
    FoundBlock,
    Query,
    TableReader,
    is_searched,
)
from readmodel.source.sqlite.sql import identifier, in_range, literal
from readmodel.source.wire import Batch, Column
from readmodel.tables import Table
from util.errors import SourceError

ROWS_PER_BATCH = 98_304
BYTES_PER_BATCH = 32 * 2**20


@dataclass(frozen=True, slots=True)
class SqliteSource:
    """An SQLite file as a `Source`."""

    path: Path

    @property
    def name(self) -> str:
        """A name for messages."""
        return self.file.name

    @property
    def file(self) -> DatabaseFile:
        """The database's file."""
        return DatabaseFile(self.path)

    @contextmanager
    def view(
        self,
        tables: Sequence[Table] = (),  # noqa: ARG002 - part of the protocol
    ) -> Iterator["SqliteView"]:
        """Open a view of the present instant. Raises SourceError when that fails."""
        if not self.path.is_file():
            raise SourceError(f"There is no {self.name}: check SOURCE_URL")
        functions = SqlFunctions()
        is_locked = not self.file.needs_no_shared_memory()
        with (
            self._open() as stream,
            closing(self.file.connect(is_locked)) as connection,
        ):
            with translate_errors(self.name, functions):
                functions.register(connection)
                # As they are stored, which need not be UTF-8.
                connection.text_factory = bytes
                begin(connection)
            opened = OpenFile(stream, self.path)
            is_stable = is_locked and not self.file.has_changes_beside()
            stable = opened if is_stable and opened.is_current() else None
            yield SqliteView(self.name, connection, functions, stable)

    def _open(self) -> BufferedReader:
        try:
            return self.path.open("rb")
        except OSError as error:
            raise SourceError(f"{self.name} cannot be read: {error}") from error


class SqliteView:
    """A `View` of an SQLite file: one open transaction."""

    digest_format = 2
    earlier_format = DIGEST_FORMAT

    def __init__(
        self,
        name: str,
        connection: sqlite3.Connection,
        functions: SqlFunctions,
        stable: OpenFile | None = None,
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
        # hidden = 1 marks the inner columns of virtual tables, 2 columns that are computed.
        columns = [
            mirrored_column(_text_of(r[1]), _text_of(r[2])) for r in found if r[6] != 1
        ]
        if self._is_stored(table) and all(row[6] != 2 for row in found):
            return columns
        # What is computed may be JSON to SQLite, and an element then as it is.
        return [replace(column, array_sql="") for column in columns]

    def hides_columns(self, table: Table) -> bool:  # noqa: ARG002 - the protocol's
        """Return False: SQLite has no rights on columns."""
        return False

    def key_bounds(self, table: Table) -> KeyBounds | None:
        """Read the bounds of an integer key; None when no row has a key."""
        ((low, high, rows),) = self._query(table, self._bounds_sql(table))
        if low is None:
            return None
        if not (isinstance(low, int) and isinstance(high, int)):
            keys = [c for c in self.columns(table) if c.name == table.key]
            raise misfit(self._query_of(table), table, keys) or changing(table)
        return KeyBounds(low, high, rows)

    def _bounds_sql(self, table: Table) -> str:
        """SQL for the lowest and the highest key, and the number of rows.

        Each is found by itself without a look at the rows if the key has an index; one
        statement for all three would read them, a tenth of a first sync.
        """
        key, name = identifier(table.key), identifier(table.name)
        bounds = [f"MIN({key})", f"MAX({key})", "COUNT(*)"]
        if is_searched(self._query_of(table), f"SELECT MIN({key}) FROM {name}"):
            return "SELECT " + ", ".join(
                f"(SELECT {each} FROM {name})" for each in bounds
            )
        return f"SELECT {', '.join(bounds)} FROM {name}"

    def mark(self, table: Table) -> str | None:
        """A checksum of the file; None if it does not say what *table* contains.

        A view may contain the present time, and a virtual table what another file has.
        """
        if self._stable is None or not self._is_stored(table):
            return None
        if self._checksum is None:
            try:
                self._checksum = self._stable.checksum()
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
        marked = [each for each in known if each.mark is not None]
        mark = self.mark(table) if marked else None
        same = [block for each in marked if each.mark == mark for block in each.blocks]
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
        reader = self._reader(table, columns, blocking)
        return [found.block for found in reader.read(block_range)]

    def renewed_blocks(
        self,
        table: Table,
        columns: Sequence[Column],
        blocking: Blocking,
        booleans: Collection[str],  # noqa: ARG002 - they were stored if 0 or 1
    ) -> Mapping[Block, Block]:
        """Return all that `blocks` does, each by what it is in format 1."""
        earlier = earlier_blocks(self._query_of(table), table, columns, blocking)
        blocks = self.blocks(table, columns, blocking)
        if [(b.number, b.rows) for b in earlier] != [
            (b.number, b.rows) for b in blocks
        ]:
            raise changing(table)
        return dict(zip(earlier, blocks, strict=True))

    def scan(
        self, table: Table, columns: Sequence[Column], blocking: Blocking
    ) -> Generator[ScannedBatch]:
        """Yield all blocks and their rows."""
        reader = self._reader(table, columns, blocking)
        for found in _batches(reader.read()):
            blocks = tuple(each.block for each in found)
            yield ScannedBatch(blocks, reader.decode(found))

    def rows(
        self,
        table: Table,
        columns: Sequence[Column],
        blocking: Blocking,
        blocks: Sequence[Block],
    ) -> Iterator[Batch]:
        """Fetch the rows of *blocks* in batches of bounded size."""
        reader = self._reader(table, columns, blocking)
        wanted = sum(block.rows for block in blocks)
        came = 0
        for found in _batches(reader.read(numbers=[b.number for b in blocks])):
            batch = reader.decode(found)
            came += batch.frame.height
            yield batch
        if came != wanted:
            raise changing(table)

    def _reader(
        self, table: Table, columns: Sequence[Column], blocking: Blocking
    ) -> TableReader:
        return TableReader(table, columns, blocking, self._query_of(table))

    def _query_of(self, table: Table) -> Query:
        return partial(self._query, table)

    def _query(self, table: Table, statement: str) -> Iterator[tuple[Any, ...]]:
        """The rows of *statement*, texts as bytes."""
        place = f"{table.name} in {self._name}"
        with translate_errors(place, self._functions):
            yield from self._connection.execute(statement)


def _text_of(stored: bytes) -> str:
    return stored.decode(errors="replace")


def _batches(found: Iterable[FoundBlock]) -> Iterator[list[FoundBlock]]:
    """Divide *found* into batches, each of which ends with the block that fills it."""
    batch: list[FoundBlock] = []
    rows = size = 0
    for each in found:
        batch.append(each)
        rows += each.block.rows
        size += each.size
        if rows >= ROWS_PER_BATCH or size >= BYTES_PER_BATCH:
            yield batch
            batch, rows, size = [], 0, 0
    if batch:
        yield batch
