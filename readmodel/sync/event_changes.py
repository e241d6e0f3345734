"""Changes of the stored events: rows removed or replaced, part by part, in one publish.

The change and its entry in the audit log become visible by one rename. A part without an
affected row stays a hard link; a part of which all rows go is dropped.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import polars as pl

from readmodel.store.audit import AuditEntry
from readmodel.store.damage import checksum
from readmodel.store.event_tables import AUDIT, EVENT_TABLES, EVENTS
from readmodel.store.manifest import Part
from readmodel.sync.audit_rows import audit_rows
from readmodel.sync.carry_over import (
    LastSnapshot,
    carry_others,
    last_snapshot,
    taken_at,
)
from readmodel.sync.event_publish import append_rows
from readmodel.sync.lock import exclusive_lock
from readmodel.sync.snapshot_writer import SnapshotWriter
from util.errors import StorageError, SyncRunning

PAUSE_SECONDS: Final = 0.2

type Rewrite = Callable[[pl.DataFrame], pl.DataFrame]
"""What becomes of the rows of a part."""


@dataclass(frozen=True, slots=True)
class Removal:
    """Rows of the table `name` to remove: those that fulfil `condition`.

    `counts` has their number per part.
    """

    name: str
    condition: pl.Expr
    counts: tuple[int, ...]

    @property
    def rows(self) -> int:
        """Rows of all parts."""
        return sum(self.counts)

    def write(self, last: LastSnapshot, writer: SnapshotWriter) -> None:
        """Put the table without these rows into the next snapshot."""
        is_kept = self.condition.fill_null(False).not_()
        rewrite_parts(
            last, writer, self.name, self.counts, lambda rows: rows.filter(is_kept)
        )


def find_rows(last: LastSnapshot, name: str, condition: pl.Expr) -> Removal:
    """The rows of the table *name* that fulfil *condition*.

    Statistics of the files let row groups be skipped.
    """
    matching = (scan(file).filter(condition) for file in last.files(name))
    counts = tuple(int(rows.select(pl.len()).collect().item()) for rows in matching)
    return Removal(name, condition, counts)


def scan(file: Path) -> pl.LazyFrame:
    """The rows of one part."""
    return pl.scan_parquet(file, glob=False, hive_partitioning=False)


def rewrite_parts(
    last: LastSnapshot,
    writer: SnapshotWriter,
    name: str,
    affected: Sequence[int],
    rewrite: Rewrite,
    added: pl.DataFrame | None = None,
) -> None:
    """Write the table *name* anew, with *added* at its end.

    Only parts with *affected* rows are read. Raises StorageError if one of them is
    damaged: its broken rows would get a valid checksum.
    """
    stored = last.manifest.tables[name]
    is_changed = any(affected) or added is not None
    changed_at = writer.created_at if is_changed else stored.changed_at
    table = writer.table(name, stored.columns, changed_at)
    for part, file, count in zip(stored.parts, last.files(name), affected, strict=True):
        if not count:
            table.link(part, file)
            continue
        rows = rewrite(_read_intact(part, file))
        if len(rows):
            table.write(rows, {}, writer.created_at)
    if added is not None and len(added):
        table.write(added, {}, writer.created_at)
    if not table.stored.parts:
        table.write(pl.DataFrame(schema=EVENT_TABLES[name][1]), {}, writer.created_at)


def _read_intact(part: Part, file: Path) -> pl.DataFrame:
    if checksum(file) != part.crc32:
        raise StorageError(
            f"{file} is damaged, and it has rows to change: restore it from a copy"
        )
    return pl.read_parquet(file, glob=False)


def use_events[T](
    data_dir: Path,
    patience_seconds: float,
    nothing: T,
    use: Callable[[LastSnapshot], T],
) -> T:
    """What *use* returns as the only writer of *data_dir*; *nothing* without events.

    Waits for another updater up to *patience_seconds*. Raises SyncRunning and
    StorageError.
    """
    with _lock(data_dir, patience_seconds):
        last = last_snapshot(data_dir)
        if last is None or last.table(EVENTS) is None:
            return nothing
        try:
            return use(last)
        except (OSError, pl.exceptions.PolarsError) as error:
            raise StorageError(f"The stored events cannot be read: {error}") from error


def _lock(data_dir: Path, patience_seconds: float) -> ExitStack:
    """The entered `exclusive_lock`; close it after use."""
    until = time.monotonic() + patience_seconds
    while True:
        entered = ExitStack()
        try:
            entered.enter_context(exclusive_lock(data_dir))
        except SyncRunning:
            if time.monotonic() >= until:
                raise
            time.sleep(PAUSE_SECONDS)
        else:
            return entered


def publish_change(
    last: LastSnapshot,
    now: datetime,
    entry: AuditEntry,
    write: Callable[[SnapshotWriter], None],
) -> str:
    """Publish a snapshot in which *write* wrote the changed tables; returns its id.

    All others are taken over. *write* may write the audit log, too, with the row of
    *entry* at its end; else that row is appended.
    """
    with SnapshotWriter(last.data_dir, taken_at(last, now), now) as writer:
        carry_others(last, writer)
        write(writer)
        for name in EVENT_TABLES:
            if name in writer.mirrored:
                continue
            if name == AUDIT:
                rows = audit_rows(last, writer.created_at, [entry])
                append_rows(writer, last, AUDIT, rows)
            elif last.table(name):
                last.link(name, writer)
        writer.consumed = last.manifest.consumed
        writer.publish(last.manifest)
        return writer.id
