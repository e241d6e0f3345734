"""Blocks: how a table is divided along its key, and what is known of each block."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

import polars as pl

from readmodel.dtypes import INSTANT
from readmodel.source.wire import Column
from readmodel.tables import Table
from util.columns import column_named
from util.errors import SourceError

# MySQL's TO_SECONDS counts from the year 0.
SECONDS_TO_1970 = 62_167_219_200


class KeyKind(Enum):
    """The unit in which a key is measured.

    The names of the members are stored in the footers of the parts.
    """

    NUMBER = "an integer"
    TIME = "seconds since the year 0"


@dataclass(frozen=True, slots=True)
class Blocking:
    """The division of a table into blocks along its key.

    The block number of a row is `key // width`, rounded down: with a width of 16384,
    the keys 0 to 16383 are block 0 and -1 is in block -1. Rows whose key is NULL or a
    zero date form the block None. A block is the smallest unit that is fetched.
    `digest_format` is the version of the digests that the source computes;
    `earlier_format` that of stored ones which it can still recognise, if any.
    """

    key: str
    key_kind: KeyKind
    width: int
    digest_format: int = 1
    earlier_format: int | None = None

    @property
    def signature(self) -> list[str | int]:
        """The key and the width as JSON values; equal if the divisions are equal."""
        return [self.key, self.key_kind.name, self.width]

    def block_number(self) -> pl.Expr:
        """Compute the block number of each row of a mirrored frame (Int64)."""
        key = column_named(self.key)
        if self.key_kind is KeyKind.TIME:
            seconds = key.cast(pl.Datetime("us")).to_physical().floordiv(1_000_000)
            return seconds.add(SECONDS_TO_1970).floordiv(self.width)
        return key.cast(pl.Int128).floordiv(self.width).cast(pl.Int64)


@dataclass(frozen=True, slots=True)
class Block:
    """The digest of a block: its number, its row count, and a hash of all values."""

    number: int | None
    rows: int
    digest: int


def group_by_rows(blocks: Iterable[Block], limit: int) -> Iterator[list[Block]]:
    """Divide *blocks*, in order, into groups of at most *limit* rows.

    A block with more rows is a group by itself. Without blocks there are no groups.
    """
    group: list[Block] = []
    rows = 0
    for block in blocks:
        if group and rows + block.rows > limit:
            yield group
            group, rows = [], 0
        group.append(block)
        rows += block.rows
    if group:
        yield group


def in_order(blocks: Iterable[Block]) -> list[Block]:
    """*blocks* by number; None comes first."""
    return sorted(blocks, key=lambda b: (b.number is not None, b.number or 0))


@dataclass(frozen=True, slots=True)
class BlockRange:
    """The blocks from `first` to `last`, both inclusive; None leaves that end open.

    The block None, of the rows without a key, belongs to a range without `first`.
    """

    first: int | None = None
    last: int | None = None

    def covers(self, block: Block) -> bool:
        """Whether *block* is in this range."""
        if block.number is None:
            return self.first is None
        above = self.first is None or block.number >= self.first
        return above and (self.last is None or block.number <= self.last)


EVERYTHING = BlockRange()


@dataclass(frozen=True, slots=True)
class KnownBlocks:
    """Blocks as an earlier view digested them, and the mark that this view left.

    Without a mark, only digests can tell whether they are unchanged.
    """

    blocks: Sequence[Block]
    mark: str | None


@dataclass(frozen=True, slots=True)
class KeyBounds:
    """The lowest and highest key of a table, and an estimate of its row count."""

    low: int
    high: int
    row_estimate: int


# One new row costs a fetch of its block, so blocks are small; the digests of many
# blocks are still little to send.
BLOCK_IDS = 16_384
BLOCK_SECONDS = 86_400


def block_width(bounds: KeyBounds, current: int | None) -> int:
    """Choose how many ids make a block: more where ids are sparse, to limit the blocks.

    *current* is the width of the stored parts, if any. It is kept while it is at most
    64 times too large or 16 times too small, since a new width fetches every row again.
    """
    width = BLOCK_IDS
    limit = 4 * bounds.row_estimate // BLOCK_IDS + 256
    while (bounds.high - bounds.low) // width > limit:
        width *= 2
    if current and current <= 64 * width and width <= 16 * current:
        return current
    return width


def choose_blocking(
    table: Table, columns: Sequence[Column], width: int = BLOCK_IDS
) -> Blocking:
    """Divide *table* into blocks of *width* ids, or of one day if its key is a time.

    Raises SourceError when the key is missing or neither an integer nor a time.
    """
    key = next((column for column in columns if column.name == table.key), None)
    if key is None:
        raise SourceError(f"{table.name} has no column {table.key}, its sync column")
    if key.dtype.is_integer():
        return Blocking(table.key, KeyKind.NUMBER, width)
    if key.dtype in (pl.Date(), INSTANT):
        return Blocking(table.key, KeyKind.TIME, BLOCK_SECONDS)
    raise SourceError(
        f"{table.name}.{table.key} holds {key.dtype}, "
        "but a sync column must be an integer, a date or a timestamp"
    )
