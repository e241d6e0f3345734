"""The interface of a database that can be mirrored."""

from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

from readmodel.source.blocking import (
    EVERYTHING,
    Block,
    Blocking,
    BlockRange,
    KeyBounds,
    KnownBlocks,
)
from readmodel.source.wire import Batch, Column
from readmodel.tables import Table
from util.errors import SourceError

READ_SECONDS: Final = 300
"""How long an answer of a server may make no progress, by default."""


class PassingFault(SourceError):
    """A temporary fault, such as a lost connection or a deadlock: a retry may help."""


class Unreachable(PassingFault):
    """No server accepts connections: temporary only if one did so a moment ago."""


class Unscannable(Exception):
    """Some rows cannot be digested and fetched in one scan."""


class View(Protocol):
    """A database as of one instant, whatever is written to it meanwhile.

    Every method raises SourceError when the database fails.
    """

    def columns(self, table: Table) -> Sequence[Column]:
        """Read the columns of *table*, in their order, from the database's catalog.

        Raises SourceError that names a missing table or a column whose type is not
        supported.
        """
        ...

    @property
    def digest_format(self) -> int:
        """The version of the digests of `blocks`; those of others cannot be compared."""
        ...

    def hides_columns(self, table: Table) -> bool:
        """Whether *table* has columns that `columns` omits: this user may not read them."""
        ...

    def key_bounds(self, table: Table) -> KeyBounds | None:
        """Read the bounds of an integer key; None when no row has a key."""
        ...

    def blocks(
        self,
        table: Table,
        columns: Sequence[Column],
        blocking: Blocking,
        block_range: BlockRange = EVERYTHING,
    ) -> Sequence[Block]:
        """Digest the blocks of *block_range* that contain rows.

        They are sorted by number; the block of the rows without a key comes first.
        """
        ...

    def rows(
        self,
        table: Table,
        columns: Sequence[Column],
        blocking: Blocking,
        blocks: Sequence[Block],
    ) -> Iterator[Batch]:
        """Fetch the rows of *blocks* in batches of bounded size.

        Raises SourceError when their number differs from the number that *blocks* give.
        """
        ...


@runtime_checkable
class MarkingView(View, Protocol):
    """A view that can recognise unchanged blocks without digesting them.

    Exactness does not depend on it: a block that is not recognised is digested.
    """

    def mark(self, table: Table) -> str | None:
        """Describe this instant for a later view; None if only digests can tell."""
        ...

    def blocks_since(
        self,
        table: Table,
        columns: Sequence[Column],
        blocking: Blocking,
        known: Sequence[KnownBlocks],
        block_range: BlockRange = EVERYTHING,
    ) -> Sequence[Block]:
        """Return what `blocks` does; *known* blocks that are unchanged are not digested.

        Each of *known* lists blocks of the view that made the mark. Where a digest can be
        of several kinds, a block is digested as its known one was.
        """
        ...


@runtime_checkable
class RenewingView(View, Protocol):
    """A view that can also compute digests of an earlier format."""

    @property
    def earlier_format(self) -> int:
        """The version of these digests."""
        ...

    def renewed_blocks(
        self,
        table: Table,
        columns: Sequence[Column],
        blocking: Blocking,
        booleans: Collection[str],
    ) -> Mapping[Block, Block]:
        """Return all that `blocks` does, each by what it is in the earlier format.

        Both digests are those of the same rows. *booleans* are the integer columns that
        were stored as booleans: a block with other numbers than 0 and 1 in them gets an
        earlier digest that was never stored.
        """
        ...


@dataclass(frozen=True, slots=True)
class ScannedBatch:
    """All rows of some blocks, in the order of *blocks*, which have digests.

    Without *blocks*, the digests are those that the caller has.
    """

    blocks: tuple[Block, ...]
    batch: Batch


@runtime_checkable
class ScanningView(View, Protocol):
    """A view that can digest and fetch a table by reading each row once."""

    def scan(
        self, table: Table, columns: Sequence[Column], blocking: Blocking
    ) -> Generator[ScannedBatch] | None:
        """Yield all blocks that have rows, ascending; None if that is no faster.

        Blocks and rows equal those of `blocks` and `rows`. Use no other method of the
        view until the iterator has ended or is closed. It raises Unscannable, at any
        time, if all blocks must be digested first, after all.
        """
        ...


@runtime_checkable
class DigestingView(View, Protocol):
    """A view that digests rows as it fetches them."""

    def fetch(
        self,
        table: Table,
        columns: Sequence[Column],
        blocking: Blocking,
        blocks: Sequence[Block],
    ) -> Generator[ScannedBatch]:
        """Fetch the rows of *blocks* as `rows` does, with the digests to be stored.

        Those may be of another kind than the digests of *blocks*. Close the iterator
        before any other method of the view is used.
        """
        ...


class Source(Protocol):
    """A database that can be read as of one instant."""

    @property
    def name(self) -> str:
        """A name for messages, without secrets."""
        ...

    def view(self, tables: Sequence[Table] = ()) -> AbstractContextManager[View]:
        """Open a view of the present instant. Raises SourceError when that fails.

        Only *tables* may be read from it: some databases must lock them beforehand.
        """
        ...
