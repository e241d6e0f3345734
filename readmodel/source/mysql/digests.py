"""The digests of blocks as the server computes them: of their lines, or of their rows.

The digest of **lines** is the CRC-32 of a block's rows as `inline` fetches them, in the
order of the primary key, so that whoever fetches them computes it alone. It is stored
only for lines that arrived and whose counts prove them: no other rows have the same
ones, whatever their texts contain. The digest of **rows** is the sum of a checksum for
each row, and suits every table and every block.

The former are negative, the latter are not, so neither equals the other. A stored digest
tells how its block must be digested to be compared with it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import batched
from typing import Final, NamedTuple

from readmodel.source.blocking import Block, Blocking, BlockRange
from readmodel.source.mysql import inline, sql
from readmodel.source.mysql.columns import identifier
from readmodel.source.wire import Column, Row
from readmodel.tables import Table
from util.errors import SourceError

ROWS_BLOCKS: Final = 64
"""Blocks per query for digests of rows."""

LINES_BLOCKS: Final = 8
"""Blocks per query for digests of lines, each of which the server joins in memory."""

type DigestedBlock = Row
"""A block's number, its rows, and figures of them."""


class Answer(NamedTuple):
    """The rows of a result, and the number of warnings of its statement."""

    rows: Sequence[Row]
    warnings: int


@dataclass(frozen=True, slots=True)
class BlockDigests:
    """The queries that digest the blocks of one table. *select* runs a statement."""

    select: Callable[[str], Answer]
    server_name: str
    table: Table
    columns: Sequence[Column]
    blocking: Blocking

    def of_lines(self, numbers: Sequence[int]) -> Iterator[Block]:
        """Digest the lines of the blocks called *numbers*; of one whose lines are cut, rows.

        They are to be compared with digests of lines that were proven. To store what this
        yields is wrong: other rows may have the same lines.
        """
        figures = [
            inline.null_count_sql(self.columns),
            f"IFNULL(CRC32({inline.lines_sql(self.columns)}),0)",
        ]
        for some in batched(numbers, LINES_BLOCKS):
            found, warnings = self._each(some, figures, inline.IN_ORDER)
            if not warnings:
                for number, rows, nulls, crc32 in found:
                    yield Block(number, rows, inline.digest(nulls, crc32))
            elif len(some) == 1:
                yield from self.of_rows(some)
            else:
                for number in some:
                    yield from self.of_lines([number])

    def of_rows(self, numbers: Sequence[int]) -> Iterator[Block]:
        """Digest the rows of the blocks called *numbers*."""
        for block in self.figures_of(numbers, [sql.row_digest(self.columns)]):
            yield Block(*block)

    def figures_of(
        self, numbers: Sequence[int], row_digests: Sequence[str]
    ) -> Iterator[DigestedBlock]:
        """Sum up each of *row_digests* for the blocks called *numbers* that have rows."""
        sums = [f"SUM({digest})" for digest in row_digests]
        for some in batched(numbers, ROWS_BLOCKS):
            yield from self._each(some, sums).rows

    def _each(
        self, numbers: Sequence[int], figures: Sequence[str], index: str = ""
    ) -> Answer:
        """Compute *figures* for each block by itself; only of those that have rows."""
        selected = ", ".join(["COUNT(*)", *figures])
        found, warnings = self.select(
            " UNION ALL ".join(
                f"SELECT {number}, {selected} FROM {identifier(self.table.name)}{index} "
                f"WHERE {sql.in_blocks(self.columns, self.blocking, [Block(number, 0, 0)])}"
                for number in numbers
            )
        )
        self._check(len(found) == len(numbers))
        return Answer([tuple(map(int, row)) for row in found if row[1]], warnings)

    def grouped(
        self, block_range: BlockRange, excluded: Sequence[Block] = ()
    ) -> Iterator[Block]:
        """Digest the rows of all blocks of *block_range* but *excluded*, in one scan."""
        digests = [sql.row_digest(self.columns)]
        for block in self.grouped_figures(block_range, digests, excluded):
            yield Block(*block)

    def grouped_figures(
        self,
        block_range: BlockRange,
        row_digests: Sequence[str],
        excluded: Sequence[Block] = (),
    ) -> Sequence[DigestedBlock]:
        """Sum up each of *row_digests* for all these blocks."""
        condition = sql.in_range(self.columns, self.blocking, block_range)
        if excluded:
            others = sql.in_blocks(self.columns, self.blocking, excluded)
            condition = f"({condition}) AND NOT ({others})"
        sums = ", ".join(["COUNT(*)", *(f"SUM({digest})" for digest in row_digests)])
        table = identifier(self.table.name)
        found, _ = self.select(
            f"SELECT {sql.block_number(self.columns, self.blocking)}, {sums} "
            f"FROM {table} WHERE {condition} GROUP BY {sql.FIRST_COLUMN}"
        )
        # A limit on the rows of an answer does not apply to one row.
        ((rows,),), _ = self.select(f"SELECT COUNT(*) FROM {table} WHERE {condition}")
        self._check(sum(row[1] for row in found) == rows)
        return [
            (sql.signed_number(number, self.columns, self.blocking), *map(int, counted))
            for number, *counted in found
        ]

    def _check(self, is_complete: bool) -> None:
        if not is_complete:
            raise SourceError(
                f"{self.table.name}: {self.server_name} did not return all blocks; its "
                "storage engine must support transactions (InnoDB), and no setting "
                "may limit the rows of a SELECT"
            )
