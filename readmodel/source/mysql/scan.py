"""Blocks as lines, which are digested and fetched at once.

The server joins the lines of a block, and the client digests them: their CRC-32 for
ranges of the primary key. Two connections that see the same instant read these in turns:
the server has a thread for each, and one computes while the other waits for the disk.

A table whose key is a time is read in one statement, since the key often has no index;
its groups have no order, and a checksum for each line is added up.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import count, cycle
from threading import Lock
from typing import Final, NamedTuple, Self

import polars as pl
from isal.isal_zlib import crc32

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
"""Statements that run at once read at most so many rows. A start costs as much as 3,000."""

SCANNED_BYTES: Final = 8 * 2**20
"""About how large these are together, judged by the last one."""


class Lines(NamedTuple):
    """A block as lines: its number, its rows, the NULLs in its texts, and the lines."""

    number: int | None
    rows: int
    nulls: int
    text: bytes

    @classmethod
    def of_row(cls, row: Row) -> Self:
        """From a row with these values, as bytes."""
        number, rows, nulls, text = row
        block = None if number is None else int(number)
        return cls(block, int(rows), int(nulls), bytes(text))


class Found(NamedTuple):
    """Blocks as lines, in order, and whether the statement had no warning.

    Unless they are proven to be the rows, these must be fetched in another form.
    """

    blocks: Sequence[Lines]
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

    def by_key(
        self, numbers: Sequence[int], *others: "BlockScan"
    ) -> Generator[ScannedBatch]:
        """Yield the blocks called *numbers* that have rows, with digests, in order.

        Each row is read once, unless its block must be fetched in another form. *others*
        are the same scan on other connections, which read statements in turns with it.
        """
        scans = [self, *others]
        groups = _Groups(numbers, self.digests.blocking.width, len(scans))
        results = [
            scan._read_groups(groups, number)  # noqa: SLF001 - its own class
            for number, scan in enumerate(scans)
        ]
        yield from self._by_key(*reading_ahead(scans, results))

    def again(self, blocks: Sequence[Block]) -> Generator[ScannedBatch]:
        """Yield *blocks*, which are ranges of keys, with digests of what arrives."""
        groups = list(group_by_rows(blocks, ROWS_PER_QUERY))
        numbers = [
            [b.number for b in group if b.number is not None] for group in groups
        ]
        counted = {block.number: block for block in blocks}
        ahead = ReadAhead(map(self._read_lines, numbers), self.interrupt, size_of)
        for scanned in self._by_key(ahead):
            expected = [counted.pop(block.number) for block in scanned.blocks]
            self._check_count(_rows(scanned.blocks), _rows(expected))
            yield scanned
        self._check_count(0, _rows(counted.values()))

    def by_time(
        self, condition: str, rows: int | None = None
    ) -> Generator[ScannedBatch]:
        """Yield the blocks of the *rows* rows for which *condition* is true, in order.

        Without *rows* these are counted. Raises Unscannable if the lines of a block are
        not proven to be its rows.
        """
        results = self._groups(condition, rows)
        ahead = ReadAhead(results, self.interrupt, size_of)
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

    def _by_key(
        self, ahead: ReadAhead[Found], *others: ReadAhead[Found]
    ) -> Generator[ScannedBatch]:
        """Yield the blocks that *ahead* and *others* read in turns, with digests.

        Their threads do nothing else: the server waits meanwhile.
        """
        for found in in_turns([ahead, *others]):
            if scanned := self._unpacked(found, crc32):
                yield scanned
                continue
            for lines in found.blocks:
                yield self._unpacked(Found([lines], found.is_whole), crc32) or (
                    ahead.compute(partial(self._in_another_form, lines))
                )

    def _unpacked(
        self, found: Found, checksum: Callable[[bytes], int]
    ) -> ScannedBatch | None:
        """The rows of all blocks; None if their lines are not proven to be these."""
        batch = self.proven(found)
        if batch is None:
            return None
        blocks = [
            Block(it.number, it.rows, inline.digest(it.nulls, checksum(it.text)))
            for it in found.blocks
        ]
        return ScannedBatch(tuple(blocks), batch)

    def proven(self, found: Found) -> Batch | None:
        """The rows of all blocks of *found*; None if their lines are not proven to be these."""
        texts = [lines.text for lines in found.blocks]
        if not found.is_whole or not all(map(inline.is_whole, texts)):
            return None
        rows = sum(lines.rows for lines in found.blocks)
        nulls = sum(lines.nulls for lines in found.blocks)
        return inline.unpack(texts, self.digests.columns, rows, nulls)

    def read_where(self, condition: str) -> Found:
        """Read the rows of *condition*, all in one block or none, by the primary key."""
        statement = self.digests.one_sql(
            "NULL", condition, self.figures, inline.IN_ORDER
        )
        (row,), warnings = self.select(statement)
        lines = Lines.of_row(row)
        return Found([lines] if lines.rows else [], not warnings)

    def _read_groups(self, groups: "_Groups", first: int) -> Iterator[Found]:
        """Read the group called *first*, and each one after it whose turn it is."""
        for number in count(first, groups.readers):
            numbers = groups.take(number)
            if not numbers:
                return
            found = self._read_lines(numbers)
            groups.judge(len(numbers), size_of(found))
            yield found

    def _read_lines(self, numbers: Sequence[int]) -> Found:
        """Read the blocks called *numbers* that have rows, in order."""
        statement = self.digests.each_sql(numbers, self.figures, inline.IN_ORDER)
        rows, warnings = self.select(statement)
        blocks = sorted(map(Lines.of_row, rows))
        if [lines.number for lines in blocks] != list(numbers):
            raise SourceError(
                f"{self.digests.table.name}: {len(rows)} blocks arrived instead of "
                f"{len(numbers)}: no setting may limit the rows of a SELECT"
            )
        return Found([lines for lines in blocks if lines.rows], not warnings)

    @property
    def figures(self) -> Sequence[str]:
        """SQL for the NULLs in the texts of a block, and for its lines."""
        columns = self.digests.columns
        return (
            inline.null_count_sql(columns),
            f"IFNULL({inline.lines_sql(columns)},'')",
        )

    def _in_another_form(self, lines: Lines) -> ScannedBatch:
        """The block of *lines* with the digest of its rows, and these."""
        assert lines.number is not None  # it is a range of keys
        blocks = tuple(self.digests.of_rows([lines.number]))
        return ScannedBatch(blocks, _joined(list(self.fetch.batches(blocks))))

    def _groups(self, condition: str, rows: int | None) -> Generator[Found]:
        """Read the blocks of *rows* rows in one statement, some together."""
        gathered: list[Lines] = []
        arrived = rows_gathered = size = 0
        for lines in self._each_group(condition):
            gathered.append(lines)
            arrived += lines.rows
            rows_gathered += lines.rows
            size += len(lines.text)
            if rows_gathered >= ROWS_PER_QUERY or size >= BYTES_PER_BATCH:
                yield Found(gathered)
                gathered, rows_gathered, size = [], 0, 0
        # Counted afterwards, from memory: the scan has read the table from the disk.
        expected = self.digests.count(condition) if rows is None else rows
        self._check_count(arrived, expected)
        if gathered:
            yield Found(gathered)

    def _each_group(self, condition: str) -> Iterator[Lines]:
        statement = self.digests.grouped_sql(condition, self.figures)
        groups = self._without_warnings(f"{statement} ORDER BY {sql.FIRST_COLUMN}")
        yield from map(Lines.of_row, groups)

    def _without_warnings(self, statement: str) -> Iterator[Row]:
        """Yield the result's rows; a text may be cut off if the statement has a warning."""
        warnings = yield from self.stream(statement)
        if warnings:
            raise Unscannable

    def _check_count(self, count: int, expected: int) -> None:
        check_count(self.digests.table, count, expected)


