"""Publish a snapshot in which only the tables of events differ: with further rows.

Rows and positions become visible together, by one rename.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import reduce
from pathlib import Path
from typing import Final

import polars as pl

from readmodel.dtypes import dtype_name
from readmodel.store.damage import PARSE_ERRORS, checksum
from readmodel.store.event_tables import AUDIT, EVENT_TABLES, EVENTS, REJECTED
from readmodel.store.manifest import Consumed, Part
from readmodel.store.snapshot import table_folder
from readmodel.sync.audit_rows import drained_rows
from readmodel.sync.carry_over import LastSnapshot, carry_others, taken_at
from readmodel.sync.event_ids import (
    conflict_rejections,
    new_events,
    new_rejections,
)
from readmodel.sync.snapshot_writer import SnapshotWriter
from readmodel.sync.spool_reader import SpooledEvents
from readmodel.tables import TABLES
from util.errors import StorageError
from util.telemetry import span

PART_ROWS: Final = 262_144
"""Rows from which on a part is not merged with the next one."""


@dataclass(frozen=True, slots=True)
class DrainReport:
    """What a drain did; `rejected` counts new dead letters by code.

    `snapshot` is the last one that it published, or None if there was nothing to do.
    `failures` say why a spool could not be used, by its name, and `conflicts` which
    instances of collectors are there twice.
    """

    accepted: int = 0
    repeated: int = 0
    rejected: Mapping[str, int] = field(default_factory=dict)
    files: int = 0
    snapshot: str | None = None
    failures: Mapping[str, str] = field(default_factory=dict)
    conflicts: tuple[str, ...] = ()

    def __add__(self, later: "DrainReport") -> "DrainReport":
        return DrainReport(
            self.accepted + later.accepted,
            self.repeated + later.repeated,
            Counter(self.rejected) + Counter(later.rejected),
            self.files + later.files,
            later.snapshot or self.snapshot,
            {**self.failures, **later.failures},
            tuple(dict.fromkeys((*self.conflicts, *later.conflicts))),
        )


def publish_events(
    data_dir: Path,
    last: LastSnapshot | None,
    events: SpooledEvents,
    consumed: Consumed,
    now: datetime,
) -> DrainReport:
    """Add *events* to the tables of events, and record what is *consumed* then.

    Call it inside `exclusive_lock`, with the *last* snapshot. Raises StorageError.
    """
    with (
        span("drain") as link,
        SnapshotWriter(data_dir, taken_at(last, now), now) as writer,
    ):
        link(events.traceparents)
        if last:
            carry_others(last, writer)
        try:
            report = _store(writer, last, events)
        except (OSError, *PARSE_ERRORS) as error:
            raise StorageError(f"The stored events cannot be read: {error}") from error
        writer.consumed = consumed
        writer.publish(last.manifest if last else None)
    return report


def has_plain_files(data_dir: Path) -> bool:
    """True if there are files of the earlier system.

    They would no longer be served after a drain; the first sync replaces them.
    """
    return any((data_dir / table_folder(name)).is_file() for name in TABLES)


def _store(
    writer: SnapshotWriter,
    last: LastSnapshot | None,
    spooled: SpooledEvents,
) -> DrainReport:
    found = new_events(spooled.accepted, last.files(EVENTS) if last else [])
    conflicts = conflict_rejections(found.conflicts)
    letters = spooled.rejected.vstack(conflicts)
    if len(letters):
        received = pl.col("received_at").fill_null(writer.created_at)
        letters = letters.with_columns(received)
    rejected = new_rejections(letters, last.files(REJECTED) if last else [])
    append_rows(writer, last, EVENTS, found.new)
    append_rows(writer, last, REJECTED, rejected)
    audited = drained_rows(last, writer.created_at, spooled, found, rejected)
    append_rows(writer, last, AUDIT, audited)
    counts = Counter(rejected["code"].to_list())
    return DrainReport(found.new.height, found.repeated, counts, 0, writer.id)


def append_rows(
    writer: SnapshotWriter, last: LastSnapshot | None, name: str, rows: pl.DataFrame
) -> None:
    """Add the table *name* with *rows* after the stored ones.

    A part is merged with the rows after it unless it is larger than they are: so there
    are few parts, and each row is written again only some ten times.
    """
    stored = last.table(name) if last else None
    if stored is not None and rows.is_empty():
        assert last is not None
        last.link(name, writer)
        return
    columns = {c: dtype_name(dtype) for c, dtype in EVENT_TABLES[name][1].items()}
    parts = stored.parts if stored else ()
    files = last.files(name) if last else []
    kept = len(parts) - _parts_to_merge(parts, files, rows.height)
    table = writer.table(name, columns, writer.created_at)
    for part, file in zip(parts[:kept], files[:kept], strict=True):
        table.link(part, file)
    merged = [pl.read_parquet(file, glob=False) for file in files[kept:]]
    table.write(reduce(pl.DataFrame.vstack, [*merged, rows]), {}, writer.created_at)


def _parts_to_merge(parts: Sequence[Part], files: Sequence[Path], rows: int) -> int:
    """How many of the last parts to merge with *rows* new rows; none that is damaged."""
    count = 0
    for part, file in zip(reversed(parts), reversed(files), strict=True):
        is_small = part.rows <= rows and part.rows + rows <= PART_ROWS
        if not is_small or checksum(file) != part.crc32:
            break
        rows += part.rows
        count += 1
    return count
