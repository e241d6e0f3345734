"""How a table is divided into blocks along its key."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import polars as pl

from readmodel.dtypes import INSTANT
from readmodel.source.wire import Column
from readmodel.tables import Table
from util.errors import SourceError

# Seconds from the year 0, where MySQL's TO_SECONDS begins, to 1970.
SECONDS_TO_1970 = 62_167_219_200


class KeyKind(Enum):
    """What a table's key counts."""

    NUMBER = "an integer"
    TIME = "seconds since the year 0"


@dataclass(frozen=True, slots=True)
class Blocking:
    """How a table is cut into blocks along its key: the smallest unit of a fetch.

    A row belongs to block `key // width`, rounded down; where the key is NULL or a
    zero date, to the block None.
    """

    key: str
    axis: KeyKind
    width: int

    @property
    def mark(self) -> list[str | int]:
        """What tells this cut from any other, for JSON."""
        return [self.key, self.axis.name, self.width]

    def number(self) -> pl.Expr:
        """The block of each row of a mirrored frame."""
        key = pl.col(self.key)
        if self.axis is KeyKind.TIME:
            seconds = key.cast(pl.Datetime("us")).to_physical().floordiv(1_000_000)
            return seconds.add(SECONDS_TO_1970).floordiv(self.width)
        return key.cast(pl.Int128).floordiv(self.width).cast(pl.Int64)


@dataclass(frozen=True, slots=True)
class Block:
    """The rows of one block, digested: their number, and a hash over their values."""

    number: int | None
    rows: int
    digest: int


@dataclass(frozen=True, slots=True)
class BlockRange:
    """Neighbouring blocks, from `first` to `last`; None leaves that end open.

    Where `first` is open, the rows without a key belong to it.
    """

    first: int | None = None
    last: int | None = None

    def covers(self, block: "Block") -> bool:
        """Whether *block* is one of these."""
        if block.number is None:
            return self.first is None
        above = self.first is None or block.number >= self.first
        return above and (self.last is None or block.number <= self.last)


EVERYTHING = BlockRange()


@dataclass(frozen=True, slots=True)
class KeyBounds:
    """The lowest and the highest key of a table, and about how many rows it has."""

    low: int
    high: int
    rows: int


# One new row costs a fetch of its block, so blocks are small; digests of many blocks
# are still little to send.
BLOCK_IDS = 16_384
BLOCK_SECONDS = 86_400


def block_width(extent: KeyBounds, held: int | None) -> int:
    """How many ids make a block, so that the blocks of sparse ids are not too many.

    The width that a table has been cut by, *held*, stays while it serves at all, for
    another one means to fetch every row.
    """
    width = BLOCK_IDS
    while (extent.high - extent.low) // width > 4 * extent.rows // BLOCK_IDS + 256:
        width *= 2
    if held and held <= 64 * width and width <= 16 * held:
        return held
    return width


def choose_blocking(
    table: Table, columns: Sequence[Column], width: int = BLOCK_IDS
) -> Blocking:
    """How to cut *table*, a block being *width* ids, or a day.

    Raises SourceError when its key cannot serve.
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
