"""Reading the blocks of one table, with their digests.

Each block is a JSON array for each column, or packed rows where arrays cannot hold it:
which of them depends on its values alone, so equal blocks have equal digests.
"""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

import polars as pl

from readmodel.source.blocking import (
    BLOCK_SECONDS,
    EVERYTHING,
    Block,
    Blocking,
    BlockRange,
    KeyKind,
)
from readmodel.source.protocol import PassingFault
from readmodel.source.sqlite.arrays import (
    NotHeld,
    are_floats_proven,
    are_held,
    arrays_sql,
    can_hold,
    count_integers,
    decode_arrays,
    digest,
    number_columns,
)
from readmodel.source.sqlite.functions import row_digest
from readmodel.source.sqlite.misfits import changing, misfit
from readmodel.source.sqlite.packed import packed_row, repair
from readmodel.source.sqlite.sql import block_number, identifier, in_range
from readmodel.source.wire import Batch, Column, decode
from readmodel.tables import Table
from util.errors import SourceError

type Query = Callable[[str], Iterator[tuple[Any, ...]]]
"""Callback(statement): the rows of a statement, texts as bytes."""

type Group = tuple[Any, ...]
"""What a group is named by, its number of rows, and its arrays."""

_ROWS_TOGETHER: Final = 16_384
_HIGHEST_KEY: Final = 2**63 - 1
_DAY: Final = re.compile(rb"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_YEAR_0_TO_1: Final = 365
"""Days from the year 0 to the first day that Python's calendar has, less one."""


@dataclass(frozen=True, slots=True)
class FoundBlock:
    """A block with its digest, and its rows as arrays or as packed rows."""

    block: Block
    arrays: Sequence[bytes] = ()
    packed: bytes = b""

    @property
    def size(self) -> int:
        """Bytes of the arrays, or of the packed rows."""
        return len(self.packed) + sum(map(len, self.arrays))


@dataclass(frozen=True)
class TableReader:
    """Reads blocks of *table* through *query*, which raises SourceError."""

    table: Table
    columns: Sequence[Column]
    blocking: Blocking
    query: Query

    @cached_property
    def are_numbers(self) -> Sequence[bool]:
        """Whether the values of each column are integers in their array."""
        return number_columns(self.columns)

    def read(
        self,
        block_range: BlockRange = EVERYTHING,
        numbers: Collection[int | None] | None = None,
    ) -> Iterator[FoundBlock]:
        """Yield the blocks of *block_range*, or those of *numbers*, that have rows.

        They are sorted by number, the block None comes first.
        """
        if not can_hold(self.columns):
            return self._packed(self._selected(block_range, numbers))
        if self._is_searched():
            return self._one_by_one(block_range, numbers)
        return self._grouped(block_range, numbers)

    def decode(self, found: Sequence[FoundBlock]) -> Batch:
        """All rows of *found*, in this order. Raises SourceError for a misfit."""
        rows = sum(each.block.rows for each in found)
        if all(each.arrays for each in found):
            with suppress(NotHeld):
                arrays = [each.arrays for each in found]
                return decode_arrays(self.columns, arrays, rows)
        if len(found) > 1:
            return _together([self.decode([each]) for each in found])
        (each,) = found
        return self._decode_packed(
            each.packed or self._packed_only(each.block.number).packed, rows
        )

    def _is_searched(self) -> bool:
        """Whether SQLite finds the rows of a block without reading all others."""
        if self.blocking.key_kind is not KeyKind.NUMBER:
            return False
        key, name = identifier(self.blocking.key), identifier(self.table.name)
        statement = f"SELECT 1 FROM {name} WHERE {key} >= 0 AND {key} < 1"
        return is_searched(self.query, statement)

    def _one_by_one(
        self, block_range: BlockRange, numbers: Collection[int | None] | None
    ) -> Iterator[FoundBlock]:
        """Read each block by a query of its own: to group rows would sort all of them."""
        present = self._present(block_range) if numbers is None else _sorted(numbers)
        key = [column.name for column in self.columns].index(self.blocking.key)
        for number in present:
            where = self._in_block(number)
            try:
                (arrays,) = self.query(self._select("", where))
                rows = count_integers(arrays[key])
                is_held = self._are_held(arrays, rows)
            except PassingFault:
                raise
            except SourceError:  # bytes in an array, or more than SQLite's longest text
                is_held = False
            if not is_held:
                yield from self._packed_block(number, where)
            elif rows:
                yield self._found(number, rows, arrays)

    def _present(self, block_range: BlockRange) -> Iterator[int | None]:
        """The numbers of the blocks of *block_range* that have rows, and perhaps None."""
        if block_range.first is None:
            yield None
        width, last = self.blocking.width, block_range.last
        lowest = None if block_range.first is None else block_range.first * width
        while (key := self._next_key(lowest)) is not None:
            number = key // width
            lowest = (number + 1) * width
            if last is not None and number > last:
                return
            yield number

    def _next_key(self, lowest: int | None) -> int | None:
        """The lowest key that is not below *lowest*; None at the end."""
        if lowest is not None and lowest > _HIGHEST_KEY:
            return None
        key, name = identifier(self.blocking.key), identifier(self.table.name)
        where = "TRUE" if lowest is None else f"{key} >= {lowest}"
        ((found,),) = self.query(f"SELECT MIN({key}) FROM {name} WHERE {where}")
        if found is not None and not isinstance(found, int):
            keys = [column for column in self.columns if column.name == self.table.key]
            raise misfit(self.query, self.table, keys) or changing(self.table)
        return found

    def _in_block(self, number: int | None) -> str:
        """SQL that is true for the rows of a block, and finds them by the key's index."""
        key, width = identifier(self.blocking.key), self.blocking.width
        if number is None:
            return f"{key} IS NULL"
        first, end = number * width, (number + 1) * width
        lower = f"{key} >= {first}" if first >= -_HIGHEST_KEY else f"{key} IS NOT NULL"
        return f"{lower} AND {key} < {end}" if end <= _HIGHEST_KEY else lower

    def _grouped(
        self, block_range: BlockRange, numbers: Collection[int | None] | None
    ) -> Iterator[FoundBlock]:
        """Read all blocks by one query, which sorts the rows by block."""
        where = self._selected(block_range, numbers)
        group, is_time = block_number(self.blocking), False
        if self.blocking.key_kind is KeyKind.TIME:
            group, is_time = f"substr({identifier(self.blocking.key)}, 1, 10)", True
            if not self._has_only_days(group, where):
                yield from self._packed(where)
                return
        statement = self._select(
            f"{group}, COUNT(*), ", f"{where} GROUP BY 1 ORDER BY 1"
        )
        done = set()
        try:
            for groups in _batches_of_groups(self.query(statement)):
                are_held_together = self._are_held_together(groups)
                for name, rows, *arrays in groups:
                    number = _number_of_day(name) if is_time else name
                    is_held = are_held_together or self._are_held(arrays, rows)
                    done.add(number)
                    yield (
                        self._found(number, rows, arrays)
                        if is_held
                        else self._packed_only(number)
                    )
        except PassingFault:
            raise
        except SourceError:
            packed = self._packed(where)
            yield from (each for each in packed if each.block.number not in done)

    def _has_only_days(self, day: str, where: str) -> bool:
        """Whether each key is NULL or begins with a day that the calendar has."""
        if self.blocking.width != BLOCK_SECONDS:
            return False
        name = identifier(self.table.name)
        found = self.query(f"SELECT DISTINCT {day} FROM {name} WHERE {where}")
        return all(
            value is None or (isinstance(value, bytes) and _is_day(value))
            for (value,) in found
        )

    def _select(self, first: str, where: str) -> str:
        arrays = arrays_sql(self.columns)
        return (
            f"SELECT {first}{arrays} FROM {identifier(self.table.name)} WHERE {where}"
        )

    def _are_held(self, arrays: Sequence[bytes], rows: int) -> bool:
        """Whether *arrays*, and the proofs after them, tell the values of *rows*."""
        values, proofs = arrays[: len(self.columns)], arrays[len(self.columns) :]
        return are_held(self.are_numbers, values, rows) and (
            not proofs or are_floats_proven(self.columns, values, proofs, rows)
        )

    def _are_held_together(self, groups: Sequence[Group]) -> bool:
        """Whether the arrays of all *groups* tell their values; False if that is unclear.

        One array after another has the same characters around its elements.
        """
        if any(column.proof_sql for column in self.columns):
            return False
        arrays = [
            b"".join(column) for column in zip(*(g[2:] for g in groups), strict=True)
        ]
        return self._are_held(arrays, sum(group[1] for group in groups))

    def _found(
        self, number: int | None, rows: int, arrays: Sequence[bytes]
    ) -> FoundBlock:
        """The block of *rows*, whose values *arrays* tell."""
        values = arrays[: len(self.columns)]
        return FoundBlock(Block(number, rows, digest(values)), values)

    def _selected(
        self, block_range: BlockRange, numbers: Collection[int | None] | None
    ) -> str:
        if numbers is None:
            return in_range(self.blocking, block_range)
        number = block_number(self.blocking)
        listed = ",".join(str(each) for each in numbers if each is not None)
        unnumbered = f" OR {number} IS NULL" if None in numbers else ""
        return f"({number} IN ({listed}){unnumbered})"

    def _packed(self, where: str) -> Iterator[FoundBlock]:
        """Yield the blocks that have rows *where*, as packed rows."""
        # The key's index has the order of the numbers, which themselves have none.
        is_number = self.blocking.key_kind is KeyKind.NUMBER
        found = self.query(
            f"SELECT {block_number(self.blocking)}, {packed_row(self.columns)} "
            f"FROM {identifier(self.table.name)} WHERE {where} "
            f"ORDER BY {identifier(self.blocking.key) if is_number else 1}"
        )
        for number, rows in groupby(found, itemgetter(0)):
            yield _from_packed(number, [row[1] for row in rows])

    def _packed_block(self, number: int | None, where: str) -> Iterator[FoundBlock]:
        """Yield the block *number*, whose rows are *where*, unless it has none."""
        name = identifier(self.table.name)
        found = self.query(
            f"SELECT {packed_row(self.columns)} FROM {name} WHERE {where}"
        )
        if rows := [row for (row,) in found]:
            yield _from_packed(number, rows)

    def _packed_only(self, number: int | None) -> FoundBlock:
        """The packed rows of the block *number*, which has rows."""
        where = (
            self._in_block(number)
            if self._is_searched()
            else self._selected(EVERYTHING, [number])
        )
        (found,) = self._packed_block(number, where)
        return found

    def _decode_packed(self, packed: bytes, rows: int) -> Batch:
        text, repaired = repair(packed)
        try:
            batch = decode(self.table, text, self.columns, rows)
        except SourceError as error:
            raise misfit(self.query, self.table, self.columns) or error from error
        return replace(batch, repaired_texts=repaired)


def is_searched(query: Query, statement: str) -> bool:
    """Whether SQLite finds what *statement* reads by an index, without reading all rows."""
    plan = query(f"EXPLAIN QUERY PLAN {statement}")
    return all(step[3].startswith(b"SEARCH") for step in plan)


def _batches_of_groups(groups: Iterator[Group]) -> Iterator[list[Group]]:
    """Divide *groups* into batches of some rows, also those before an error."""
    batch: list[Group] = []
    rows = 0
    try:
        for group in groups:
            batch.append(group)
            rows += group[1]
            if rows >= _ROWS_TOGETHER:
                yield batch
                batch, rows = [], 0
    except SourceError:
        if batch:
            yield batch
        raise
    if batch:
        yield batch


def _from_packed(number: int | None, rows: Sequence[bytes]) -> FoundBlock:
    block = Block(number, len(rows), sum(map(row_digest, rows)))
    return FoundBlock(block, packed=b"".join(rows))


def _sorted(numbers: Collection[int | None]) -> list[int | None]:
    """*numbers* in order, None first."""
    return sorted(numbers, key=lambda number: (number is not None, number or 0))


def _number_of_day(day: bytes | None) -> int | None:
    """The number of the block of a day, 2026-01-02."""
    if day is None:
        return None
    return date.fromisoformat(day.decode()).toordinal() + _YEAR_0_TO_1


def _is_day(text: bytes) -> bool:
    """Whether *text* is a day of the calendar, as 2026-01-02."""
    if not _DAY.fullmatch(text):
        return False
    try:
        date.fromisoformat(text.decode())
    except ValueError:
        return False
    return True


def _together(batches: Sequence[Batch]) -> Batch:
    return Batch(
        pl.concat([batch.frame for batch in batches]),
        sum(batch.zero_dates for batch in batches),
        sum(batch.repaired_texts for batch in batches),
    )
