"""Blocks as lines, which are digested and fetched at once.

The server joins the lines of a block, and the client digests them: their CRC-32 for
ranges of the primary key. A table whose key is a time is read in one statement, since the
key often has no index; its groups have no order, and a checksum for each line is added up.
"""

import zlib
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import batched

import polars as pl

from readmodel.source.blocking import Block, group_by_rows, in_order
from readmodel.source.mysql import inline, sql
from readmodel.source.mysql.digests import Answer, BlockDigests
from readmodel.source.mysql.fetch import (
    BYTES_PER_BATCH,
    ROWS_PER_QUERY,
    BlockFetch,
    check_count,
)
from readmodel.source.protocol import ScannedBatch, Unscannable
from readmodel.source.read_ahead import read_ahead
from readmodel.source.wire import Batch, Row
from util.errors import SourceError

type _Found = tuple[tuple[Block, ...], bytes | Batch]
"""Blocks in order, and either their proven lines or, if these prove nothing, their rows."""


@dataclass(frozen=True, slots=True)
class _Lines:
    """A block as lines: its number, its rows, the NULLs in its texts, and the lines.

    Unless it `is_proven` that they are the rows, these must be fetched in another form.
    """

    number: int
    rows: int
    nulls: int
    text: bytes
    is_proven: bool

    @property
    def block(self) -> Block:
        """The block with the digest of these lines."""
        digest = inline.digest(self.nulls, zlib.crc32(self.text))
        return Block(self.number, self.rows, digest)


