"""A small SQLite source and its mirror, for tests of the sync."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from sqlite3 import Connection

import polars as pl

from readmodel.source.blocking import EVERYTHING, Block, Blocking, BlockRange
from readmodel.source.sqlite.source import SqliteSource, SqliteView
from readmodel.source.wire import Column
from readmodel.store.manifest import Manifest
from readmodel.store.snapshot import Snapshot, latest
from readmodel.sync.run import Options, Report, sync
from readmodel.sync.verify import TableComparison, verify
from readmodel.tables import Table

THINGS = Table("things", key="id")
OTHERS = Table("others", key="id")
PAGE_VIEWS = Table("fpp_page_views", key="id")
"""A table that has visits."""

START = datetime(2026, 11, 21, tzinfo=UTC)
ROWS = 100_000


def not_called(*_: object, **__: object) -> None:
    """Replace a method that must not be called; None would change what a class can do."""
    raise AssertionError("called all the same")


@dataclass
class RecordingSource:
    """An SQLite source that records the compared block ranges, and may fail first."""

    source: SqliteSource
    faults: list[Exception] = field(default_factory=list)
    compared: list[BlockRange] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The name of the source."""
        return "recording"

    @contextmanager
    def view(self, tables: Sequence[Table] = ()) -> Iterator["RecordingView"]:
        """Raise the next of `faults`, or open a view."""
        if self.faults:
            raise self.faults.pop(0)
        with self.source.view(tables) as view:
            yield RecordingView(view, self.compared)


class RecordingView(SqliteView):
    """A view that adds each range of blocks it is queried for to a list."""

    def __init__(self, view: SqliteView, compared: list[BlockRange]) -> None:
        """Share the connection of *view*."""
        super().__init__(view._name, view._connection, view._functions)
        self._compared = compared

    def blocks(
        self,
        table: Table,
        columns: Sequence[Column],
        blocking: Blocking,
        block_range: BlockRange = EVERYTHING,
    ) -> Sequence[Block]:
        """Record *block_range*, and query its blocks."""
        self._compared.append(block_range)
        return super().blocks(table, columns, blocking, block_range)


@dataclass
class Mirror:
    """A database whose table `things` has 100,000 rows in three parts, and its mirror."""

    connection: Connection
    source: RecordingSource
    data_dir: Path
    now: datetime = START

    def run(self, statement: str) -> None:
        """Execute *statement* on the database and commit."""
        self.connection.execute(statement)
        self.connection.commit()

    def sync(self, *tables: Table, **options: object) -> Report:
        """Sync *tables*, or `things`, ten minutes after the sync before."""
        self.now += timedelta(minutes=10)
        self.source.compared.clear()
        return sync(
            self.source,
            self.data_dir,
            tables or (THINGS,),
            lambda: self.now,
            options=Options(**options),  # type: ignore[arg-type]
        )

    @property
    def snapshot(self) -> Snapshot:
        """The current snapshot."""
        return latest(self.data_dir)

    @property
    def manifest(self) -> Manifest:
        """The manifest of the current snapshot."""
        manifest = self.snapshot.manifest
        assert manifest is not None
        return manifest

    def parts(self) -> list[Path]:
        """The files of `things`, in key order."""
        return sorted((self.snapshot.path / "things.parquet").iterdir())

    def verify(self, table: Table = THINGS) -> TableComparison:
        """Compare *table* with the database."""
        (comparison,) = verify(self.source, self.data_dir, [table])
        return comparison

    def is_exact(self) -> bool:
        """True if `things` equals the database, row by row and in order."""
        rows = self.connection.execute("SELECT * FROM things ORDER BY id").fetchall()
        return pl.read_parquet(self.data_dir / "things.parquet").rows() == rows


def fill(connection: Connection) -> None:
    """Create the tables `things`, with 100,000 rows, and `others`, with none."""
    connection.execute("CREATE TABLE things (id INT PRIMARY KEY, n INT)")
    connection.execute("CREATE TABLE others (id INT, n INT)")
    connection.executemany(
        "INSERT INTO things VALUES (?, ?)", ((n, n % 7) for n in range(ROWS))
    )
    connection.commit()


def mirror_of(connection: Connection, folder: Path) -> Mirror:
    """The mirror in *folder* of its database `source.db`, open as *connection*."""
    source = RecordingSource(SqliteSource(folder / "source.db"))
    return Mirror(connection, source, folder / "data")
