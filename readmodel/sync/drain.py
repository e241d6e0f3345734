"""Take events from the spool into the read model, each accepted one exactly once.

A drain publishes a snapshot in which only the tables of events differ. Their rows and
`consumed`, which says how far the spool was read, become visible by one rename, and only
then are the files of the spool removed. Killed anywhere, the next drain reads the
manifest and repeats or skips.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from events.spool_files import (
    SpoolFile,
    advance,
    is_taken,
    list_files,
    sync_folder,
)
from readmodel.store.event_tables import EVENT_TABLES
from readmodel.store.manifest import Consumed
from readmodel.store.snapshot import table_folder
from readmodel.sync.carry_over import last_snapshot
from readmodel.sync.event_publish import (
    DrainReport,
    has_plain_files,
    publish_events,
)
from readmodel.sync.spool_reader import SpooledEvents, read_spool
from readmodel.sync.staging import exclusive_lock
from util.errors import StorageError

__all__ = ["DrainReport", "drain"]

MAX_BYTES: Final = 64 * 2**20
"""Of the spool, per snapshot: bounds the memory after an outage of the updater."""


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
    if last is None and has_plain_files(data_dir):
        return DrainReport(), True
    consumed = last.manifest.consumed if last else None
    files = _untaken(spool_dir, consumed)
    if consumed and not files:
        return DrainReport(), True
    chosen = _first(files, max_bytes)
    report = publish_events(
        data_dir,
        last,
        _read(spool_dir, chosen),
        replace(consumed or Consumed(), spool=_positions(consumed, files, chosen)),
        now,
    )
    _remove(spool_dir, chosen)
    return replace(report, files=len(chosen)), len(chosen) == len(files)


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


def _read(spool_dir: Path, chosen: Sequence[SpoolFile]) -> SpooledEvents:
    try:
        return read_spool(spool_dir, chosen)
    except OSError as error:
        raise _spool_error(spool_dir, error) from error
