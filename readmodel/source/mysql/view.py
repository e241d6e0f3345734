"""One transaction of a MySQL or MariaDB database, with rows packed by the server."""

from collections.abc import (
    Callable,
    Collection,
    Generator,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Final

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
from readmodel.source.mysql import (
    digest_format_1,
    inline,
    login,
    regroup,
    session,
    sql,
)
from readmodel.source.mysql.columns import (
    CatalogColumn,
    catalog_text,
    encode,
    identifier,
)
from readmodel.source.mysql.digests import Answer, BlockDigests
from readmodel.source.mysql.errors import (
    is_denied_column,
    is_missing_table,
    translate_errors,
)
from readmodel.source.mysql.fetch import BlockFetch
from readmodel.source.mysql.log_position import LogPosition, read_position
from readmodel.source.mysql.scan import BlockScan
from readmodel.source.mysql.server import MysqlServer
from readmodel.source.protocol import PassingFault, ScannedBatch, Unscannable
from readmodel.source.wire import Batch, Column, Row
from readmodel.tables import Table
from util.errors import SourceError

# An estimate of the rows is used up to this many ids per row.
TRUSTED_IDS_PER_ROW = 4

ROWS_PER_RANGE: Final = 512
"""Blocks with fewer rows are digested in groups, since each range is a query by itself."""

IDS_FOR_TWO: Final = 1_048_576
"""A first copy reads as many ids by two connections; for fewer, opening one takes too long."""

ROWS_TO_SORT: Final = 131_072
"""A first copy sorts as many rows of a table by time itself; fewer cost the server little."""

BYTES_TO_SORT: Final = 2 * regroup.MOST_BYTES
"""A larger table, as the server stores it, would take too much memory."""


class MysqlView:
    """A `View` of a MySQL or MariaDB database: one open transaction.

    Its locks are those on one table at a time, from the first query of the table's rows
    until that of the next table's.
    """

    digest_format = 2
    earlier_format = digest_format_1.DIGEST_FORMAT

    def __init__(self, server: MysqlServer, connection: Any) -> None:
        self._server = server
        self._connection = connection
        self._locked: str | None = None
        self._selected: dict[str, Sequence[str]] = {}
        self._bounds: dict[str, KeyBounds | None] = {}
        self.position_before: LogPosition | None = None
        self.position_after: LogPosition | None = None
        self.is_busy = False
        self.open_second: Callable[[], MysqlView | None] = lambda: None

    def begin(self) -> None:
        """Fix the instant, between two looks at the log."""
        self.position_before = read_position(self._query)
        with translate_errors(self._server):
            session.begin(self._connection)
        self.position_after = read_position(self._query)

    def is_of_instant(self, other: "MysqlView") -> bool:
        """Whether nothing was written since before *other*, an earlier view, was opened."""
        earlier, now = other.position_before, self.position_after
        return earlier is not None and now is not None and earlier.is_same(now)

    def columns(self, table: Table) -> Sequence[Column]:
        """Read the columns of *table*, in their order, from information_schema."""
        columns = [_column(table, found) for found in self._catalog_columns(table)]
        self._selected[table.name] = self._selected_names(table)
        if set(self._selected[table.name]) - {column.name for column in columns}:
            raise self._altered_table(table)
        return columns

    def _catalog_columns(self, table: Table) -> Sequence[CatalogColumn]:
        found = self._query(
            "SELECT column_name, column_type, character_set_name, is_nullable "
            "FROM information_schema.columns "
            "WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position",
            (self._server.database, table.name),
        )
        if not found:
            raise self._missing_table(table)
        return [CatalogColumn.of_row(row) for row in found]

    def hides_columns(self, table: Table) -> bool:
        """Whether this user may SELECT only some columns of *table*.

        The catalog does not list the others.
        """
        if table.name not in self._selected:
            self._selected[table.name] = self._selected_names(table)
        return not self._selected[table.name]

    def _selected_names(self, table: Table) -> Sequence[str]:
        """The columns of `SELECT *`; none if this user may not read some of them."""
        statement = f"SELECT * FROM {identifier(table.name)} LIMIT 0"
        self._lock(table)
        try:
            with self._running(table.name) as cursor:
                cursor.execute(statement)
                cursor.fetchall()
                return list(cursor.column_names)
        except SourceError as error:
            if is_denied_column(error):
                return []
            raise

    def _missing_table(self, table: Table) -> SourceError:
        """The error for a table that the catalog lacks.

        MariaDB's catalog lacks a table for a moment while it is altered. A SELECT waits
        for the end of that, so it tells whether the table exists.
        """
        try:
            self._select(table, f"SELECT 1 FROM {identifier(table.name)} LIMIT 0")
        except SourceError as error:
            if not is_missing_table(error):
                return error
            return SourceError(
                f"Table {table.name} is missing in {self._server.name}, "
                "or this user may not SELECT from it"
            )
        return self._altered_table(table)

    def _altered_table(self, table: Table) -> SourceError:
        return PassingFault(f"Table {table.name} was altered in {self._server.name}")

    def key_bounds(self, table: Table) -> KeyBounds | None:
        """Read the bounds of an integer key, once; None when no row has a key."""
        if table.name not in self._bounds:
            self._bounds[table.name] = self._read_bounds(table)
        return self._bounds[table.name]

    def _read_bounds(self, table: Table) -> KeyBounds | None:
        # As a number: the driver cannot decode the bounds of a BIT.
        key, name = identifier(table.key), identifier(table.name)
        ((low, high),) = self._select(
            table, f"SELECT MIN({key})+0, MAX({key})+0 FROM {name}"
        )
        if low is None:
            return None
        low, high = int(low), int(high)
        return KeyBounds(low, high, self._estimate_rows(table, high - low))

    def _estimate_rows(self, table: Table, id_span: int) -> int:
        """The catalog's row estimate, or a count if the estimate is implausibly low."""
        found = self._query(
            "SELECT table_rows FROM information_schema.tables "
            "WHERE table_schema = %s AND table_name = %s",
            (self._server.database, table.name),
        )
        for (estimate,) in found:
            if estimate is not None and id_span < TRUSTED_IDS_PER_ROW * int(estimate):
                return int(estimate)
        name = identifier(table.name)
        ((count,),) = self._select(table, f"SELECT COUNT(*) FROM {name}")
        return int(count)

    def blocks(
        self,
        table: Table,
        columns: Sequence[Column],
        blocking: Blocking,
        block_range: BlockRange = EVERYTHING,
    ) -> Sequence[Block]:
        """Digest the blocks of *block_range* that contain rows, sorted by number."""
        return self.blocks_since(table, columns, blocking, (), block_range)

    def renewed_blocks(
        self,
        table: Table,
        columns: Sequence[Column],
        blocking: Blocking,
        booleans: Collection[str],
    ) -> Mapping[Block, Block]:
        """Digest all blocks in the earlier and in the present format, in one scan."""
        declared = self._catalog_columns(table)
        earlier = digest_format_1.row_digest(declared, booleans)
        wanted = [f"SUM({row})" for row in (earlier, sql.row_digest(columns))]
        digests = self._digests(table, columns, blocking)
        numbers = self._ranges(table, blocking, EVERYTHING)
        found = (
            digests.grouped_figures("TRUE", wanted)
            if numbers is None
            else digests.figures_of(numbers, wanted)
        )
        renewed = {
            Block(number, rows, before): Block(number, rows, digest)
            for number, rows, before, digest in found
        }
        return {block: renewed[block] for block in in_order(renewed)}

    def mark(self, table: Table) -> str | None:
        """The log's position before this instant; None if it says nothing of *table*."""
        position = self.position_before
        return position.encode() if position and self._is_logged(table) else None

    def blocks_since(
        self,
        table: Table,
        columns: Sequence[Column],
        blocking: Blocking,
        known: Sequence[KnownBlocks],
        block_range: BlockRange = EVERYTHING,
    ) -> Sequence[Block]:
        """Return what `blocks` does; *known* blocks that are unchanged are not digested.

        Of the others, lines are digested if they were, and else rows.
        """
        same = self._unchanged(table, known)
        numbers = {block.number for block in same}
        others = [b for each in known for b in each.blocks if b.number not in numbers]
        lines = self._of_lines(table, columns, blocking, others)
        digests = self._digests(table, columns, blocking)
        found = [*same, *digests.of_lines(_numbers(lines))]
        apart = in_order([*same, *lines])
        ranges = self._ranges(table, blocking, block_range)
        if ranges is None:
            found += digests.grouped(digests.condition(block_range, apart), others)
        else:
            apart_numbers = set(_numbers(apart))
            found += digests.of_rows([n for n in ranges if n not in apart_numbers])
        return in_order(found)

    def _unchanged(self, table: Table, known: Sequence[KnownBlocks]) -> list[Block]:
        """The *known* blocks to which nothing was written since their view."""
        same = [b for each in known if self._is_same(each.mark) for b in each.blocks]
        return in_order(same) if same and self._is_logged(table) else []

    def _is_same(self, mark: str | None) -> bool:
        """Whether nothing was written to the server since the view that left *mark*."""
        earlier = LogPosition.decode(mark) if mark is not None else None
        now = self.position_after
        return earlier is not None and now is not None and earlier.is_same(now)

    def _is_logged(self, table: Table) -> bool:
        """Whether InnoDB stores *table*, so that its log has all changes of it."""
        found = self._query(
            "SELECT 1 FROM information_schema.tables WHERE table_schema = %s "
            "AND table_name = %s AND engine = 'InnoDB' AND table_type = 'BASE TABLE'",
            (self._server.database, table.name),
        )
        return bool(found)

    def _of_lines(
        self,
        table: Table,
        columns: Sequence[Column],
        blocking: Blocking,
        blocks: Sequence[Block],
    ) -> Sequence[Block]:
        """Those of *blocks* whose digests are of lines, if lines can be read."""
        lines = [block for block in blocks if inline.is_of_lines(block.digest)]
        is_readable = (
            lines
            and inline.fits(columns)
            and blocking.key_kind is KeyKind.NUMBER
            and self._is_primary_key(table)
        )
        return in_order(lines) if is_readable else []

    def _digests(
        self, table: Table, columns: Sequence[Column], blocking: Blocking
    ) -> BlockDigests:
        def select(statement: str) -> Answer:
            return self._answer(table, statement)

        return BlockDigests(select, self._server.name, table, columns, blocking)

    def _ranges(
        self, table: Table, blocking: Blocking, block_range: BlockRange
    ) -> range | None:
        """The numbers of the blocks, if a query for each of them is the fastest way.

        A range of the primary key is read without the work that grouping takes.
        """
        if blocking.key_kind is KeyKind.TIME or not self._is_primary_key(table):
            return None
        bounds = self.key_bounds(table)
        if bounds is None:
            return range(0)
        first, last = bounds.low // blocking.width, bounds.high // blocking.width
        if block_range.first is not None:
            first = max(first, block_range.first)
        if block_range.last is not None:
            last = min(last, block_range.last)
        count = last - first + 1
        is_dense = (bounds.high - bounds.low) * ROWS_PER_RANGE <= (
            blocking.width * bounds.row_estimate
        )
        return range(first, last + 1) if count <= 2 or is_dense else None

    def _is_primary_key(self, table: Table) -> bool:
        """Whether the sync column is the first of the primary key."""
        return bool(
            self._query(
                "SELECT 1 FROM information_schema.statistics WHERE table_schema = %s "
                "AND table_name = %s AND column_name = %s "
                "AND index_name = 'PRIMARY' AND seq_in_index = 1",
                (self._server.database, table.name, table.key),
            )
        )

    def rows(
        self,
        table: Table,
        columns: Sequence[Column],
        blocking: Blocking,
        blocks: Sequence[Block],
    ) -> Iterator[Batch]:
        """Fetch the rows of *blocks* in batches of bounded size."""
        yield from self.block_scan(table, columns, blocking).fetch.batches(blocks)

    def scan(
        self, table: Table, columns: Sequence[Column], blocking: Blocking
    ) -> Generator[ScannedBatch] | None:
        """Yield all blocks and their rows, read by ranges of the key or in one scan."""
        if not inline.fits(columns):
            return None
        scan = self.block_scan(table, columns, blocking)
        if blocking.key_kind is KeyKind.TIME:
            return self._by_time(table, columns, blocking, scan)
        numbers = self._ranges(table, blocking, EVERYTHING)
        if numbers is None:
            return None
        if len(numbers) * blocking.width < IDS_FOR_TWO or not self._is_logged(table):
            return scan.by_key(numbers)
        return self._by_two(table, columns, blocking, numbers)

    def _by_time(
        self,
        table: Table,
        columns: Sequence[Column],
        blocking: Blocking,
        scan: BlockScan,
    ) -> Generator[ScannedBatch]:
        """Scan by ranges of the primary key, with two connections, or in one statement."""
        if ranges := self._key_ranges(table, columns):
            scans = self._scans(table, columns, blocking)
            with scans as found, suppress(Unscannable):
                yield from regroup.regrouped(found, ranges)
                return
        yield from scan.by_time("TRUE")

    def _key_ranges(self, table: Table, columns: Sequence[Column]) -> Sequence[str]:
        """Ranges of the primary key, if reading these and sorting here is best."""
        found = self._query(
            "SELECT k.column_name FROM information_schema.statistics k "
            "JOIN information_schema.tables t USING (table_schema, table_name) "
            "WHERE table_schema = %s AND table_name = %s AND index_name = 'PRIMARY' "
            "AND engine = 'InnoDB' AND table_rows >= %s AND data_length <= %s",
            (self._server.database, table.name, ROWS_TO_SORT, BYTES_TO_SORT),
        )
        names = [catalog_text(name) for (name,) in found]
        keys = [c for c in columns if [c.name] == names and c.payload_sql is not None]
        if not keys:
            return ()
        (key,) = keys
        select = partial(self._answer, table, raw=True)
        return regroup.key_ranges(select, table.name, key)

    def _by_two(
        self,
        table: Table,
        columns: Sequence[Column],
        blocking: Blocking,
        numbers: Sequence[int],
    ) -> Generator[ScannedBatch]:
        """Scan with a second connection, if there can be one."""
        with self._scans(table, columns, blocking) as (scan, *others):
            yield from scan.by_key(numbers, *others)

    @contextmanager
    def _scans(
        self, table: Table, columns: Sequence[Column], blocking: Blocking
    ) -> Iterator[Sequence[BlockScan]]:
        """The scan by this connection, and by a second one, whose locks end with it."""
        views = [self, second] if (second := self.open_second()) else [self]
        yield [view.block_scan(table, columns, blocking) for view in views]
        if second is not None:
            second.end_locks()

    def fetch(
        self,
        table: Table,
        columns: Sequence[Column],
        blocking: Blocking,
        blocks: Sequence[Block],
    ) -> Generator[ScannedBatch]:
        """Fetch the rows of *blocks*, as lines where that is possible and best.

        A digest of lines that the server computed alone is replaced in any case.
        """
        scan = self.block_scan(table, columns, blocking)
        if blocking.key_kind is KeyKind.TIME:
            yield from scan.again_by_time(blocks)
            return
        scanned = blocks
        if (
            not inline.fits(columns)
            or self._ranges(table, blocking, EVERYTHING) is None
        ):
            scanned = self._of_lines(table, columns, blocking, blocks)
        yield from scan.again(scanned)
        numbers = set(_numbers(scanned))
        for batch in scan.fetch.batches([b for b in blocks if b.number not in numbers]):
            yield ScannedBatch((), batch)

    def block_scan(
        self, table: Table, columns: Sequence[Column], blocking: Blocking
    ) -> BlockScan:
        """The queries that read blocks of *table* by this connection."""

        def stream(statement: str) -> Generator[Row, None, int]:
            self._lock(table)
            return self.stream(statement, table.name)

        def select(statement: str) -> Answer:
            return self._answer(table, statement, raw=True)

        digests = self._digests(table, columns, blocking)
        fetch = BlockFetch(stream, table, columns, blocking)
        return BlockScan(stream, select, self._interrupt, digests, fetch)

    def _interrupt(self) -> None:
        """Make the statement that another thread runs fail; the server goes on."""
        login.shut_down(self._connection)

    def stream(
        self, statement: str, subject: str | None = None
    ) -> Generator[Row, None, int]:
        """Yield the result's rows, values as bytes, one at a time as they arrive.

        Returns the number of warnings. *subject* is the table that errors name.
        """
        with self._running(subject, raw=True) as cursor:
            cursor.execute(statement)
            yield from cursor
            return int(cursor.warning_count)

    @contextmanager
    def _running(
        self, subject: str | None, *, raw: bool | None = None
    ) -> Iterator[Any]:
        """A cursor for one statement, all of whose rows must be read."""
        with translate_errors(self._server, subject):
            # Closed only after the last row: to close it earlier raises an error about
            # unread rows, in place of the error that ended the reading.
            self.is_busy = True
            cursor = self._connection.cursor(raw=raw)
            yield cursor
            cursor.close()
            self.is_busy = False

    def _lock(self, table: Table) -> None:
        """End the locks on the table that was read before, if it is another one."""
        if self._locked != table.name:
            self.end_locks()
        self._locked = table.name

    def end_locks(self) -> None:
        """End the locks on the table that was read last."""
        if self._locked is not None:
            self._query(session.RELEASE_LOCKS)
        self._locked = None

    def _select(self, table: Table, statement: str) -> Sequence[Row]:
        return self._answer(table, statement).rows

    def _answer(
        self, table: Table, statement: str, *, raw: bool | None = None
    ) -> Answer:
        self._lock(table)
        with self._running(table.name, raw=raw) as cursor:
            cursor.execute(statement)
            return Answer(cursor.fetchall(), cursor.warning_count)

    def _query(
        self, statement: str, values: Sequence[object] = (), subject: str | None = None
    ) -> list[Row]:
        rows: list[Row] = []
        with self._running(subject) as cursor:
            cursor.execute(statement, tuple(values))
            if cursor.with_rows:
                rows = cursor.fetchall()
        return rows


def _numbers(blocks: Iterable[Block]) -> list[int]:
    """The numbers of *blocks*, without the block of rows that have no key."""
    return [block.number for block in blocks if block.number is not None]


def _column(table: Table, found: CatalogColumn) -> Column:
    column = encode(found)
    if column is None:
        raise SourceError(
            f"{table.name}.{found.name} has the type {found.type}, "
            "which the read model does not support"
        )
    return column
