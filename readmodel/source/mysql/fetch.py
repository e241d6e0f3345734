"""Fetching the rows of blocks as packed texts, which the server may cut off.

A server cuts a text that exceeds max_allowed_packet, without an error. So each text
comes with the count of its rows; rows whose texts are not whole are fetched again, first
in more and smaller texts, then row by row, which no limit of the server applies to.
"""

import zlib
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import batched
from typing import Any, Final

import polars as pl

from readmodel.source.blocking import Block, KeyKind, group_by_rows
from readmodel.source.mysql import inline, sql
from readmodel.source.mysql.columns import identifier
from readmodel.source.mysql.digests import Answer, BlockDigests
from readmodel.source.mysql.packed import PackedRows, join, unpack
from readmodel.source.protocol import PassingFault, ScannedBatch
from readmodel.source.read_ahead import read_ahead
from readmodel.source.wire import ROW_END, SEPARATOR, Batch, Column, Row, Truncated
from util.errors import SourceError

ROWS_PER_QUERY: Final = 40_000
BYTES_PER_BATCH: Final = 32 * 2**20
"""A batch ends early once its texts are so large."""

SHARES: Final = 4
"""Texts that replace one that was cut off, before its rows are fetched one by one."""


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
        return Block(
            self.number, self.rows, inline.digest(self.nulls, zlib.crc32(self.text))
        )


