"""Fetching the rows of blocks as packed texts, which the server may cut off.

A server cuts a text that exceeds max_allowed_packet, without an error. So each text
comes with the count of its rows; rows whose texts are not whole are fetched again, first
in more and smaller texts, then row by row, which no limit of the server applies to.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from readmodel.source.blocking import Block, Blocking, KeyKind, group_by_rows
from readmodel.source.mysql import sql
from readmodel.source.mysql.columns import identifier
from readmodel.source.mysql.packed import PackedRows, join, unpack
from readmodel.source.protocol import PassingFault
from readmodel.source.wire import ROW_END, SEPARATOR, Batch, Column, Row, Truncated
from readmodel.tables import Table

ROWS_PER_QUERY: Final = 40_000
BYTES_PER_BATCH: Final = 32 * 2**20
"""A batch ends early once its texts are so large."""

SHARES: Final = 4
"""Texts that replace one that was cut off, before its rows are fetched one by one."""


def check_count(table: Table, count: int, expected: int) -> None:
    """Raise PassingFault unless the *count* of fetched rows is what was *expected*."""
    if count != expected:
        raise PassingFault(
            f"{table.name}: fetched {count} rows where {expected} were counted; its "
            "storage engine must support transactions (InnoDB)"
        )


class BlockFetch:
    """The queries that fetch blocks of one table, and the decoding of their results.

    *stream* runs a statement and yields the result's rows, values as bytes.
    """

    def __init__(
        self,
        stream: Callable[[str], Iterator[Row]],
        table: Table,
        columns: Sequence[Column],
        blocking: Blocking,
    ) -> None:
        self._stream = stream
        self._table = table
        self._columns = columns
        self._blocking = blocking
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
        check_count(self._table, int(count), sum(block.rows for block in blocks))

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


def _packed(texts: Sequence[Any]) -> PackedRows:
    """The texts of a result's row; GROUP_CONCAT is NULL where all values are."""
    fields, *payloads = (b"" if text is None else bytes(text) for text in texts)
    return PackedRows(fields, tuple(payloads))
