"""What a database must offer to be mirrored."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import polars as pl

from readmodel.manifest import INSTANT
from readmodel.packed import Batch, Column, unpack
from readmodel.tables import Table
from util.errors import SourceError

# Seconds from the year 0, where MySQL's TO_SECONDS begins, to 1970.
SECONDS_TO_1970 = 62_167_219_200


class Axis(Enum):
    """What a table's key counts."""

    NUMBER = "an integer"
    TIME = "seconds since the year 0"


@dataclass(frozen=True, slots=True)
class Cut:
    """How a table is cut into blocks along its key: the smallest unit of a fetch.

    A row belongs to block `key // width`, rounded down; where the key is NULL or a
    zero date, to the block None.
    """

    key: str
    axis: Axis
    width: int

    @property
    def mark(self) -> list[str | int]:
        """What tells this cut from any other, for JSON."""
        return [self.key, self.axis.name, self.width]

    def number(self) -> pl.Expr:
        """The block of each row of a mirrored frame."""
        key = pl.col(self.key)
        if self.axis is Axis.TIME:
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
class Span:
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


EVERYTHING = Span()


@dataclass(frozen=True, slots=True)
class Extent:
    """The lowest and the highest key of a table, and about how many rows it has."""

    low: int
    high: int
    rows: int


class PassingFault(SourceError):
    """A fault that may be gone at the next try: a lost connection, a deadlock."""


class Unreachable(PassingFault):
    """No server answers: passing only where one has answered a moment before."""


# One new row costs a fetch of its block, so blocks are small; digests of many blocks
# are still little to send.
BLOCK_IDS = 16_384
BLOCK_SECONDS = 86_400


def width_for(extent: Extent, held: int | None) -> int:
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


def cut_of(table: Table, columns: Sequence[Column], width: int = BLOCK_IDS) -> Cut:
    """How to cut *table*, a block being *width* ids, or a day.

    Raises SourceError when its key cannot serve.
    """
    key = next((column for column in columns if column.name == table.key), None)
    if key is None:
        raise SourceError(f"{table.name} has no column {table.key}, its sync column")
    if key.dtype.is_integer():
        return Cut(table.key, Axis.NUMBER, width)
    if key.dtype in (pl.Date(), INSTANT):
        return Cut(table.key, Axis.TIME, BLOCK_SECONDS)
    raise SourceError(
        f"{table.name}.{table.key} holds {key.dtype}, "
        "but a sync column must be an integer, a date or a timestamp"
    )


def unpacked(table: Table, text: bytes, columns: Sequence[Column], rows: int) -> Batch:
    """`packed.unpack`; raises SourceError for values that belie their column's type."""
    try:
        return unpack(text, columns, rows)
    except pl.exceptions.PolarsError as error:
        reason = str(error).partition("\n")[0]
        raise SourceError(f"{table.name} cannot be read: {reason}") from error


class View(Protocol):
    """One instant of a database; every method answers for that instant.

    Every method raises SourceError when the database cannot answer.
    """

    def columns(self, table: Table) -> Sequence[Column]:
        """The columns of *table* in their order, by the database's own catalogue.

        Raises SourceError that names a missing table or a type that cannot be held.
        """
        ...

    def extent(self, table: Table) -> Extent | None:
        """How far the integer keys of *table* reach; None when there are none."""
        ...

    def blocks(
        self,
        table: Table,
        columns: Sequence[Column],
        cut: Cut,
        span: Span = EVERYTHING,
    ) -> Sequence[Block]:
        """All blocks of *span* that hold rows, by number; None comes first."""
        ...

    def rows(
        self,
        table: Table,
        columns: Sequence[Column],
        cut: Cut,
        blocks: Sequence[Block],
    ) -> Iterator[Batch]:
        """The rows of *blocks*, in bounded batches.

        Raises SourceError when they are not as many as the blocks say.
        """
        ...


class Source(Protocol):
    """A database that can be read at one instant."""

    @property
    def name(self) -> str:
        """What people call it, without secrets."""
        ...

    def view(self) -> AbstractContextManager[View]:
        """Open one consistent instant. Raises SourceError when that fails."""
        ...