class BlockFetch:
    """The queries that fetch blocks of one table, and the decoding of their results.

    *stream* runs a statement and yields the result's rows, and *select* returns all of
    them, both with values as bytes; *interrupt* ends that in another thread. *digests*
    are those of the table.
    """

    def __init__(
        self,
        stream: Callable[[str], Iterator[Row]],
        select: Callable[[str], Answer],
        interrupt: Callable[[], None],
        digests: BlockDigests,
    ) -> None:
        self._stream = stream
        self._select = select
        self._interrupt = interrupt
        self._digests = digests
        self._table = digests.table
        self._columns = columns = digests.columns
        self._blocking = digests.blocking
        self._packed_row = sql.packed_row(columns)
        self._texts = ", ".join(sql.packed_texts(columns))

    def batches(self, blocks: Sequence[Block]) -> Iterator[Batch]:
        """Yield the rows of *blocks*, about ROWS_PER_QUERY in each batch."""
        small = [block for block in blocks if block.rows <= ROWS_PER_QUERY]
        large = [block for block in blocks if block.rows > ROWS_PER_QUERY]
        if self._blocking.key_kind is KeyKind.TIME:
            # Such keys often have no index, so one scan fetches all blocks.
            yield from self._text_per_block(small)
        else:
            for group in group_by_rows(small, ROWS_PER_QUERY):
                yield from self._one_text(group)
        for block in large:
            yield from self._shares([block], -(-block.rows // ROWS_PER_QUERY))

    def scan(self, numbers: Sequence[int]) -> Generator[ScannedBatch]:
        """Yield the blocks called *numbers* that have rows, with digests, in order.

        Each row is read once, unless its block must be fetched in another form.
        """
        size = max(1, ROWS_PER_QUERY // self._blocking.width)
        yield from self._scan(batched(numbers, size))

    def scan_again(self, blocks: Sequence[Block]) -> Generator[ScannedBatch]:
        """Yield *blocks*, which have been counted, with the digests of what arrives."""
        groups = group_by_rows(blocks, ROWS_PER_QUERY)
        numbers = [
            [b.number for b in group if b.number is not None] for group in groups
        ]
        counted = {block.number: block for block in blocks}
        for scanned in self._scan(numbers):
            expected = [counted.pop(block.number) for block in scanned.blocks]
            self._check_count(sum(b.rows for b in scanned.blocks), expected)
            yield scanned
        self._check_count(0, list(counted.values()))

    def _scan(self, groups: Iterable[Sequence[int]]) -> Generator[ScannedBatch]:
        for blocks, found in read_ahead(self._scanned(groups), self._interrupt):
            if isinstance(found, Batch):
                yield ScannedBatch(blocks, found)
            else:
                rows = sum(block.rows for block in blocks)
                batch = inline.unpack(self._table, found, self._columns, rows)
                yield ScannedBatch(blocks, batch)

    def _scanned(
        self, groups: Iterable[Sequence[int]]
    ) -> Iterator[tuple[tuple[Block, ...], bytes | Batch]]:
        """Yield blocks in order, either as lines or, if these prove nothing, decoded."""
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
        statements = map(self._lines_statement, numbers)
        rows, warnings = self._select(" UNION ALL ".join(statements))
        if sorted(int(row[0]) for row in rows) != list(numbers):
            raise SourceError(
                f"{self._table.name}: {len(rows)} blocks arrived instead of "
                f"{len(numbers)}: no setting may limit the rows of a SELECT"
            )
        found = [self._lines(row, is_whole=not warnings) for row in rows if int(row[1])]
        return sorted(found, key=lambda lines: lines.number)

    def _lines_statement(self, number: int) -> str:
        """A statement for one row: the figures of a block, and its lines."""
        block = [Block(number, 0, 0)]
        return (
            f"SELECT {number}, COUNT(*), {inline.null_count_sql(self._columns)}, "
            f"IFNULL({inline.lines_sql(self._columns)},'') "
            f"FROM {identifier(self._table.name)}{inline.IN_ORDER} "
            f"WHERE {sql.in_blocks(self._columns, self._blocking, block)}"
        )

    def _lines(self, row: Row, *, is_whole: bool) -> _Lines:
        number, rows, nulls = map(int, row[:3])
        text = bytes(row[3])
        is_proven = is_whole and inline.is_proven(text, len(self._columns), rows, nulls)
        return _Lines(number, rows, nulls, text, is_proven)

    def _in_another_form(self, number: int) -> tuple[tuple[Block, ...], Batch]:
        """The block called *number* with the digest of its rows, and these."""
        blocks = tuple(self._digests.of_rows([number]))
        return blocks, _joined(list(self.batches(blocks)))

    def _one_text(self, blocks: Sequence[Block]) -> Iterator[Batch]:
        """Fetch *blocks* as one text, or in shares if the server cuts it off."""
        ((_, count, *texts),) = self._stream(self._statement(blocks, "NULL"))
        self._check_count(count, blocks)
        batch = self._unpack_if_whole(_packed(texts), int(count))
        if batch is None:
            yield from self._shares(blocks, SHARES)
        else:
            yield batch

    def _text_per_block(self, blocks: Sequence[Block]) -> Iterator[Batch]:
        """Fetch *blocks* in one scan, which returns texts for each block."""
        if not blocks:
            return
        missing = {block.number: block for block in blocks}
        gathered: list[tuple[Block, PackedRows]] = []
        cut_off: list[Block] = []
        rows = size = 0
        group = sql.block_number(self._columns, self._blocking)
        for number, count, *texts in self._stream(self._statement(blocks, group)):
            found = None if number is None else int(number)
            block = missing.pop(found, Block(found, 0, 0))
            self._check_count(count, [block])
            gathered.append((block, _packed(texts)))
            rows += block.rows
            size += gathered[-1][1].bytes
            if rows >= ROWS_PER_QUERY or size >= BYTES_PER_BATCH:
                yield from self._unpack_texts(gathered, cut_off)
                gathered, rows, size = [], 0, 0
        self._check_count(0, list(missing.values()))
        yield from self._unpack_texts(gathered, cut_off)
        for block in cut_off:
            yield from self._shares([block], SHARES)

    def _unpack_texts(
        self, gathered: Sequence[tuple[Block, PackedRows]], cut_off: list[Block]
    ) -> Iterator[Batch]:
        """Yield one batch of all texts.

        If a text was cut off, yield a batch for each other text and add its block to
        *cut_off*.
        """
        if not gathered:
            return
        batch = self._unpack_if_whole(
            join([packed for _, packed in gathered]),
            sum(block.rows for block, _ in gathered),
        )
        if batch is not None:
            yield batch
            return
        for block, packed in gathered:
            batch = self._unpack_if_whole(packed, block.rows)
            if batch is None:
                cut_off.append(block)
            else:
                yield batch

    def _shares(self, blocks: Sequence[Block], shares: int) -> Iterator[Batch]:
        """Fetch *blocks* as *shares* texts, or row by row if one is cut off.

        The digest of a row decides on its share, so equal rows are in the same share.
        """
        share = f"MOD({sql.row_digest(self._columns)},{shares})"
        batches: list[Batch] = []
        count, all_whole = 0, True
        for _, rows, *texts in self._stream(self._statement(blocks, share)):
            count += int(rows)
            if all_whole:
                batch = self._unpack_if_whole(_packed(texts), int(rows))
                all_whole = batch is not None
                batches += [batch] if batch is not None else []
        self._check_count(count, blocks)
        if all_whole:
            yield from batches
        else:
            batches.clear()
            yield from self._row_by_row(blocks)

    def _row_by_row(self, blocks: Sequence[Block]) -> Iterator[Batch]:
        """Fetch *blocks* as plain rows, which `SELECT *` could return, too."""
        values = sql.plain_values(self._columns)
        count = 0
        packer = _Packer(self._columns)
        for row in self._stream(
            f"SELECT {', '.join(values)} FROM {identifier(self._table.name)} "
            f"WHERE {sql.in_blocks(self._columns, self._blocking, blocks)}"
        ):
            packer.add(row)
            if packer.rows == ROWS_PER_QUERY or packer.bytes >= BYTES_PER_BATCH:
                count += packer.rows
                yield unpack(self._table, packer.take(), self._columns, packer.rows)
                packer = _Packer(self._columns)
        count += packer.rows
        self._check_count(count, blocks)
        if packer.rows:
            yield unpack(self._table, packer.take(), self._columns, packer.rows)

    def _statement(self, blocks: Sequence[Block], group: str) -> str:
        """A statement for the packed rows of *blocks*, a row for each *group*."""
        return (
            f"SELECT {group}, COUNT(*), "
            f"GROUP_CONCAT({self._packed_row} SEPARATOR '')"
            f"{', ' if self._texts else ''}{self._texts} "
            f"FROM {identifier(self._table.name)} "
            f"WHERE {sql.in_blocks(self._columns, self._blocking, blocks)}"
            + ("" if group == "NULL" else f" GROUP BY {sql.FIRST_COLUMN}")
        )

    def _check_count(self, count: Any, blocks: Sequence[Block]) -> None:
        """Raise PassingFault unless *count* is the number of rows of *blocks*."""
        expected = sum(block.rows for block in blocks)
        if int(count) != expected:
            raise PassingFault(
                f"{self._table.name}: fetched {int(count)} rows where {expected} were "
                "counted; its storage engine must support transactions (InnoDB)"
            )

    def _unpack_if_whole(self, packed: PackedRows, rows: int) -> Batch | None:
        """Decode *packed*; None if a text was cut off."""
        try:
            return unpack(self._table, packed, self._columns, rows)
        except Truncated:
            return None


class _Packer:
    """Packs plain rows as the server does."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self._is_payload = [column.payload_sql is not None for column in columns]
        self._lines: list[bytes] = []
        self._payloads: list[list[bytes]] = [[] for flag in self._is_payload if flag]
        self.bytes = 0

    @property
    def rows(self) -> int:
        return len(self._lines)

    def add(self, row: Row) -> None:
        payloads = iter(self._payloads)
        fields = []
        for value, is_payload in zip(row, self._is_payload, strict=True):
            if not is_payload:
                fields.append(bytes(value))
                continue
            payload = next(payloads)
            if value is None:
                fields.append(b"")
            else:
                fields.append(b"%d" % len(value))
                payload.append(bytes(value))
                self.bytes += len(value)
        self._lines.append(SEPARATOR.encode().join(fields) + ROW_END.encode())
        self.bytes += len(self._lines[-1])

    def take(self) -> PackedRows:
        return PackedRows(b"".join(self._lines), tuple(map(b"".join, self._payloads)))


def _joined(batches: Sequence[Batch]) -> Batch:
    return Batch(
        pl.concat([batch.frame for batch in batches]),
        sum(batch.zero_dates for batch in batches),
        sum(batch.repaired_texts for batch in batches),
    )


def _packed(texts: Sequence[Any]) -> PackedRows:
    """The texts of a result's row; GROUP_CONCAT is NULL where all values are."""
    fields, *payloads = (b"" if text is None else bytes(text) for text in texts)
    return PackedRows(fields, tuple(payloads))
