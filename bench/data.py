"""The sample as a read model, written by the project's own sync, cached in `.bench/`."""

import hashlib
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import polars as pl

from demo.sample import sample
from readmodel.source.blocking import EVERYTHING, Block, Blocking, BlockRange, KeyBounds
from readmodel.source.wire import Batch, Column
from readmodel.store import snapshot
from readmodel.sync.run import sync
from readmodel.tables import TABLES, Table

PROJECT = Path(__file__).resolve().parent.parent
CACHE = PROJECT / ".bench"

# A Friday evening, so that the last 24 hours contain rows.
NOW = datetime(2026, 11, 20, 18, tzinfo=UTC)

# Older folders are not in use by another run of the benchmark.
LONGEST_RUN = timedelta(hours=2)

SOURCES: Final = (
    "demo/*.py",
    "readmodel/*.py",
    "readmodel/source/*.py",
    "readmodel/store/*.py",
    "readmodel/sync/*.py",
    "bench/data.py",
)
"""The code (as globs) that determines the sample's rows and files."""


def sample_dir(scale: float, cache: Path = CACHE) -> Path:
    """The DATA_DIR of the sample at *scale*, up to NOW; created unless it is cached.

    It is created again after a change of SOURCES.
    """
    place = cache / f"scale-{scale:g}-{_fingerprint()}"
    if not (place / snapshot.CURRENT).exists():
        for old in cache.glob(f"scale-{scale:g}-*"):
            if time.time() - old.stat().st_mtime > LONGEST_RUN.total_seconds():
                shutil.rmtree(old)
        write(sample(NOW, scale), place)
    return place


def write(tables: Mapping[str, pl.DataFrame], data_dir: Path) -> None:
    """Publish *tables* in *data_dir*, with the layout of a first sync."""
    sync(FrameSource(tables), data_dir, list(TABLES.values()), lambda: NOW)


def size(data_dir: Path) -> tuple[int, int]:
    """Rows and bytes of all tables in *data_dir*."""
    manifest = snapshot.current(data_dir).manifest
    tables = manifest.tables.values() if manifest else []
    return sum(t.rows for t in tables), sum(t.bytes for t in tables)


def _fingerprint() -> str:
    digest = hashlib.sha256()
    for pattern in SOURCES:
        for file in sorted(PROJECT.glob(pattern)):
            digest.update(file.read_bytes())
    return digest.hexdigest()[:8]


@dataclass(frozen=True, slots=True)
class FrameSource:
    """Data frames as a source that `sync` can mirror. It is its own only view."""

    tables: Mapping[str, pl.DataFrame]
    name: str = "the sample"
    digest_format: int = 1

    @contextmanager
    def view(
        self,
        tables: Sequence[Table] = (),  # noqa: ARG002 - part of the protocol
    ) -> Iterator["FrameSource"]:
        """The frames, which do not change."""
        yield self

    def columns(self, table: Table) -> Sequence[Column]:
        """The columns of the frame, as they are."""
        return [
            Column(name, dtype, sql="", wire_dtype=dtype)
            for name, dtype in self.tables[table.name].schema.items()
        ]

    def hides_columns(self, table: Table) -> bool:  # noqa: ARG002 - part of the protocol
        """All columns can be read."""
        return False

    def key_bounds(self, table: Table) -> KeyBounds | None:
        """The lowest and the highest key."""
        keys = self.tables[table.name][table.key]
        low, high = keys.min(), keys.max()
        if not (isinstance(low, int) and isinstance(high, int)):
            return None
        return KeyBounds(low, high, keys.len())

    def blocks(
        self,
        table: Table,
        columns: Sequence[Column],  # noqa: ARG002 - part of the protocol
        blocking: Blocking,
        block_range: BlockRange = EVERYTHING,  # noqa: ARG002 - part of the protocol
    ) -> Sequence[Block]:
        """Digests are left 0: this source is synced once."""
        counts = self.tables[table.name].group_by(block=blocking.block_number()).len()
        return [Block(n, rows, 0) for n, rows in counts.sort("block").iter_rows()]

    def rows(
        self,
        table: Table,
        columns: Sequence[Column],  # noqa: ARG002 - part of the protocol
        blocking: Blocking,
        blocks: Sequence[Block],
    ) -> Iterator[Batch]:
        """The rows of *blocks*, in one batch."""
        wanted = blocking.block_number().is_in([block.number for block in blocks])
        yield Batch(self.tables[table.name].filter(wanted))
