"""Take events from the spool into the read model, each accepted one exactly once.

A drain publishes a snapshot in which only the tables of events differ. Their rows and
`consumed`, which says how far the spool was read, become visible by one rename, and only
then are the files of the spool removed. Killed anywhere, the next drain reads the
manifest and repeats or skips.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import polars as pl

from events.spool_files import (
    SpoolFile,
    advance,
    is_taken,
    list_files,
    sync_folder,
)
from readmodel.dtypes import dtype_name
from readmodel.store.damage import PARSE_ERRORS, checksum
from readmodel.store.event_tables import EVENT_TABLES, EVENTS, REJECTED
from readmodel.store.manifest import Consumed, Part
from readmodel.store.snapshot import table_folder
from readmodel.sync.carry_over import (
    LastSnapshot,
    carry_others,
    last_snapshot,
    taken_at,
)
from readmodel.sync.event_rows import (
    conflict_rejections,
    new_events,
    new_rejections,
)
from readmodel.sync.spool_reader import SpooledEvents, read_spool
from readmodel.sync.staging import SnapshotWriter, exclusive_lock
from readmodel.tables import TABLES
from util.errors import StorageError

MAX_BYTES: Final = 64 * 2**20
"""Of the spool, per snapshot: bounds the memory after an outage of the updater."""

PART_ROWS: Final = 262_144
"""Rows from which on a part is not merged with the next one."""


@dataclass(frozen=True, slots=True)
class DrainReport:
    """What a drain did; `rejected` counts new dead letters by code.

    `snapshot` is the last one that it published, or None if there was nothing to do.
    """

    accepted: int = 0
    repeated: int = 0
    rejected: Mapping[str, int] = field(default_factory=dict)
    files: int = 0
    snapshot: str | None = None

    def __add__(self, later: "DrainReport") -> "DrainReport":
        return DrainReport(
            self.accepted + later.accepted,
            self.repeated + later.repeated,
            Counter(self.rejected) + Counter(later.rejected),
            self.files + later.files,
            later.snapshot or self.snapshot,
        )


def drain(
    data_dir: Path,
    spool_dir: Path,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    max_bytes: int = MAX_BYTES,
) -> DrainReport:
    """Take all complete files of *spool_dir* into the tables of events of *data_dir*.

    The first drain creates the tables. Raises SyncRunning if another process writes
    there, and StorageError; events that were not taken are still in the spool then.
    """
    if not _may_have_work(data_dir, spool_dir):
        return DrainReport()
    total = DrainReport()
    with exclusive_lock(data_dir):
        while True:
            report, is_last = _drain_some(data_dir, spool_dir, now(), max_bytes)
            total += report
            if is_last:
                return total


def _may_have_work(data_dir: Path, spool_dir: Path) -> bool:
    """False if there is neither a file in the spool nor a table to create."""
    tables = (data_dir / table_folder(name) for name in EVENT_TABLES)
    return bool(_list(spool_dir)) or not all(table.is_symlink() for table in tables)


def _list(spool_dir: Path) -> list[SpoolFile]:
    """The files of the spool; none if no collector has made the folder yet."""
    try:
        return list_files(spool_dir)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _spool_error(spool_dir, error) from error


def _spool_error(spool_dir: Path, error: OSError) -> StorageError:
    return StorageError(
        f"SPOOL_DIR {spool_dir} cannot be used: {error.strerror or error}; it must be a "
        "folder in which this user can read and remove files"
    )


def _drain_some(
    data_dir: Path, spool_dir: Path, now: datetime, max_bytes: int
) -> tuple[DrainReport, bool]:
    """Take some files and publish one snapshot, if there is something to do.

    The flag is True unless there were more files: later ones are for the next drain.
    """
    last = last_snapshot(data_dir)
    if last is None and _has_plain_files(data_dir):
        # They would no longer be served; the first sync replaces them.
        return DrainReport(), True
    consumed = last.manifest.consumed if last else None
    files = _untaken(spool_dir, consumed)
    if consumed and not files:
        return DrainReport(), True
    chosen = _first(files, max_bytes)
    with SnapshotWriter(data_dir, taken_at(last, now), now) as writer:
        if last:
            carry_others(last, writer)
        report = _write_events(writer, last, spool_dir, chosen)
        writer.consumed = Consumed(_positions(consumed, files, chosen))
        writer.publish(last.manifest if last else None)
    _remove(spool_dir, chosen)
    return report, len(chosen) == len(files)


def _has_plain_files(data_dir: Path) -> bool:
    return any((data_dir / table_folder(name)).is_file() for name in TABLES)


def _untaken(spool_dir: Path, consumed: Consumed | None) -> list[SpoolFile]:
    """The files to take; removes those that a killed drain had taken."""
    files = _list(spool_dir)
    positions = consumed.spool if consumed else {}
    _remove(spool_dir, [file for file in files if is_taken(file, positions)])
    return [file for file in files if not is_taken(file, positions)]


def _first(files: Sequence[SpoolFile], max_bytes: int) -> list[SpoolFile]:
    """The first files with together at most *max_bytes*, but at least one."""
    chosen: list[SpoolFile] = []
    size = 0
    for file in files:
        size += file.bytes
        if chosen and size > max_bytes:
            break
        chosen.append(file)
    return chosen


def _positions(
    consumed: Consumed | None, files: Iterable[SpoolFile], chosen: Iterable[SpoolFile]
) -> dict[str, str]:
    """The last file taken per instance, without instances that have no file any more.

    Their files are gone for good: the removal was flushed to the disk.
    """
    present = {file.instance for file in files}
    earlier = consumed.spool if consumed else {}
    kept = {name: last for name, last in earlier.items() if name in present}
    return advance(kept, chosen)


def _remove(spool_dir: Path, files: Sequence[SpoolFile]) -> None:
    """Remove *files* for good, so that no crash brings them back."""
    if not files:
        return
    try:
        for file in files:
            with suppress(FileNotFoundError):
                (spool_dir / file.name).unlink()
        sync_folder(spool_dir)
    except OSError as error:
        raise _spool_error(spool_dir, error) from error


def _write_events(
    writer: SnapshotWriter,
    last: LastSnapshot | None,
    spool_dir: Path,
    chosen: Sequence[SpoolFile],
) -> DrainReport:
    try:
        spooled = read_spool(spool_dir, chosen)
    except OSError as error:
        raise _spool_error(spool_dir, error) from error
    try:
        return _store(writer, last, spooled, len(chosen))
    except (OSError, *PARSE_ERRORS) as error:
        raise StorageError(f"The stored events cannot be read: {error}") from error


def _store(
    writer: SnapshotWriter,
    last: LastSnapshot | None,
    spooled: SpooledEvents,
    files: int,
) -> DrainReport:
    found = new_events(spooled.accepted, last.files(EVENTS) if last else [])
    conflicts = conflict_rejections(found.conflicts)
    rejected = new_rejections(
        pl.concat([spooled.rejected, conflicts]).with_columns(
            pl.col("received_at").fill_null(writer.created_at)
        ),
        last.files(REJECTED) if last else [],
    )
    _append(writer, last, EVENTS, found.new)
    _append(writer, last, REJECTED, rejected)
    counts = dict(rejected.group_by("code").len().iter_rows())
    return DrainReport(found.new.height, found.repeated, counts, files, writer.id)


def _append(
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
    table.write(pl.concat([*merged, rows]), {}, writer.created_at)


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
