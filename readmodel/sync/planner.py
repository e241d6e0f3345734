"""Plan the parts of a table's next snapshot: a pure decision from its blocks.

A part whose blocks are unchanged is kept. Any other is written again: unchanged blocks
are read from the stored parts, changed ones are fetched from the database.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from readmodel.source.blocking import Block, group_by_rows

PART_ROWS: Final = 655_360
"""Few parts are read fastest; a small last part makes new rows cheap to add."""

JOINED_ROWS: Final = 196_608
"""Stored parts are joined up to this many rows, since a join is written and uploaded.

Parts with more rows are only made of rows that are new, by a first copy.
"""

TAIL_RATIO: Final = 4
"""A part may have this many times as many rows as all that follow it together.

So the last parts stay small, and the number of parts grows with the logarithm of the
rows.
"""

SMALL_ROWS: Final = 32_768
"""Up to this many rows, neighbouring parts are always joined."""


@dataclass(frozen=True, slots=True)
class Keep:
    """Keep the stored part of this index as it is."""

    index: int


@dataclass(frozen=True, slots=True)
class Write:
    """Write a part of *blocks*: fetch those in `fetch`, read the rest from `stored`.

    `stored` maps the index of a stored part to the numbers of the blocks to read.
    """

    blocks: tuple[Block, ...]
    fetch: tuple[Block, ...]
    stored: Mapping[int, frozenset[int | None]]


type Step = Keep | Write


def plan(stored: Sequence[Sequence[Block]], now: Sequence[Block]) -> list[Step]:
    """Plan one step for each part of the next snapshot, in block order.

    *stored* lists the blocks of each stored part, *now* all blocks of the database,
    both ascending with None first. A table without rows has one empty part.
    """
    part_of_blocks = {tuple(part): index for index, part in enumerate(stored)}
    part_of_block = {
        block: index for index, part in enumerate(stored) for block in part
    }
    return [
        _step(tuple(group), part_of_blocks, part_of_block)
        for group in layout(stored, now)
    ]


def _step(
    group: tuple[Block, ...],
    part_of_blocks: Mapping[tuple[Block, ...], int],
    part_of_block: Mapping[Block, int],
) -> Step:
    if group in part_of_blocks:
        return Keep(part_of_blocks[group])
    reused: dict[int, set[int | None]] = {}
    for block in group:
        if block in part_of_block:
            reused.setdefault(part_of_block[block], set()).add(block.number)
    fetch = tuple(block for block in group if block not in part_of_block)
    return Write(group, fetch, {i: frozenset(n) for i, n in reused.items()})


def layout(
    stored: Sequence[Sequence[Block]], now: Sequence[Block]
) -> list[Sequence[Block]]:
    """Group *now* into parts; without a change, the groups are those of *stored*."""
    groups = [
        _Group(part, is_stored)
        for group, is_stored in _assigned(stored, now)
        for part in _divided(group)
    ]
    return _joined(groups) or [()]


def leading_part(blocks: Sequence[Block]) -> int:
    """How many of the first *blocks* are a part of a new table, whatever blocks follow.

    0 while that depends on the blocks that follow.
    """
    rows = 0
    for count, block in enumerate(blocks):
        if count and rows + block.rows > PART_ROWS:
            rows_behind = _rows(blocks[count:])
            return count if TAIL_RATIO * rows_behind >= PART_ROWS else 0
        rows += block.rows
    return 0


class _Group(NamedTuple):
    """Blocks that stay together; `is_stored` is True if a stored part had some of them."""

    blocks: Sequence[Block]
    is_stored: bool


def _assigned(
    stored: Sequence[Sequence[Block]], now: Sequence[Block]
) -> Iterator[_Group]:
    """Yield the blocks in the range of each stored part, then each later block alone."""
    begins = [_order(part[0]) for part in stored if part]
    end = max((_order(part[-1]) for part in stored if part), default=(False, 0))
    groups: list[list[Block]] = [[] for _ in begins]
    beyond = []
    for block in now:
        if not begins or _order(block) > end:
            beyond.append([block])
        else:
            groups[max(bisect_right(begins, _order(block)) - 1, 0)].append(block)
    yield from (_Group(group, is_stored=True) for group in groups if group)
    yield from (_Group(group, is_stored=False) for group in beyond)


def _order(block: Block) -> tuple[bool, int]:
    """Sort key: None first, then by number."""
    return (block.number is not None, block.number or 0)


def _divided(group: Sequence[Block]) -> Iterator[Sequence[Block]]:
    """Divide a group that has outgrown PART_ROWS by half."""
    if _rows(group) <= 1.5 * PART_ROWS:
        yield group
    else:
        yield from group_by_rows(group, PART_ROWS)


def _joined(groups: Sequence[_Group]) -> list[Sequence[Block]]:
    """Join neighbours as far as the sizes allow. Idempotent."""
    done: list[tuple[int, list[Block], bool]] = []
    rows_behind = sum(_rows(group.blocks) for group in groups)
    for group in groups:
        rows, blocks, is_stored = (
            _rows(group.blocks),
            list(group.blocks),
            group.is_stored,
        )
        rows_behind -= rows
        while done:
            rows_before, joined, was_stored = done[-1]
            most_rows = JOINED_ROWS if is_stored or was_stored else PART_ROWS
            if not _may_join(rows_before + rows, most_rows, rows_behind):
                break
            done.pop()
            joined += blocks
            rows, blocks = rows + rows_before, joined
            is_stored = is_stored or was_stored
        done.append((rows, blocks, is_stored))
    return [blocks for _, blocks, _ in done]


def _may_join(rows: int, most_rows: int, rows_behind: int) -> bool:
    return rows <= SMALL_ROWS or rows <= min(most_rows, TAIL_RATIO * rows_behind)


def _rows(group: Sequence[Block]) -> int:
    return sum(block.rows for block in group)