@dataclass(frozen=True, slots=True)
class BlockScan:
    """The queries that read the blocks of one table as lines, and their decoding.

    *stream* runs a statement, yields the result's rows, values as bytes, and returns the
    number of its warnings; *select* has all at once. *interrupt* ends them in another
    thread. *fetch* fetches rows in any other form.
    """

    stream: Callable[[str], Generator[Row, None, int]]
    select: Callable[[str], Answer]
    interrupt: Callable[[], None]
    digests: BlockDigests
    fetch: BlockFetch

    def by_key(self, numbers: Sequence[int]) -> Generator[ScannedBatch]:
        """Yield the blocks called *numbers* that have rows, with digests, in order.

        Each row is read once, unless its block must be fetched in another form.
        """
        size = max(1, ROWS_PER_QUERY // self.digests.blocking.width)
        yield from self._decoded(self._by_key(batched(numbers, size)))

    def again(self, blocks: Sequence[Block]) -> Generator[ScannedBatch]:
        """Yield *blocks*, which are ranges of keys, with digests of what arrives."""
        groups = list(group_by_rows(blocks, ROWS_PER_QUERY))
        numbers = [
            [b.number for b in group if b.number is not None] for group in groups
        ]
        counted = {block.number: block for block in blocks}
        for scanned in self._decoded(self._by_key(numbers)):
            expected = [counted.pop(block.number) for block in scanned.blocks]
            self._check_count(_rows(scanned.blocks), _rows(expected))
            yield scanned
        self._check_count(0, _rows(counted.values()))

    def by_time(self, condition: str, rows: int) -> Generator[ScannedBatch]:
        """Yield the blocks of the *rows* rows for which *condition* is true, in order.

        Raises Unscannable if the lines of one are not proven to be its rows.
        """
        yield from self._decoded(self._by_time(condition, rows))

    def again_by_time(self, blocks: Sequence[Block]) -> Generator[ScannedBatch]:
        """Yield *blocks*, whose key is a time, with digests of what arrives if possible."""
        columns, blocking = self.digests.columns, self.digests.blocking
        condition = sql.in_blocks(columns, blocking, blocks)
        is_small = all(block.rows <= ROWS_PER_QUERY for block in blocks)
        if is_small and inline.fits(columns):
            with suppress(Unscannable):
                yield from list(self.by_time(condition, _rows(blocks)))
                return
        if any(inline.is_of_lines(block.digest) for block in blocks):
            blocks = in_order(self.digests.grouped(condition))
        yield ScannedBatch(tuple(blocks), _joined(list(self.fetch.batches(blocks))))

    def _decoded(self, results: Iterator[_Found]) -> Generator[ScannedBatch]:
        for blocks, found in read_ahead(results, self.interrupt, _size):
            if isinstance(found, Batch):
                yield ScannedBatch(blocks, found)
            else:
                table, columns = self.digests.table, self.digests.columns
                batch = inline.unpack(table, found, columns, _rows(blocks))
                yield ScannedBatch(blocks, batch)

    def _by_key(self, groups: Iterable[Sequence[int]]) -> Iterator[_Found]:
        for numbers in groups:
            found = self._read_lines(numbers)
            if all(lines.is_proven for lines in found):
                text = b"".join(lines.text for lines in found)
                yield tuple(lines.block for lines in found), text
                continue
            for lines in found:
                if lines.is_proven:
                    yield (lines.block,), lines.text
                else:
                    yield self._in_another_form(lines.number)

    def _read_lines(self, numbers: Sequence[int]) -> list[_Lines]:
        """Read the blocks called *numbers* that have rows, in order."""
        statement = self.digests.each_sql(numbers, self._figures, inline.IN_ORDER)
        rows, warnings = self.select(statement)
        if sorted(int(row[0]) for row in rows) != list(numbers):
            raise SourceError(
                f"{self.digests.table.name}: {len(rows)} blocks arrived instead of "
                f"{len(numbers)}: no setting may limit the rows of a SELECT"
            )
        found = [self._lines(row, is_whole=not warnings) for row in rows if int(row[1])]
        return sorted(found, key=lambda lines: lines.number)

    @property
    def _figures(self) -> Sequence[str]:
        """SQL for the NULLs in the texts of a block, and for its lines."""
        columns = self.digests.columns
        return (
            inline.null_count_sql(columns),
            f"IFNULL({inline.lines_sql(columns)},'')",
        )

    def _lines(self, row: Row, *, is_whole: bool) -> _Lines:
        number, rows, nulls = map(int, row[:3])
        text = bytes(row[3])
        is_proven = is_whole and self._is_proven(text, rows, nulls)
        return _Lines(number, rows, nulls, text, is_proven)

    def _is_proven(self, text: bytes, rows: int, nulls: int) -> bool:
        return inline.is_proven(text, len(self.digests.columns), rows, nulls)

    def _in_another_form(self, number: int) -> tuple[tuple[Block, ...], Batch]:
        """The block called *number* with the digest of its rows, and these."""
        blocks = tuple(self.digests.of_rows([number]))
        return blocks, _joined(list(self.fetch.batches(blocks)))

    def _by_time(self, condition: str, rows: int) -> Iterator[_Found]:
        gathered: list[tuple[Block, bytes]] = []
        count = rows_gathered = size = 0
        for block, text in self._groups(condition):
            gathered.append((block, text))
            count += block.rows
            rows_gathered += block.rows
            size += len(text)
            if rows_gathered >= ROWS_PER_QUERY or size >= BYTES_PER_BATCH:
                yield _together(gathered)
                gathered, rows_gathered, size = [], 0, 0
        self._check_count(count, rows)
        if gathered:
            yield _together(gathered)

    def _groups(self, condition: str) -> Iterator[tuple[Block, bytes]]:
        """Yield each block with the digest of its lines, and these."""
        statement = self.digests.grouped_sql(condition, self._figures)
        groups = self._without_warnings(f"{statement} ORDER BY {sql.FIRST_COLUMN}")
        for group in groups:
            number = None if group[0] is None else int(group[0])
            rows, nulls = map(int, group[1:3])
            text = bytes(group[3])
            if not self._is_proven(text, rows, nulls):
                for _ in groups:  # only then is the connection free
                    pass
                raise Unscannable
            digest = inline.digest(nulls, inline.checksum(text))
            yield Block(number, rows, digest), text

    def _without_warnings(self, statement: str) -> Iterator[Row]:
        """Yield the result's rows; a text may be cut off if the statement has a warning."""
        warnings = yield from self.stream(statement)
        if warnings:
            raise Unscannable

    def _check_count(self, count: int, expected: int) -> None:
        check_count(self.digests.table, count, expected)


def _size(found: _Found) -> int:
    """The bytes of its rows; decoded ones count as many as those of a batch may have."""
    return BYTES_PER_BATCH if isinstance(found[1], Batch) else len(found[1])


def _rows(blocks: Iterable[Block]) -> int:
    return sum(block.rows for block in blocks)


def _together(gathered: Sequence[tuple[Block, bytes]]) -> _Found:
    return tuple(block for block, _ in gathered), b"".join(text for _, text in gathered)


def _joined(batches: Sequence[Batch]) -> Batch:
    return Batch(
        pl.concat([batch.frame for batch in batches]),
        sum(batch.zero_dates for batch in batches),
        sum(batch.repaired_texts for batch in batches),
    )
