"""Blocks divide a table along its key, and number its rows as the databases do."""

from datetime import UTC, date, datetime

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from readmodel.source.blocking import (
    EVERYTHING,
    Block,
    Blocking,
    BlockRange,
    KeyBounds,
    KeyKind,
    block_width,
    choose_blocking,
    group_by_rows,
)
from readmodel.source.wire import Column
from readmodel.tables import Table
from util.errors import SourceError

THINGS = Table("things", key="id")


def column(name: str, dtype: pl.DataType) -> Column:
    """A column that is parsed as what it becomes."""
    return Column(name, dtype, name, dtype)


def numbers(blocking: Blocking, keys: pl.Series) -> list[int | None]:
    """The block number of each key."""
    return (
        keys.to_frame(blocking.key)
        .select(blocking.block_number())
        .to_series()
        .to_list()
    )


@settings(deadline=None)
@given(st.lists(st.none() | st.integers(-(2**63), 2**63 - 1)))
def test_an_integer_belongs_to_the_block_of_its_quotient_rounded_down(
    keys: list[int | None],
) -> None:
    """Also below zero; a row without a key has no block number."""
    blocking = Blocking("id", KeyKind.NUMBER, 16_384)
    expected = [None if key is None else key // 16_384 for key in keys]
    assert numbers(blocking, pl.Series("id", keys, pl.Int64)) == expected


def test_an_unsigned_integer_beyond_64_signed_bits_has_a_block() -> None:
    """BIGINT UNSIGNED reaches 2**64 - 1."""
    keys = pl.Series("id", [2**64 - 1], pl.UInt64)
    assert numbers(Blocking("id", KeyKind.NUMBER, 16_384), keys) == [2**50 - 1]


def test_a_time_belongs_to_the_block_of_its_day() -> None:
    """Days are counted as by MySQL's TO_DAYS: 719528 is 1970-01-01."""
    blocking = Blocking("id", KeyKind.TIME, 86_400)
    midnight = datetime(1970, 1, 1, tzinfo=UTC)
    before = datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    instants = pl.Series("id", [midnight, before, None], pl.Datetime("us", "UTC"))
    assert numbers(blocking, instants) == [719_528, 719_527, None]
    assert numbers(blocking, pl.Series("id", [date(1970, 1, 1)])) == [719_528]


def test_a_signature_has_the_name_of_the_key_kind() -> None:
    """The footers of stored parts contain it, so it must not change."""
    assert Blocking("id", KeyKind.NUMBER, 16_384).signature == ["id", "NUMBER", 16_384]
    assert Blocking("at", KeyKind.TIME, 86_400).signature == ["at", "TIME", 86_400]


@pytest.mark.parametrize(
    ("block_range", "covered"),
    [
        (EVERYTHING, [None, -1, 0, 1, 2]),
        (BlockRange(None, 0), [None, -1, 0]),
        (BlockRange(0, 1), [0, 1]),
        (BlockRange(1, None), [1, 2]),
    ],
)
def test_a_range_includes_both_ends(
    block_range: BlockRange, covered: list[int | None]
) -> None:
    """The block of the rows without a key belongs to a range without a first block."""
    blocks = [Block(number, 1, 0) for number in (None, -1, 0, 1, 2)]
    assert [b.number for b in blocks if block_range.covers(b)] == covered


@pytest.mark.parametrize(
    ("rows", "groups"),
    [
        ([], []),
        ([1], [[1]]),
        ([5, 5], [[5, 5]]),
        ([5, 6], [[5], [6]]),
        ([11], [[11]]),
        ([1, 11, 1, 9, 1], [[1], [11], [1, 9], [1]]),
    ],
)
def test_blocks_are_grouped_in_order_up_to_a_number_of_rows(
    rows: list[int], groups: list[list[int]]
) -> None:
    """Ten, here. A larger block is a group by itself."""
    blocks = [Block(number, count, 0) for number, count in enumerate(rows)]
    found = list(group_by_rows(blocks, 10))
    assert [[block.rows for block in group] for group in found] == groups
    assert [block for group in found for block in group] == blocks


@pytest.mark.parametrize(
    ("bounds", "current", "width"),
    [
        (KeyBounds(1, 1_000_000, 1_000_000), None, 16_384),
        (KeyBounds(1, 256 * 16_384, 0), None, 16_384),
        (KeyBounds(0, 257 * 16_384, 0), None, 32_768),
        (KeyBounds(1, 1_000_000, 1_000_000), 64 * 16_384, 64 * 16_384),
        (KeyBounds(1, 1_000_000, 1_000_000), 65 * 16_384, 16_384),
        (KeyBounds(0, 256 * 16 * 16_384, 0), 16_384, 16_384),
        (KeyBounds(0, 257 * 16 * 16_384, 0), 16_384, 32 * 16_384),
    ],
)
def test_blocks_of_sparse_ids_are_wider_and_keep_their_width_while_it_serves(
    bounds: KeyBounds, current: int | None, width: int
) -> None:
    """At most 64 times too wide, or 16 times too narrow."""
    assert block_width(bounds, current) == width


@pytest.mark.parametrize(
    ("dtype", "kind", "width"),
    [
        (pl.UInt8(), KeyKind.NUMBER, 5),
        (pl.Int64(), KeyKind.NUMBER, 5),
        (pl.Date(), KeyKind.TIME, 86_400),
        (pl.Datetime("us", "UTC"), KeyKind.TIME, 86_400),
    ],
)
def test_integers_and_times_can_be_keys(
    dtype: pl.DataType, kind: KeyKind, width: int
) -> None:
    """A block of times is one day, whatever width is asked for."""
    columns = [column("n", pl.Int64()), column("id", dtype)]
    assert choose_blocking(THINGS, columns, 5) == Blocking("id", kind, width)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ([column("n", pl.Int64())], "things has no column id, its sync column"),
        ([column("id", pl.String())], "things.id holds String, but a sync column must"),
        ([column("id", pl.Boolean())], "things.id holds Boolean, but a sync"),
        ([column("id", pl.Duration("us"))], "things.id holds Duration"),
    ],
)
def test_a_missing_or_unsuitable_key_is_named(
    columns: list[Column], message: str
) -> None:
    """The message names the table and the column."""
    with pytest.raises(SourceError, match=message):
        choose_blocking(THINGS, columns)
