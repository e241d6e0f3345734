"""Fetching the rows of blocks as packed texts, which the server may cut off.

A server cuts a text that exceeds max_allowed_packet, without an error. So each text
comes with the count of its rows; a text that is not whole is asked for again in parts.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from readmodel.source.blocking import Block, Blocking, KeyKind, group_by_rows
from readmodel.source.mysql import sql
from readmodel.source.mysql.columns import identifier
from readmodel.source.protocol import PassingFault
from readmodel.source.wire import Batch, Column, Truncated, decode, is_whole
from readmodel.tables import Table
from util.errors import SourceError

ROWS_PER_QUERY = 40_000
# A text of this many shares per row that is still cut off has a row that is too large.
SHARES_PER_ROW = 8


class BlockFetch:
    """The queries that fetch blocks of one table, and the decoding of their results.

    *stream* runs a statement and yields the result's rows.
    """

    def __init__(
        self,
        stream: Callable[[str], Iterator[tuple[Any, ...]]],
        table: Table,
        columns: Sequence[Column],
        blocking: Blocking,
    ) -> None:
        self._stream = stream
        self._table = table
        self._columns = columns
        self._blocking = blocking
        self._packed_row = sql.packed_row(columns)

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
        ((_, count, text),) = self._stream(self._statement(blocks, "NULL"))
        self._check_count(count, blocks)
        batch = self._decode_if_whole(text, int(count))
        if batch is None:
            yield from self._shares(blocks, 2)
        else:
            yield batch

    def _text_per_block(self, blocks: Sequence[Block]) -> Iterator[Batch]:
        """Fetch *blocks* in one scan, which returns a text for each block."""
        if not blocks:
            return
        missing = {block.number: block for block in blocks}
        gathered: list[tuple[Block, Any]] = []
        cut_off: list[Block] = []
        rows = 0
        group = sql.block_number(self._blocking)
        for number, count, text in self._stream(self._statement(blocks, group, True)):
            found = None if number is None else int(number)
            block = missing.pop(found, Block(found, 0, 0))
            self._check_count(count, [block])
            gathered.append((block, text))
            rows += block.rows
            if rows >= ROWS_PER_QUERY:
                yield from self._decode_texts(gathered, cut_off)
                gathered, rows = [], 0
        self._check_count(0, list(missing.values()))
        yield from self._decode_texts(gathered, cut_off)
        for block in cut_off:
            yield from self._shares([block], 2)

    def _decode_texts(
        self, gathered: Sequence[tuple[Block, Any]], cut_off: list[Block]
    ) -> Iterator[Batch]:
        """Yield one batch of all texts.

        If a text was cut off, yield a batch for each other text and add its block to
        *cut_off*.
        """
        if all(is_whole(text) for _, text in gathered):
            texts = b"".join(text for _, text in gathered)
            batch = self._decode_if_whole(
                texts, sum(block.rows for block, _ in gathered)
            )
            if batch is not None:
                yield batch
                return
        for block, text in gathered:
            batch = self._decode_if_whole(text, block.rows)
            if batch is None:
                cut_off.append(block)
            else:
                yield batch

    def _shares(self, blocks: Sequence[Block], shares: int) -> Iterator[Batch]:
        """Fetch *blocks* as *shares* texts, in twice as many if one is cut off.

        The hash of a row decides on its share.
        """
        share = f"MOD(CRC32({self._packed_row}),{shares})"
        batches: list[Batch] = []
        count, all_whole = 0, True
        for _, rows, text in self._stream(self._statement(blocks, share, True)):
            count += int(rows)
            batch = self._decode_if_whole(text, int(rows)) if all_whole else None
            if batch is None:
                all_whole = False
            else:
                batches.append(batch)
        self._check_count(count, blocks)
        if all_whole:
            yield from batches
            return
        if shares > SHARES_PER_ROW * count:
            raise SourceError(
                f"{self._table.name}: a row is larger than the server's "
                "max_allowed_packet, so it cannot be sent"
            )
        yield from self._shares(blocks, shares * 2)

    def _statement(
        self, blocks: Sequence[Block], group: str, grouped: bool = False
    ) -> str:
        return (
            f"SELECT {group}, COUNT(*), "
            f"GROUP_CONCAT({self._packed_row} SEPARATOR '') "
            f"FROM {identifier(self._table.name)} "
            f"WHERE {sql.in_blocks(self._blocking, blocks)}"
            + (f" GROUP BY {sql.FIRST_COLUMN}" if grouped else "")
        )

    def _check_count(self, count: Any, blocks: Sequence[Block]) -> None:
        """Raise PassingFault unless *count* is the number of rows of *blocks*."""
        expected = sum(block.rows for block in blocks)
        if int(count) != expected:
            raise PassingFault(
                f"{self._table.name}: fetched {int(count)} rows where {expected} were "
                "counted; its storage engine must support transactions (InnoDB)"
            )

    def _decode_if_whole(self, text: Any, rows: int) -> Batch | None:
        """Decode *text*; None if it was cut off, inside a row or between two rows."""
        if not is_whole(text):
            return None
        try:
            return decode(self._table, bytes(text), self._columns, rows)
        except Truncated:
            return None
