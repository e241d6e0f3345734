"""What a database must offer to be mirrored."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from readmodel.source.blocking import EVERYTHING, Block, Blocking, BlockRange, KeyBounds
from readmodel.source.wire import Batch, Column
from readmodel.tables import Table
from util.errors import SourceError


class PassingFault(SourceError):
    """A fault that may be gone at the next try: a lost connection, a deadlock."""


class Unreachable(PassingFault):
    """No server answers: passing only where one has answered a moment before."""


class View(Protocol):
    """One instant of a database; every method answers for that instant.

    Every method raises SourceError when the database cannot answer.
    """

    def columns(self, table: Table) -> Sequence[Column]:
        """The columns of *table* in their order, by the database's own catalogue.

        Raises SourceError that names a missing table or a type that cannot be held.
        """
        ...

    def extent(self, table: Table) -> KeyBounds | None:
        """How far the integer keys of *table* reach; None when there are none."""
        ...

    def blocks(
        self,
        table: Table,
        columns: Sequence[Column],
        cut: Blocking,
        span: BlockRange = EVERYTHING,
    ) -> Sequence[Block]:
        """All blocks of *span* that hold rows, by number; None comes first."""
        ...

    def rows(
        self,
        table: Table,
        columns: Sequence[Column],
        cut: Blocking,
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
