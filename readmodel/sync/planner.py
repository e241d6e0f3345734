"""What to do about a table: a pure decision from its blocks then and now.

A part that holds exactly the blocks it should is kept as it is. Any other is written
anew: from the blocks that did not change, which are at hand, and from those that did,
which are fetched.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from readmodel.source.blocking import Block

# Few parts are read fastest; a small last part makes new rows cheap to add.
PART_ROWS = 655_360
# A part may be this many times as large as all that follows it together, so the
# last ones stay small and the number of parts grows with the logarithm of the rows.
TAIL_RATIO = 4
# Below this many rows a part is not worth being two.
SMALL_ROWS = 32_768


@dataclass(frozen=True, slots=True)
class Keep:
    """Take over the part of this index."""

    part: int


@dataclass(frozen=True, slots=True)
class Write:
    """Write a part of *blocks*: those in `fetch` from the source, the rest from `old`.

    `old` maps the index of an old part to the numbers of the blocks to take of it.
    """

    blocks: tuple[Block, ...]
    fetch: tuple[Block, ...]
    old: Mapping[int, frozenset[int | None]]


type Step = Keep | Write


def plan(old: Sequence[Sequence[Block]], now: Sequence[Block]) -> list[Step]:
    """The parts of the next snapshot, in order of their blocks.

    *old* lists the blocks of each part as it is stored, *now* all blocks of the
    source, both ascending with None first. A table without rows is one part.
    """
    index = {tuple(part): number for number, part in enumerate(old)}
    home = {block: number for number, part in enumerate(old) for block in part}
    return [_step(tuple(group), index, home) for group in layout(old, now)]


def _step(
    group: tuple[Block, ...],
    index: Mapping[tuple[Block, ...], int],
    home: Mapping[Block, int],
) -> Step:
    if group in index:
        return Keep(index[group])
    taken: dict[int, set[int | None]] = {}
    for block in group:
        if block in home:
            taken.setdefault(home[block], set()).add(block.number)
    fetch = tuple(block for block in group if block not in home)
    return Write(group, fetch, {i: frozenset(n) for i, n in taken.items()})


def layout(
    old: Sequence[Sequence[Block]], now: Sequence[Block]
) -> list[Sequence[Block]]:
    """*now* in groups, one a part; where nothing changed, the groups of *old*."""
    groups = [part for group in _assigned(old, now) for part in _cut(group)]
    return _merged(groups) or [()]


def _assigned(
    old: Sequence[Sequence[Block]], now: Sequence[Block]
) -> Iterator[Sequence[Block]]:
    """The blocks that fall to each old part, then each block beyond them alone."""
    begins = [_order(part[0]) for part in old if part]
    end = max((_order(part[-1]) for part in old if part), default=(False, 0))
    groups: list[list[Block]] = [[] for _ in begins]
    beyond = []
    for block in now:
        if not begins or _order(block) > end:
            beyond.append([block])
        else:
            groups[max(bisect_right(begins, _order(block)) - 1, 0)].append(block)
    yield from filter(None, groups)
    yield from beyond


def _order(block: Block) -> tuple[bool, int]:
    return (block.number is not None, block.number or 0)


def _cut(group: Sequence[Block]) -> Iterator[Sequence[Block]]:
    """A group that grew too large, in pieces."""
    if _rows(group) <= 1.5 * PART_ROWS:
        yield group
        return
    piece: list[Block] = []
    rows = 0
    for block in group:
        if piece and rows + block.rows > PART_ROWS:
            yield piece
            piece, rows = [], 0
        piece.append(block)
        rows += block.rows
    yield piece


def _merged(groups: Sequence[Sequence[Block]]) -> list[Sequence[Block]]:
    """Join neighbours as far as the sizes allow; joined again, nothing changes."""
    done: list[tuple[int, list[Block]]] = []
    behind = sum(map(_rows, groups))
    for group in groups:
        rows, blocks = _rows(group), list(group)
        behind -= rows
        while done and _may_join(done[-1][0] + rows, behind):
            rows_before, joined = done.pop()
            joined += blocks
            rows, blocks = rows + rows_before, joined
        done.append((rows, blocks))
    return [blocks for _, blocks in done]


def _may_join(rows: int, behind: int) -> bool:
    return rows <= SMALL_ROWS or rows <= min(PART_ROWS, TAIL_RATIO * behind)


def _rows(group: Sequence[Block]) -> int:
    return sum(block.rows for block in group)
