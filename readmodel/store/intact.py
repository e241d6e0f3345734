"""Comparison of files with the checksums in the manifest, once per file.

Reading a file for its checksum takes some milliseconds per 10 MB, so a process does it
when it opens a file for the first time. A file that was replaced, or changed in size or
time, is compared again.
"""

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Final, NamedTuple

from readmodel.store import sorted_activity
from readmodel.store.damage import checksum
from readmodel.store.manifest import Part, SideFile, VisitsFile
from readmodel.store.side_files import recorded_side_files
from readmodel.store.snapshot import Snapshot, table_folder
from util.errors import ReadModelDamaged

THREADS: Final = 4

MOST_FILES: Final = 65_536
"""Remembered files; then all are compared again."""


class FileIdentity(NamedTuple):
    """What tells a file from one that replaced it or was changed."""

    device: int
    inode: int
    bytes: int
    modified_ns: int
    crc32: int
    """As the manifest has it."""


class _TableKey(NamedTuple):
    path: Path
    id: str
    table: str


class IntactFiles:
    """Remembers which files were compared with their checksum. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._intact: set[_TableKey] = set()
        self._damaged: dict[_TableKey, str] = {}
        self._equal: dict[FileIdentity, bool] = {}

    def require(self, snapshot: Snapshot, tables: Iterable[str]) -> None:
        """Compare the files of *tables* that this process has not compared yet.

        Raises ReadModelDamaged, which names the first file that differs.
        """
        if snapshot.manifest is None:
            return  # The earlier system's files have no checksums.
        for table in tables:
            key = _TableKey(snapshot.path, snapshot.id, table)
            if key not in self._intact and table in snapshot.manifest.tables:
                self._compare(key, snapshot)

    def were_compared(self, snapshot: Snapshot, tables: Iterable[str]) -> bool:
        """True if `require` has no files of *tables* to read."""
        return all(
            _TableKey(snapshot.path, snapshot.id, table) in self._intact
            for table in tables
        )

    def damage(self, snapshot: Snapshot, table: str) -> str | None:
        """The file of *table* that is known to be damaged; reads no file."""
        return self._damaged.get(_TableKey(snapshot.path, snapshot.id, table))

    def forget(self) -> None:
        """Compare every file again, since reading one has failed."""
        with self._lock:
            self._intact.clear()
            self._equal.clear()

    def _compare(self, key: _TableKey, snapshot: Snapshot) -> None:
        with self._lock:
            differing = self._differing(snapshot, key.table)
            if differing is None:
                self._limit()
                self._intact.add(key)
                self._damaged.pop(key, None)
                return
            self._damaged[key] = f"{differing.parent.name}/{differing.name}"
        raise ReadModelDamaged(
            f"{self._damaged[key]} is damaged: the next sync replaces it"
        )

    def _differing(self, snapshot: Snapshot, table: str) -> Path | None:
        """The first file of *table* that differs from its record."""
        files = list(_files(snapshot, table))
        # Computing a checksum leaves the interpreter to other threads.
        with ThreadPoolExecutor(THREADS) as pool:
            equal = list(pool.map(self._is_equal, *zip(*files, strict=True)))
        found = zip(files, equal, strict=True)
        return next((file for (file, _), is_equal in found if not is_equal), None)

    def _is_equal(self, file: Path, record: Part | SideFile | VisitsFile) -> bool:
        try:
            status = os.stat(file)  # noqa: PTH116 - as in `snapshot`
            identity = FileIdentity(
                status.st_dev,
                status.st_ino,
                status.st_size,
                status.st_mtime_ns,
                record.crc32,
            )
            if identity not in self._equal:
                self._equal[identity] = (
                    status.st_size == record.bytes and checksum(file) == record.crc32
                )
            return self._equal[identity]
        except OSError:
            return False

    def _limit(self) -> None:
        if len(self._equal) > MOST_FILES:
            self._equal.clear()
        if len(self._intact) > MOST_FILES:
            self._intact.clear()


def _files(
    snapshot: Snapshot, table: str
) -> Iterator[tuple[Path, Part | SideFile | VisitsFile]]:
    """The parts of *table*, their side files and its activity, each with its record."""
    assert snapshot.manifest is not None
    if table == sorted_activity.ESTIMATED:
        yield from sorted_activity.present_files(snapshot)
    folder = snapshot.path / table_folder(table)
    for part in snapshot.manifest.tables[table].parts:
        file = folder / part.file
        yield file, part
        for side_file, record in recorded_side_files(part, file):
            if side_file.exists():
                yield side_file, record
