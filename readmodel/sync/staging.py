"""The snapshots on disk, as the updater makes them: build aside, then publish whole.

A snapshot is built in a hidden folder, everything in it is fsynced, and only then
does `current` move to it by one rename. Whoever dies before that changes nothing;
what they left is removed by the next one who takes the lock.
"""

import fcntl
import io
import os
import shutil
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import polars as pl

from readmodel.store import visits
from readmodel.store.manifest import Manifest, Part, StoredTable, VisitsFile
from readmodel.store.snapshot import (
    CURRENT,
    ID_FORMAT,
    MANIFEST,
    SNAPSHOTS,
    folder,
    visits_of,
)
from util.errors import StorageError, SyncRunning

LOCK = "update.lock"
# The longest request must find its snapshot until it ends.
KEEP_NEWEST = 3
KEEP_YOUNGER = timedelta(minutes=10)

# How parts are written, for the statistics that read them.
ROW_GROUP_ROWS = 131_072
COMPRESSION: Literal["lz4", "zstd"] = "zstd"
COMPRESSION_LEVEL = 3

# The key under which a part's footer carries the updater's note on its rows.
NOTE = "fpp-analytics"

_STAGED = ".staged-"
_NEW_LINK = ".link-"
_HALF_WRITTEN = ".*.part"  # the run log, see `record`
_CHUNK_BYTES = 1 << 20


