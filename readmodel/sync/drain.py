"""Take events from the spools into the read model, each accepted one exactly once.

A drain publishes a snapshot in which only the tables of events differ. Their rows and
`consumed`, which says how far the spools were read, become visible by one rename, and
only then are the files of the spools removed. Killed anywhere, the next drain reads the
manifest and repeats or skips. `event_ids` finds repetitions and conflicts of ids, and
`event_publish` writes the rows.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from events.spool_files import SpoolFile
from readmodel.spool.folder import FolderSpool
from readmodel.spool.protocol import Spool
from readmodel.store.event_tables import EVENT_TABLES
from readmodel.store.manifest import Consumed
from readmodel.store.snapshot import table_folder
from readmodel.sync.carry_over import last_snapshot
from readmodel.sync.event_publish import (
    DrainReport,
    has_plain_files,
    publish_events,
)
from readmodel.sync.lock import exclusive_lock
from readmodel.sync.spool_reader import read_spool
from readmodel.sync.spool_survey import (
    LocatedFile,
    SpoolBatch,
    SpoolSurvey,
    positions_after,
    read_batch,
    survey,
)
from util.errors import SpoolError, StorageError

__all__ = ["DrainReport", "drain", "drain_spools"]

MAX_BYTES: Final = 32 * 2**20
"""Of the spools, per snapshot: bounds the memory after an outage of the updater.

An event has some 200 bytes, so these are 160,000 events, which take some 200 MB."""


def _now() -> datetime:
    return datetime.now(UTC)


def drain(
    data_dir: Path,
    spool_dir: Path,
    now: Callable[[], datetime] = _now,
    max_bytes: int = MAX_BYTES,
) -> DrainReport:
    """Take all complete files of the folder *spool_dir*, as `drain_spools` does.

    Raises StorageError if the folder cannot be used, too.
    """
    report = drain_spools(data_dir, [FolderSpool(spool_dir)], now, max_bytes)
    for failure in report.failures.values():
        raise StorageError(failure)
    return report


def drain_spools(
    data_dir: Path,
    spools: Sequence[Spool],
    now: Callable[[], datetime] = _now,
    max_bytes: int = MAX_BYTES,
) -> DrainReport:
    """Take all complete files of *spools* into the tables of events of *data_dir*.

    The first drain creates the tables. A spool that fails is named in the report and
    holds back no other. Raises SyncRunning if another process writes there, and
    StorageError; events that were not taken are still in their spools then.
    """
    first_look = survey(spools, Consumed())
    if not first_look.waiting and _has_tables(data_dir):
        return DrainReport(failures=first_look.failures)
    total = DrainReport()
    with exclusive_lock(data_dir):
        while True:
            report, is_last = _drain_some(data_dir, spools, now(), max_bytes)
            total += report
            if is_last:
                return total


def _has_tables(data_dir: Path) -> bool:
    tables = (data_dir / table_folder(name) for name in EVENT_TABLES)
    return all(table.is_symlink() for table in tables)


def _drain_some(
    data_dir: Path, spools: Sequence[Spool], now: datetime, max_bytes: int
) -> tuple[DrainReport, bool]:
    """Take some files and publish one snapshot, if there is something to do.

    The flag is True unless there were more files: later ones are for the next drain.
    """
    last = last_snapshot(data_dir)
    if last is None and has_plain_files(data_dir):
        return DrainReport(), True
    recorded = last.manifest.consumed if last else None
    consumed = recorded or Consumed()
    found = survey(spools, consumed)
    _remove(found.taken, found)
    batch = read_batch(found, max_bytes)
    report = DrainReport()
    if batch.files or recorded is None:
        names, checksums = positions_after(consumed, found, batch)
        moved = replace(consumed, spool=names, checksums=checksums)
        events = read_spool(batch.named_contents)
        report = publish_events(data_dir, last, events, moved, now)
        _remove((each.located for each in batch.files), found)
    return _described(report, batch, found), found.failures != {} or not batch.is_full


def _described(
    report: DrainReport, batch: SpoolBatch, found: SpoolSurvey
) -> DrainReport:
    return replace(
        report,
        files=len(batch.files),
        failures=found.failures,
        conflicts=tuple(dict.fromkeys(found.conflicts)),
    )


def _remove(files: Iterable[LocatedFile], found: SpoolSurvey) -> None:
    """Remove *files* from their spools; a failure is noted, and tried again later."""
    by_spool: dict[int, tuple[Spool, list[SpoolFile]]] = {}
    for file, spool in files:
        by_spool.setdefault(id(spool), (spool, []))[1].append(file)
    for spool, own in by_spool.values():
        try:
            spool.remove(own)
        except SpoolError as error:
            found.failures[spool.name] = str(error)
