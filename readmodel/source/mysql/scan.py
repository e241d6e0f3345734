"""Blocks as lines, which are digested and fetched at once.

The server joins the lines of a block, and the client digests them: their CRC-32 for
ranges of the primary key. A table whose key is a time is read in one statement, since the
key often has no index; its groups have no order, and a checksum for each line is added up.
"""

import zlib
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple, Self

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
from readmodel.source.read_ahead import ReadAhead
from readmodel.source.wire import Batch, Row
from util.errors import SourceError

SCANNED_ROWS: Final = 131_072
"""A statement of a scan reads at most so many rows. Its start costs as much as 3,000."""

SCANNED_BYTES: Final = 8 * 2**20
"""About how large these are together, judged by the statement before."""


class _Lines(NamedTuple):
    """A block as lines: its number, its rows, the NULLs in its texts, and the lines."""

    number: int | None
    rows: int
    nulls: int
    text: bytes | bytearray

    @classmethod
    def of_row(cls, row: Row) -> Self:
        """From a row with these values, as bytes."""
        number, rows, nulls, text = row
        block = None if number is None else int(number)
        return cls(block, int(rows), int(nulls), text)


class _Found(NamedTuple):
    """Blocks as lines, in order, and whether the statement had no warning.

    Unless they are proven to be the rows, these must be fetched in another form.
    """

    blocks: Sequence[_Lines]
    is_whole: bool = True


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
        yield from self._by_key(self._read_all(numbers))

    def again(self, blocks: Sequence[Block]) -> Generator[ScannedBatch]:
        """Yield *blocks*, which are ranges of keys, with digests of what arrives."""
        groups = list(group_by_rows(blocks, ROWS_PER_QUERY))
        numbers = [
            [b.number for b in group if b.number is not None] for group in groups
        ]
        counted = {block.number: block for block in blocks}
        for scanned in self._by_key(map(self._read_lines, numbers)):
            expected = [counted.pop(block.number) for block in scanned.blocks]
            self._check_count(_rows(scanned.blocks), _rows(expected))
            yield scanned
        self._check_count(0, _rows(counted.values()))

    def by_time(self, condition: str, rows: int) -> Generator[ScannedBatch]:
        """Yield the blocks of the *rows* rows for which *condition* is true, in order.

        Raises Unscannable if the lines of one are not proven to be its rows.
        """
        results = self._groups(condition, rows)
        ahead = ReadAhead(results, self.interrupt, _size)
        for found in ahead:
            scanned = self._unpacked(found, inline.checksum)
            if scanned is None:
                ahead.compute(partial(_exhaust, results))  # to free the connection
                raise Unscannable
            yield scanned

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

    def _by_key(self, results: Iterator[_Found]) -> Generator[ScannedBatch]:
        """Yield the blocks of *results*, with digests.

        A thread reads these, and does nothing else: the server waits meanwhile.
        """
        ahead = ReadAhead(results, self.interrupt, _size)
        for found in ahead:
            if scanned := self._unpacked(found, zlib.crc32):
                yield scanned
                continue
            for lines in found.blocks:
                yield self._unpacked(_Found([lines], found.is_whole), zlib.crc32) or (
                    ahead.compute(partial(self._in_another_form, lines))
                )

    def _unpacked(
        self, found: _Found, checksum: Callable[[bytes | bytearray], int]
    ) -> ScannedBatch | None:
        """The rows of all blocks; None if their lines are not proven to be these."""
        texts = [lines.text for lines in found.blocks]
        if not found.is_whole or not all(map(inline.is_whole, texts)):
            return None
        rows = sum(lines.rows for lines in found.blocks)
        nulls = sum(lines.nulls for lines in found.blocks)
        batch = inline.unpack(b"".join(texts), self.digests.columns, rows, nulls)
        if batch is None:
            return None
        blocks = [
            Block(it.number, it.rows, inline.digest(it.nulls, checksum(it.text)))
            for it in found.blocks
        ]
        return ScannedBatch(tuple(blocks), batch)

    def _read_all(self, numbers: Sequence[int]) -> Iterator[_Found]:
        """Read the blocks called *numbers*, as many at once as the size of the last allows."""
        width = self.digests.blocking.width
        count = max(1, ROWS_PER_QUERY // width)
        while numbers:
            found = self._read_lines(numbers[:count])
            numbers = numbers[count:]
            fitting = count * SCANNED_BYTES // max(1, _size(found))
            count = max(1, min(fitting, 2 * count, SCANNED_ROWS // width))
            yield found

    def _read_lines(self, numbers: Sequence[int]) -> _Found:
        """Read the blocks called *numbers* that have rows, in order."""
        statement = self.digests.each_sql(numbers, self._figures, inline.IN_ORDER)
        rows, warnings = self.select(statement)
        blocks = sorted(map(_Lines.of_row, rows))
        if [lines.number for lines in blocks] != list(numbers):
            raise SourceError(
                f"{self.digests.table.name}: {len(rows)} blocks arrived instead of "
                f"{len(numbers)}: no setting may limit the rows of a SELECT"
            )
        return _Found([lines for lines in blocks if lines.rows], not warnings)

    @property
    def _figures(self) -> Sequence[str]:
        """SQL for the NULLs in the texts of a block, and for its lines."""
        columns = self.digests.columns
        return (
            inline.null_count_sql(columns),
            f"IFNULL({inline.lines_sql(columns)},'')",
        )

    def _in_another_form(self, lines: _Lines) -> ScannedBatch:
        """The block of *lines* with the digest of its rows, and these."""
        assert lines.number is not None  # it is a range of keys
        blocks = tuple(self.digests.of_rows([lines.number]))
        return ScannedBatch(blocks, _joined(list(self.fetch.batches(blocks))))

    def _groups(self, condition: str, rows: int) -> Generator[_Found]:
        """Read the blocks of *rows* rows in one statement, some together."""
        gathered: list[_Lines] = []
        count = rows_gathered = size = 0
        for lines in self._each_group(condition):
            gathered.append(lines)
            count += lines.rows
            rows_gathered += lines.rows
            size += len(lines.text)
            if rows_gathered >= ROWS_PER_QUERY or size >= BYTES_PER_BATCH:
                yield _Found(gathered)
                gathered, rows_gathered, size = [], 0, 0
        self._check_count(count, rows)
        if gathered:
            yield _Found(gathered)

    def _each_group(self, condition: str) -> Iterator[_Lines]:
        statement = self.digests.grouped_sql(condition, self._figures)
        groups = self._without_warnings(f"{statement} ORDER BY {sql.FIRST_COLUMN}")
        yield from map(_Lines.of_row, groups)

    def _without_warnings(self, statement: str) -> Iterator[Row]:
        """Yield the result's rows; a text may be cut off if the statement has a warning."""
        warnings = yield from self.stream(statement)
        if warnings:
            raise Unscannable

    def _check_count(self, count: int, expected: int) -> None:
        check_count(self.digests.table, count, expected)


def _size(found: _Found) -> int:
    """The bytes of its lines."""
    return sum(len(lines.text) for lines in found.blocks)


def _exhaust(results: Iterator[object]) -> None:
    for _ in results:
        pass


def _rows(blocks: Iterable[Block]) -> int:
    return sum(block.rows for block in blocks)


def _joined(batches: Sequence[Batch]) -> Batch:
    return Batch(
        pl.concat([batch.frame for batch in batches]),
        sum(batch.zero_dates for batch in batches),
        sum(batch.repaired_texts for batch in batches),
    )