@contextmanager
def exclusive_lock(data_dir: Path) -> Iterator[None]:
    """Hold *data_dir* alone, and clear what a killed run left there.

    The system releases the lock when its holder dies, however it dies. Raises
    SyncRunning when another process holds it, StorageError when it cannot be taken.
    """
    with _disk(data_dir):
        data_dir.mkdir(parents=True, exist_ok=True)
        lock = os.open(data_dir / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        with _disk(data_dir):
            _take(lock, data_dir)
            _clear_leftovers(data_dir)
        yield
    finally:
        os.close(lock)


def _take(lock: int, data_dir: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SyncRunning(
            f"Another updater is at work in {data_dir}: let it finish first"
        ) from None


@contextmanager
def _disk(data_dir: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"DATA_DIR {data_dir} cannot be used: {error.strerror or error}; "
            "it must be a folder that this user can write to, with free space"
        ) from error


class SnapshotWriter:
    """The next snapshot while it is built. Use it as a context, inside `exclusive_lock`.

    Every method raises StorageError when the disk refuses.
    """

    def __init__(self, data_dir: Path, taken_at: datetime) -> None:
        snapshots = data_dir / SNAPSHOTS
        while (snapshots / taken_at.strftime(ID_FORMAT)).exists():
            taken_at += timedelta(microseconds=1)
        self.taken_at = taken_at
        self.id = taken_at.strftime(ID_FORMAT)
        self.path = snapshots / f"{_STAGED}{self.id}"
        self._data_dir = data_dir
        self._parts: dict[str, int] = {}

    def __enter__(self) -> "SnapshotWriter":
        with _disk(self._data_dir):
            self.path.mkdir(parents=True)
        return self

    def __exit__(self, *_: object) -> None:
        """Leave nothing behind; after `publish` there is nothing to remove."""
        shutil.rmtree(self.path, ignore_errors=True)

    def write(self, table: str, frame: pl.DataFrame, note: str) -> Part:
        """Write *frame* as the next part of *table*, carrying *note* in its footer."""
        path = self._next(table)
        size, crc32 = self._put(
            path,
            frame,
            compression=COMPRESSION,
            compression_level=COMPRESSION_LEVEL,
            metadata={NOTE: note},
        )
        copy = self._copy(table, frame.lazy(), path)
        return Part(path.name, frame.height, size, crc32, self.taken_at, copy)

    def keep(self, table: str, part: Part, file: Path) -> Part:
        """Take over an unchanged *part*, now in *file*, as a hard link."""
        path = self._next(table)
        with _disk(self._data_dir):
            os.link(file, path)
        return replace(
            part, file=path.name, visits=self._kept_copy(table, part, file, path)
        )

    def _kept_copy(
        self, table: str, part: Part, file: Path, path: Path
    ) -> VisitsFile | None:
        """The visits of a part that is now in *path*; made where there are none to keep."""
        if table not in visits.COLUMNS:
            return None
        copy, before = part.visits, visits_of(file)
        if copy and copy.hashing == visits.hash_fingerprint() and before.is_file():
            place = self._visits(path)
            with _disk(self._data_dir):
                os.link(before, place)
            return copy
        try:
            return self._copy(table, pl.scan_parquet(path, glob=False), path)
        except pl.exceptions.PolarsError:
            return None  # the part is damaged, which whoever compares parts will find

    def _copy(self, table: str, rows: pl.LazyFrame, path: Path) -> VisitsFile | None:
        """Write the visits of the part in *path*, if its table has any."""
        if not visits.applies_to(table, rows.collect_schema()):
            return None
        made = visits.derive(rows, table).collect()
        written = self._put(self._visits(path), made, compression=visits.COMPRESSION)
        return VisitsFile(*written, visits.hash_fingerprint())

    def _visits(self, path: Path) -> Path:
        """Where the visits of the part in *path* go; their folder is there then."""
        place = visits_of(path)
        with _disk(self._data_dir):
            place.parent.mkdir(exist_ok=True)
        return place

    def _put(self, path: Path, frame: pl.DataFrame, **how: Any) -> tuple[int, int]:
        """Write *frame* to *path*: how many bytes, and their CRC-32."""
        # In memory first: a full disk is then an error of ours, with its reason, and
        # the checksum is that of what was meant to be written.
        content = io.BytesIO()
        frame.write_parquet(content, row_group_size=ROW_GROUP_ROWS, **how)
        with _disk(self._data_dir), content.getbuffer() as view:
            _write(path, view)
            return view.nbytes, zlib.crc32(view)

    def _next(self, table: str) -> Path:
        place = self.path / folder(table)
        number = self._parts.get(table, 0)
        self._parts[table] = number + 1
        with _disk(self._data_dir):
            place.mkdir(exist_ok=True)
        return place / f"part-{number:05}.parquet"

    def publish(self, tables: Mapping[str, StoredTable]) -> Manifest:
        """Make this the current snapshot, for all tables at once."""
        manifest = Manifest(self.taken_at, tables)
        with _disk(self._data_dir):
            self._seal(manifest)
            snapshots = self._data_dir / SNAPSHOTS
            os.rename(self.path, snapshots / self.id)
            _fsync(snapshots)
            _point(self._data_dir / CURRENT, f"{SNAPSHOTS}/{self.id}")
            _link_tables(self._data_dir, tables)
            _fsync(self._data_dir)
            _drop_old(self._data_dir, self.taken_at)
        return manifest

    def _seal(self, manifest: Manifest) -> None:
        _write(self.path / MANIFEST, manifest.to_json())
        for place in self.path.iterdir():
            if place.is_dir():
                _fsync(place)
        _fsync(self.path)


def checksum(file: Path) -> int:
    """CRC-32 of the file's bytes, to notice what a disk or a person did to it."""
    crc32 = 0
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            crc32 = zlib.crc32(chunk, crc32)
    return crc32


def _write(path: Path, content: bytes | memoryview) -> None:
    with path.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _point(link: Path, target: str) -> None:
    """Let *link* point at *target* in one step, whatever it was before."""
    aside = link.with_name(f"{_NEW_LINK}{link.name}")
    aside.unlink(missing_ok=True)
    aside.symlink_to(target)
    os.replace(aside, link)


def _link_tables(data_dir: Path, tables: Mapping[str, StoredTable]) -> None:
    """One link per table; those of tables that are no longer mirrored go."""
    wanted = {folder(name): f"{CURRENT}/{folder(name)}" for name in tables}
    for name, target in wanted.items():
        link = data_dir / name
        if not (link.is_symlink() and os.readlink(link) == target):
            _point(link, target)
    for link in data_dir.glob("*.parquet"):
        ours = link.is_symlink() and os.readlink(link) == f"{CURRENT}/{link.name}"
        if ours and link.name not in wanted:
            link.unlink()


def _clear_leftovers(data_dir: Path) -> None:
    """Remove what a killed run built but did not publish."""
    for pattern in (f"{_NEW_LINK}*", _HALF_WRITTEN):
        for path in data_dir.glob(pattern):
            path.unlink()
    snapshots = data_dir / SNAPSHOTS
    for staged in snapshots.glob(f"{_STAGED}*"):
        shutil.rmtree(staged)
    live = _live(data_dir)
    for orphan in snapshots.glob("[0-9]*"):
        if live is None or orphan.name > live:
            shutil.rmtree(orphan)


def _live(data_dir: Path) -> str | None:
    try:
        return Path(os.readlink(data_dir / CURRENT)).name
    except FileNotFoundError:
        return None


def _drop_old(data_dir: Path, now: datetime) -> None:
    """Remove the snapshots that no request can still be reading."""
    live = _live(data_dir)
    found = sorted(path.name for path in (data_dir / SNAPSHOTS).glob("[0-9]*"))
    for name in found[:-KEEP_NEWEST]:
        taken_at = datetime.strptime(name, ID_FORMAT).replace(tzinfo=UTC)
        if name != live and now - taken_at > KEEP_YOUNGER:
            shutil.rmtree(data_dir / SNAPSHOTS / name)