@dataclass(slots=True)
class _Groups:
    """Blocks of `width` keys, divided into groups for one statement each.

    Several `readers` take them in turns, in threads of their own: group n is for reader
    n % readers. It has as many blocks as the last statement allows when it is determined.
    """

    numbers: Sequence[int]
    width: int
    readers: int
    groups: list[Sequence[int]] = field(default_factory=list)
    size: int = field(init=False)
    lock: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        self.size = max(1, ROWS_PER_QUERY // self.width)

    def take(self, number: int) -> Sequence[int]:
        """The blocks of the group called *number*; none after the last one."""
        with self.lock:
            while len(self.groups) <= number:
                self.groups.append(self.numbers[: self.size])
                self.numbers = self.numbers[self.size :]
            return self.groups[number]

    def judge(self, blocks: int, size: int) -> None:
        """Choose the size of later groups: so many *blocks* had *size* bytes."""
        fitting = blocks * (SCANNED_BYTES // self.readers) // max(1, size)
        most = SCANNED_ROWS // self.readers // self.width
        with self.lock:
            self.size = max(1, min(fitting, 2 * blocks, most))


def reading_ahead(
    scans: Sequence[BlockScan], results: Sequence[Iterator[Found]]
) -> list[ReadAhead[Found]]:
    """A thread for each of *scans* that reads its *results*; they share what may wait."""
    size = partial(size_of, shares=len(scans))
    return [
        ReadAhead(each, scan.interrupt, size)
        for scan, each in zip(scans, results, strict=True)
    ]


def in_turns[T](readers: Sequence[ReadAhead[T]]) -> Generator[T]:
    """Yield one result of each of *readers* after the other, until one has no more.

    An exception, such as a request to stop, interrupts all of them.
    """

    def leave(kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and not issubclass(kind, GeneratorExit):
            for reader in readers:
                reader.leave()

    with ExitStack() as closed:
        turns = [closed.enter_context(closing(iter(reader))) for reader in readers]
        closed.push(leave)
        for turn in cycle(turns):
            for result in turn:
                yield result
                break
            else:
                return


def size_of(found: Found, shares: int = 1) -> int:
    """The bytes of its lines, *shares* times: so many readers share what may wait."""
    return sum(len(lines.text) for lines in found.blocks) * shares


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
