"""Bring the sorted activity into the next snapshot: link it, or write it anew."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from isal.isal_zlib import crc32

from readmodel.store import snapshot, sorted_activity
from readmodel.store.damage import checksum
from readmodel.store.manifest import ActivityFiles, Part, SideFile, StoredTable
from readmodel.store.side_files import VISITS
from readmodel.store.snapshot import table_folder
from readmodel.sync.disk import write_synced
from readmodel.sync.planner import JOINED_ROWS
from readmodel.sync.sampling import sample

FEW_ROWS: Final = 500_000
"""Up to so many page views and estimations all of them are sorted, whenever some are new."""

SMALL_SHARE: Final = 32
"""Beyond, a part with less than this fraction of the rows is left to the reader."""

UNSORTED_SHARE: Final = 20
"""All is sorted again once larger parts with this fraction of the rows are not in it."""

FILE_ROWS: Final = 2_097_152
"""Rows of a file, on average. Sorting takes some 100 bytes of memory a row."""

type Parts = Mapping[str, list[Part]]
"""The parts of each table of the activity."""


def link_activity(
    data_dir: Path, staged: Path, tables: Mapping[str, StoredTable], *, is_sync: bool
) -> ActivityFiles | None:
    """Link the activity of the last snapshot into *staged*, if it fits *tables*.

    A sync also compares it with its checksums, or a sample of it, and has it written anew
    once it lacks many rows. None if there is none to link. Raises OSError.
    """
    last = snapshot.latest_readable(data_dir)
    record = last.manifest.activity if last and last.manifest else None
    if last is None or record is None:
        return None
    others = sorted_activity.other_parts(record, tables)
    files = {last.path / path: file for path, file in sorted_activity.files(record)}
    if others is None or not all(file.is_file() for file in files):
        return None
    if is_sync and (_has_many(others, tables) or _is_changed(files, staged.name)):
        return None
    (staged / sorted_activity.FOLDER).mkdir()
    for file in files:
        os.link(file, staged / sorted_activity.FOLDER / file.name)
    return record


def write_activity(
    staged: Path, tables: Mapping[str, StoredTable]
) -> ActivityFiles | None:
    """Sort the visits of *tables*, which are in the folder *staged*.

    None without rows, and if visits are damaged: the next sync finds that. Raises OSError.
    """
    if not sorted_activity.applies_to(tables):
        return None
    parts = _parts_to_sort(tables)
    visits = {
        name: [(VISITS.path(staged / table_folder(name) / it.file), it) for it in found]
        for name, found in parts.items()
    }
    if not all(_has_intact_visits(*it) for found in visits.values() for it in found):
        return None
    sources = {name: [file for file, _ in found] for name, found in visits.items()}
    ranges = -(-_rows(parts) // FILE_ROWS)
    files = [_write(staged, sources, it, ranges) for it in range(ranges)]
    names = {
        name: tuple(map(sorted_activity.visits_crc32, it)) for name, it in parts.items()
    }
    return ActivityFiles(tuple(files), names) if files else None


def _write(
    staged: Path, sources: Mapping[str, list[Path]], number: int, ranges: int
) -> SideFile:
    content = sorted_activity.encode(sources, number, ranges)
    file = staged / sorted_activity.file(number)
    file.parent.mkdir(exist_ok=True)
    write_synced(file, content)
    return SideFile(len(content), crc32(content), sorted_activity.version())


def _has_many(others: Parts, tables: Mapping[str, StoredTable]) -> bool:
    """True if *others*, which the activity lacks, have many of the rows of *tables*."""
    total = _total(tables)
    if total <= FEW_ROWS:
        return _rows(others) > 0
    least = _least_rows(total)
    large = [it for parts in others.values() for it in parts if it.rows >= least]
    return sum(part.rows for part in large) * UNSORTED_SHARE > total


def _parts_to_sort(tables: Mapping[str, StoredTable]) -> Parts:
    """Those that are not likely to be joined soon: the last parts of a table are small."""
    least = _least_rows(_total(tables))
    return {
        name: [it for it in tables[name].parts if it.rows >= least]
        for name in sorted_activity.TIMES
    }


def _least_rows(total: int) -> int:
    """Rows of the smallest part to sort, of *total* rows. Parts grow up to JOINED_ROWS."""
    return 1 if total <= FEW_ROWS else min(JOINED_ROWS // 2, total // SMALL_SHARE)


def _total(tables: Mapping[str, StoredTable]) -> int:
    return sum(tables[name].rows for name in sorted_activity.TIMES)


def _rows(parts: Parts) -> int:
    return sum(part.rows for found in parts.values() for part in found)


def _has_intact_visits(file: Path, part: Part) -> bool:
    return checksum(file) == sorted_activity.visits_crc32(part)


def _is_changed(files: Mapping[Path, SideFile], snapshot_id: str) -> bool:
    """True if a file has another size, or one of a sample another checksum."""
    is_sampled = sample(snapshot_id, sum(it.bytes for it in files.values()))
    return any(
        file.stat().st_size != record.bytes
        or (is_sampled(file.name) and checksum(file) != record.crc32)
        for file, record in files.items()
    )
