"""The sample as a read model, made by the project's own sync and kept in `.bench/`."""

import hashlib
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from demo.sample import sample
from readmodel.source.blocking import EVERYTHING, Block, Blocking, BlockRange, KeyBounds
from readmodel.source.wire import Batch, Column
from readmodel.store import snapshot
from readmodel.sync.run import sync
from readmodel.tables import TABLES, Table

PROJECT = Path(__file__).resolve().parent.parent
KEPT = PROJECT / ".bench"

# A Friday evening, so that the last 24 hours hold something.
NOW = datetime(2026, 11, 20, 18, tzinfo=UTC)

# What is older belongs to no other run of the benchmark.
LONGEST_RUN = timedelta(hours=2)

# What decides on the rows or on how they are written.
_MAKERS = (
    *(f"demo/{name}.py" for name in ("sample", "workdays", "dice", "vocabulary")),
    *(f"readmodel/{name}.py" for name in ("plan", "source", "stage", "sync", "visits")),
    "bench/data.py",
)


def made(scale: float, kept: Path = KEPT) -> Path:
    """The DATA_DIR of the sample at *scale*, up to NOW; made where it is not there yet.

    It is made anew when the code that makes or writes it has changed.
    """
    place = kept / f"scale-{scale:g}-{_mark()}"
    if not (place / snapshot.CURRENT).exists():
        for old in kept.glob(f"scale-{scale:g}-*"):
            if time.time() - old.stat().st_mtime > LONGEST_RUN.total_seconds():
                shutil.rmtree(old)
        write(sample(NOW, scale), place)
    return place


def write(tables: Mapping[str, pl.DataFrame], data_dir: Path) -> None:
    """Publish *tables* in *data_dir*, laid out as a first sync lays them out."""
    sync(Frames(tables), data_dir, list(TABLES.values()), lambda: NOW)


def size(data_dir: Path) -> tuple[int, int]:
    """Rows and bytes of all tables in *data_dir*."""
    manifest = snapshot.current(data_dir).manifest
    tables = manifest.tables.values() if manifest else []
    return sum(t.rows for t in tables), sum(t.bytes for t in tables)


def _mark() -> str:
    digest = hashlib.sha256()
    for name in _MAKERS:
        digest.update((PROJECT / name).read_bytes())
    return digest.hexdigest()[:8]


@dataclass(frozen=True, slots=True)
class Frames:
    """Frames in memory as a source that `sync` can mirror; itself its only view."""

    tables: Mapping[str, pl.DataFrame]
    name: str = "the sample"

    @contextmanager
    def view(self) -> Iterator["Frames"]:
        yield self

    def columns(self, table: Table) -> Sequence[Column]:
        return [
            Column(name, dtype, sql="", wire_dtype=dtype)
            for name, dtype in self.tables[table.name].schema.items()
        ]

    def key_bounds(self, table: Table) -> KeyBounds | None:
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
        wanted = blocking.block_number().is_in([block.number for block in blocks])
        yield Batch(self.tables[table.name].filter(wanted))
