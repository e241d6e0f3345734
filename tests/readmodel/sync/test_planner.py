"""The plan: which parts are kept, which blocks are fetched, how parts are laid out."""

from itertools import accumulate, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from readmodel.source.blocking import Block
from readmodel.sync.planner import (
    JOINED_ROWS,
    PART_ROWS,
    SMALL_ROWS,
    Keep,
    Write,
    layout,
    leading_part,
    plan,
)


def block(number: int | None, rows: int = 16_384, digest: int = 0) -> Block:
    """A full block, unless *rows* says otherwise."""
    return Block(number, rows, digest)


def blocks(count: int, rows: int = 16_384) -> list[Block]:
    """The blocks from 0 on, *count* of them."""
    return [block(number, rows) for number in range(count)]


def test_a_table_without_rows_is_one_empty_part() -> None:
    """So its schema can be read; once written, it is kept."""
    assert plan([], []) == [Write((), (), {})]
    assert plan([()], []) == [Keep(0)]


def test_an_unchanged_part_is_kept() -> None:
    """By its blocks and their digests, whatever its index."""
    old = layout([], blocks(100))
    assert plan(old, blocks(100)) == [Keep(index) for index in range(len(old))]


def test_only_the_changed_block_is_fetched_and_its_neighbours_are_reused() -> None:
    """The part is rewritten from its stored blocks and the fetched one."""
    old = [[block(0), block(1)], [block(2)]]
    changed = block(1, digest=9)
    assert plan(old, [block(0), changed, block(2, 30_000)])[0] == Write(
        (block(0), changed), (changed,), {0: frozenset({0})}
    )


def test_a_block_that_lost_all_its_rows_is_dropped() -> None:
    """Nothing is fetched for it."""
    old = [[block(0), block(1), block(2)]]
    assert plan(old, [block(0), block(2)]) == [
        Write((block(0), block(2)), (), {0: frozenset({0, 2})})
    ]


def test_a_table_that_was_emptied_is_one_empty_part() -> None:
    """No stored part stays."""
    assert plan([[block(0)], [block(1)]], []) == [Write((), (), {})]


def test_rows_without_a_key_come_first() -> None:
    """The block None sorts before every number, and is like any other."""
    old = [[block(None, 5), block(0)]]
    now = [block(None, 6), block(0)]
    assert plan(old, now) == [
        Write((block(None, 6), block(0)), (block(None, 6),), {0: frozenset({0})})
    ]


def test_new_blocks_before_and_between_the_parts_join_them() -> None:
    """Late rows of lower keys do not become parts of their own."""
    full = PART_ROWS // 16_384
    old = [blocks(2 * full)[:full][1:], blocks(2 * full)[full:]]
    new = layout(old, blocks(2 * full))
    assert [len(group) for group in new[:2]] == [full, full]


@pytest.mark.parametrize(
    ("rows", "parts"),
    [(0, 1), (1_000, 1), (130_000, 3), (1_300_000, 6), (10_000_000, 20)],
)
def test_parts_are_few(rows: int, parts: int) -> None:
    """About twenty per ten million rows at most."""
    now = [block(n, min(16_384, rows - n * 16_384)) for n in range(-(-rows // 16_384))]
    assert len(layout([], now)) <= parts


def test_parts_stay_few_while_a_table_grows_and_little_is_written() -> None:
    """A thousand syncs of 3,000 new rows: a row is written about a dozen times."""
    old: list[tuple[Block, ...]] = []
    written = most = 0
    for total in range(1_000, 3_000_001, 3_000):
        steps = plan(old, _of_rows(total))
        most = max(most, len(steps))
        written += sum(b.rows for s in steps if isinstance(s, Write) for b in s.blocks)
        old = [s.blocks if isinstance(s, Write) else old[s.index] for s in steps]
    assert most <= 22
    assert written / 3_000_000 < 15


def test_new_rows_rewrite_few_rows_of_a_large_table() -> None:
    """They are what a replica uploads: 6 MB at most, at 26 bytes a row.

    Each of 220 syncs finds a thousand new rows. Parts of the first copy stay.
    """
    total = 4_300_000
    old = [tuple(group) for group in layout([], _of_rows(total))]
    large = [part for part in old if sum(b.rows for b in part) > JOINED_ROWS]
    written = []
    for _ in range(220):
        total += 1_000
        steps = plan(old, _of_rows(total))
        written += [
            sum(b.rows for s in steps if isinstance(s, Write) for b in s.blocks)
        ]
        old = [s.blocks if isinstance(s, Write) else old[s.index] for s in steps]
    assert max(written) <= JOINED_ROWS + SMALL_ROWS
    assert max(written) > 0.8 * JOINED_ROWS  # or there would be many small parts
    assert sum(written) / 220 < 24_000
    assert old[: len(large)] == large
    assert len(old) <= len(large) + 10


def _of_rows(total: int) -> list[Block]:
    """The blocks of a table with *total* rows."""
    full, rest = divmod(total, 16_384)
    return [*blocks(full), *([block(full, rest, rest)] if rest else [])]


def test_a_part_that_has_grown_too_large_is_divided() -> None:
    """By whole blocks, in order."""
    old = [blocks(40)]
    grown = [block(number, 60_000) for number in range(40)]
    groups = layout(old, grown)
    assert [b for group in groups for b in group] == grown
    assert max(sum(b.rows for b in group) for group in groups) <= 1.5 * PART_ROWS


SIZES = st.lists(st.integers(1, 40_000), max_size=120)


@settings(deadline=None)
@given(SIZES, SIZES)
def test_every_block_is_in_exactly_one_part_and_nothing_moves_twice(
    then: list[int], now: list[int]
) -> None:
    """Parts follow the keys; planned again without a change, all of them are kept."""
    before = [block(n, rows) for n, rows in enumerate(then)]
    after = [block(n * 2 - 30, rows) for n, rows in enumerate(now)]
    groups = layout(layout([], before), after)
    assert [b for group in groups for b in group] == after
    assert plan(groups, after) == [Keep(index) for index in range(len(groups))]


@settings(deadline=None)
@given(SIZES)
def test_small_neighbours_are_joined_and_large_ones_are_not(sizes: list[int]) -> None:
    """Two neighbours are apart only where joining them costs more than it saves."""
    groups = layout([], [block(n, rows) for n, rows in enumerate(sizes)])
    rows = [sum(b.rows for b in group) for group in groups]
    behind = list(accumulate(reversed(rows), initial=0))[::-1]
    for (one, other), after in zip(pairwise(rows), behind[2:], strict=False):
        assert one + other > SMALL_ROWS
        assert one + other > min(PART_ROWS, 4 * after)


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from([1, 5_000, 16_384, 40_000, 300_000, PART_ROWS, 2 * PART_ROWS]),
        max_size=60,
    )
)
def test_parts_that_are_written_before_the_last_block_is_known_are_those_of_a_plan(
    sizes: list[int],
) -> None:
    """As many blocks are written as no later block can change."""
    now = [block(number, rows) for number, rows in enumerate(sizes)]
    written, pending = [], []
    for each in now:
        pending.append(each)
        while count := leading_part(pending):
            written.append(pending[:count])
            pending = pending[count:]
    written += [list(part) for part in layout([], pending) if part]
    assert written == [list(part) for part in layout([], now) if part]


def test_few_rows_wait_for_the_last_block() -> None:
    """A part is complete once it is full and a quarter as many rows follow."""
    full = PART_ROWS // 16_384
    assert leading_part(blocks(full)) == 0
    assert leading_part(blocks(full + full // 4 - 1)) == 0
    assert leading_part(blocks(full + full // 4)) == full
