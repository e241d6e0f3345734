"""The digests of blocks as the server computes them: of their lines, or of their rows.

The digest of **lines** is the CRC-32 of a block's lines (see `inline`) in the order of
the primary key. A client that fetches the lines computes it without the server. It is
stored only if it is proven that no other rows have the same lines. The digest of
**rows** is the sum of a checksum per row, and suits every table and block.

Digests of lines are negative, digests of rows are not. So a stored digest tells how to
digest its block again.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import batched
from typing import Final, NamedTuple

from readmodel.source.blocking import Block, Blocking, BlockRange, KeyKind
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
        row_sum = f"SUM({sql.row_digest(self.columns)})"
        for block in self.figures_of(numbers, [row_sum]):
            yield Block(*block)

    def figures_of(
        self, numbers: Sequence[int], figures: Sequence[str]
    ) -> Iterator[DigestedBlock]:
        """Compute *figures* for each of the blocks called *numbers* that have rows."""
        for some in batched(numbers, ROWS_BLOCKS):
            yield from self._each(some, figures).rows

    def _each(
        self, numbers: Sequence[int], figures: Sequence[str], index: str = ""
    ) -> Answer:
        """Compute *figures* for each block by itself; only of those that have rows."""
        found, warnings = self.select(self.each_sql(numbers, figures, index))
        self._check(len(found) == len(numbers))
        return Answer([tuple(map(int, row)) for row in found if row[1]], warnings)

    def each_sql(
        self, numbers: Sequence[int], figures: Sequence[str], index: str = ""
    ) -> str:
        """A statement for one row per block: its number, its rows and *figures*."""
        return " UNION ALL ".join(
            self.one_sql(
                str(number),
                sql.in_blocks(self.columns, self.blocking, [Block(number, 0, 0)]),
                figures,
                index,
            )
            for number in numbers
        )

    def one_sql(
        self, number: str, condition: str, figures: Sequence[str], index: str
    ) -> str:
        """A statement for one row: *number*, the rows of *condition*, and *figures*."""
        selected = ", ".join([number, "COUNT(*)", *figures])
        table = f"{identifier(self.table.name)}{index}"
        return f"SELECT {selected} FROM {table} WHERE {condition}"

    def grouped(self, condition: str, known: Sequence[Block] = ()) -> Iterator[Block]:
        """Digest the blocks of all rows of *condition* in one scan.

        Lines are digested where those of a *known* block were, if the key is a time: the
        sum of a checksum for each line, since groups have no order. The last paragraph of
        `of_lines` applies.
        """
        of_lines = self._of_unordered_lines(known)
        needs_rows = not of_lines or len(of_lines) < len(known)
        figures = [
            inline.null_count_sql(self.columns) if of_lines else "0",
            f"IFNULL(SUM({inline.checksum_sql(self.columns)}),0)" if of_lines else "0",
            f"SUM({sql.row_digest(self.columns)})" if needs_rows else "0",
        ]
        found = self.grouped_figures(condition, figures)
        for number, rows, nulls, checksum, row_sum in found:
            is_of_lines = number in of_lines or not needs_rows
            lines = inline.digest(nulls, checksum)
            yield Block(number, rows, lines if is_of_lines else row_sum)

    def _of_unordered_lines(self, known: Sequence[Block]) -> set[int | None]:
        if self.blocking.key_kind is not KeyKind.TIME or not inline.fits(self.columns):
            return set()
        return {b.number for b in known if inline.is_of_lines(b.digest)}

    def condition(self, block_range: BlockRange, excluded: Sequence[Block] = ()) -> str:
        """SQL that is true for the rows of *block_range* that no *excluded* block has."""
        condition = sql.in_range(self.columns, self.blocking, block_range)
        if not excluded:
            return condition
        others = sql.in_blocks(self.columns, self.blocking, excluded)
        return f"({condition}) AND NOT ({others})"

    def grouped_figures(
        self, condition: str, figures: Sequence[str]
    ) -> Sequence[DigestedBlock]:
        """Compute *figures* for each block of the rows of *condition*."""
        found, _ = self.select(self.grouped_sql(condition, figures))
        self._check(sum(row[1] for row in found) == self.count(condition))
        return [
            (sql.signed_number(number, self.columns, self.blocking), *map(int, counted))
            for number, *counted in found
        ]

    def count(self, condition: str) -> int:
        """The rows of *condition*, as one row: no limit on those of an answer applies."""
        table = identifier(self.table.name)
        ((rows,),), _ = self.select(f"SELECT COUNT(*) FROM {table} WHERE {condition}")
        return int(rows)

    def grouped_sql(self, condition: str, figures: Sequence[str]) -> str:
        """A statement for the rows of `each_sql`, of all blocks of *condition*."""
        number = sql.block_number(self.columns, self.blocking)
        statement = self.one_sql(number, condition, figures, "")
        return f"{statement} GROUP BY {sql.FIRST_COLUMN}"

    def _check(self, is_complete: bool) -> None:
        if not is_complete:
            raise SourceError(
                f"{self.table.name}: {self.server_name} did not return all blocks; its "
                "storage engine must support transactions (InnoDB), and no setting "
                "may limit the rows of a SELECT"
            )
