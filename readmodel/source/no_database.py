"""The source of a read model without mirrored tables: TABLES=none needs no database."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NoReturn

from readmodel.source.blocking import (
    EVERYTHING,
    Block,
    Blocking,
    BlockRange,
    KeyBounds,
)
from readmodel.source.wire import Batch, Column
from readmodel.tables import Table
from util.errors import SourceError


@dataclass(frozen=True, slots=True)
class NoDatabase:
    """A `Source` without tables."""

    name: str = "no database"

    @contextmanager
    def view(
        self,
        tables: Sequence[Table] = (),  # noqa: ARG002 - part of the protocol
    ) -> Iterator["NoDatabaseView"]:
        """Open a view that has no table."""
        yield NoDatabaseView()


class NoDatabaseView:
    """A `View` without tables: every method raises SourceError."""

    def columns(self, table: Table) -> Sequence[Column]:
        """Raise SourceError."""
        return _missing(table)

    @property
    def digest_format(self) -> int:
        """Raise SourceError."""
        raise SourceError("There is no database: set SOURCE_URL")

    def hides_columns(self, table: Table) -> bool:
        """Raise SourceError."""
        return _missing(table)

    def key_bounds(self, table: Table) -> KeyBounds | None:
        """Raise SourceError."""
        return _missing(table)

    def blocks(
        self,
        table: Table,
        columns: Sequence[Column],  # noqa: ARG002
        blocking: Blocking,  # noqa: ARG002
        block_range: BlockRange = EVERYTHING,  # noqa: ARG002
    ) -> Sequence[Block]:
        """Raise SourceError."""
        return _missing(table)

    def rows(
        self,
        table: Table,
        columns: Sequence[Column],  # noqa: ARG002
        blocking: Blocking,  # noqa: ARG002
        blocks: Sequence[Block],  # noqa: ARG002
    ) -> Iterator[Batch]:
        """Raise SourceError."""
        return _missing(table)


def _missing(table: Table) -> NoReturn:
    raise SourceError(f"There is no database with {table.name}: set SOURCE_URL")
