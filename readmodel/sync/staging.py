"""The next snapshot while the updater builds it: staged aside, then published whole.

A snapshot is built in a hidden folder, everything in it is fsynced, and only then does
`current` move to it by one rename. A process that dies before that changes nothing;
the next one to take the lock removes what it left.
"""

import errno
import fcntl
import io
import os
import re
import shutil
import zlib
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal, Self

import polars as pl

from readmodel.store import snapshot
from readmodel.store.damage import PARSE_ERRORS
from readmodel.store.event_tables import EVENT_TABLES
from readmodel.store.history import instant_of, kept_ids
from readmodel.store.manifest import (
    Consumed,
    DerivedState,
    Manifest,
    Part,
    SideFile,
    SourceMark,
    StoredTable,
    TableFailure,
    VisitsFile,
)
from readmodel.store.side_files import KINDS, SideFileKind
from readmodel.store.snapshot import (
    CURRENT,
    ID_FORMAT,
    ID_PATTERN,
    MANIFEST,
    MANIFEST_COPY,
    SNAPSHOTS,
    table_folder,
)
from readmodel.sync.delta_log import has_delta_logs, write_delta_logs
from readmodel.sync.disk import (
    remove_unfinished,
    replace_link,
    storage_errors,
    sync_folder,
    write_synced,
)
from readmodel.sync.snapshot_retention import KEEP_YOUNGER, kept_instants
from util.errors import ReadModelMissing, SyncRunning

LOCK: Final = "update.lock"

# How parts are written, for the statistics that read them.
ROW_GROUP_ROWS: Final = 131_072
COMPRESSION: Final[Literal["lz4", "zstd"]] = "zstd"
COMPRESSION_LEVEL: Final = 3
EVENTS_COMPRESSION_LEVEL: Final = 1
"""Events are written again when parts are merged, and take no more room so."""

_STAGED = ".staged-"


@contextmanager
def exclusive_lock(data_dir: Path) -> Iterator[None]:
    """Be the only writer in *data_dir*; removes what a killed run left there.

    The system releases the lock when its process dies, however it dies. Raises
    SyncRunning when another process has it, StorageError when it cannot be taken.
    """
    with storage_errors(data_dir):
        data_dir.mkdir(parents=True, exist_ok=True)
        lock = os.open(data_dir / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        with storage_errors(data_dir):
            _acquire(lock, data_dir)
            _remove_leftovers(data_dir)
        yield
    finally:
        os.close(lock)


def _acquire(lock: int, data_dir: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SyncRunning(
            f"Another updater is at work in {data_dir}: let it finish first"
        ) from None


class TableWriter:
    """One table of the next snapshot: collects its parts, in key order.

    `SnapshotWriter.table` makes it. Every method raises StorageError when the disk
    refuses.
    """

    def __init__(
        self,
        snapshot: "SnapshotWriter",
        name: str,
        columns: Mapping[str, str],
        changed_at: datetime,
    ) -> None:
        """Create the folder of the table *name* in *snapshot*."""
        self._snapshot = snapshot
        self._name = name
        self._columns = columns
        self._changed_at = changed_at
        self._parts: list[Part] = []
        self._kinds = [kind for kind in KINDS if kind.applies_to(name, columns)]
        self._made: set[Path] = set()
        self._folder = snapshot.path / table_folder(name)
        with self._storage_errors():
            self._folder.mkdir()

    @property
    def stored(self) -> StoredTable:
        """The table's record with all parts so far."""
        return StoredTable(self._columns, tuple(self._parts), self._changed_at)

    def write(
        self,
        rows: pl.DataFrame,
        footer: Mapping[str, str],
        checked_at: datetime | None = None,
        mark: SourceMark | None = None,
    ) -> Part:
        """Write *rows* as the next part, with *footer* as its key-value metadata.

        *checked_at* defaults to the snapshot's instant.
        """
        path = self._next_path()
        size, crc32 = self._write_parquet(
            path,
            rows,
            compression=COMPRESSION,
            compression_level=_compression_level(self._name),
            metadata=dict(footer),
        )
        part = Part(
            path.name,
            rows.height,
            size,
            crc32,
            checked_at or self._snapshot.taken_at,
            mark=mark,
        )
        for kind in self._kinds:
            record = self._write_side_file(kind, rows.lazy(), path)
            part = kind.with_record(part, record)
        self._parts.append(part)
        return part

    def link(
        self,
        part: Part,
        file: Path,
        checked_at: datetime | None = None,
        *,
        may_miss: bool = False,
    ) -> None:
        """Make the next part a hard link to *file*, the unchanged *part*.

        *checked_at* defaults to that of *part*. With *may_miss* a file that is gone is
        recorded all the same, so that readers notice it.
        """
        path = self._next_path()
        with self._storage_errors():
            try:
                os.link(file, path)
            except FileNotFoundError:
                if not may_miss or not self._folder.is_dir():
                    raise
        linked = replace(
            part,
            file=path.name,
            checked_at=checked_at or part.checked_at,
        )
        for kind in KINDS:
            record = self._link_side_file(kind, part, file, path)
            if record != kind.record(linked):
                linked = kind.with_record(linked, record)
        self._parts.append(linked)

    def _link_side_file(
        self, kind: SideFileKind, part: Part, file: Path, path: Path
    ) -> SideFile | VisitsFile | None:
        """Link the side file of *part* beside *path*; write it again if unusable."""
        if kind not in self._kinds:
            return None
        earlier = kind.path(file)
        if kind.is_usable(part) and earlier.is_file():
            with self._storage_errors():
                os.link(earlier, self._side_path(kind, path))
            return kind.record(part)
        if not path.is_file():
            return None
        try:
            return self._write_side_file(kind, pl.scan_parquet(path, glob=False), path)
        except PARSE_ERRORS:
            return None  # The part is damaged: comparing checksums will find that.

    def _write_side_file(
        self, kind: SideFileKind, rows: pl.LazyFrame, path: Path
    ) -> SideFile | VisitsFile:
        """Write the side file of the part at *path*."""
        content = kind.encode(rows, self._name)
        return kind.make_record(*self._write(self._side_path(kind, path), content))

    def _side_path(self, kind: SideFileKind, path: Path) -> Path:
        """The path for a side file of the part at *path*; creates the folder."""
        file = kind.path(path)
        folder = file.parent
        if folder not in self._made:
            with self._storage_errors():
                folder.mkdir(exist_ok=True)
            self._made.add(folder)
        return file

    def _write_parquet(
        self, path: Path, frame: pl.DataFrame, **options: Any
    ) -> tuple[int, int]:
        """Write *frame* to *path*; returns its bytes and their CRC-32."""
        # In memory first: a full disk is then an OSError with its reason, and the
        # checksum is that of the intended bytes.
        content = io.BytesIO()
        frame.write_parquet(content, row_group_size=ROW_GROUP_ROWS, **options)
        with content.getbuffer() as view:
            return self._write(path, view)

    def _write(self, path: Path, content: bytes | memoryview) -> tuple[int, int]:
        """Write *content* to *path*; returns its bytes and their CRC-32."""
        with self._storage_errors():
            write_synced(path, content)
        return len(content), zlib.crc32(content)

    def _next_path(self) -> Path:
        return self._folder / f"part-{len(self._parts):05}.parquet"

    def _storage_errors(self) -> AbstractContextManager[None]:
        return storage_errors(self._snapshot.data_dir)


def _compression_level(table: str) -> int:
    return EVENTS_COMPRESSION_LEVEL if table in EVENT_TABLES else COMPRESSION_LEVEL


class SnapshotWriter:
    """The next snapshot while it is built. Use it as a context, inside `exclusive_lock`.

    Leaving the context removes what was not published. Every method raises
    StorageError when the disk refuses.
    """

    def __init__(
        self, data_dir: Path, taken_at: datetime, created_at: datetime | None = None
    ) -> None:
        """Choose an id by *taken_at*, which moves on if a snapshot has that instant.

        With *created_at* the id is chosen by that, for a snapshot whose mirrored tables
        are those of the one before.
        """
        snapshots = data_dir / SNAPSHOTS
        named = created_at or taken_at
        while (snapshots / named.strftime(ID_FORMAT)).exists():
            named += timedelta(microseconds=1)
        self.data_dir = data_dir
        self.taken_at = taken_at if created_at else named
        self.created_at = named
        self.consumed: Consumed | None = None
        self.id = named.strftime(ID_FORMAT)
        self.path = staged_folder(data_dir, self.id)
        self._tables: dict[str, TableWriter] = {}
        self._failed: dict[str, TableFailure] = {}
        self.configured: tuple[str, ...] | None = None
        self.retention: timedelta | None = None
        self.delta_logs: bool | None = None
        """Whether to write them, see `delta_log`; None: as in the last snapshot."""
        self._derived: dict[str, StoredTable] = {}
        self._derived_states: dict[str, DerivedState] = {}

    def __enter__(self) -> Self:
        with storage_errors(self.data_dir):
            self.path.mkdir(parents=True)
        return self

    def __exit__(self, *_: object) -> None:
        # After `publish` the folder has another name, and nothing is removed.
        shutil.rmtree(self.path, ignore_errors=True)

    def table(
        self, name: str, columns: Mapping[str, str], changed_at: datetime | None = None
    ) -> TableWriter:
        """Add the table *name* to the snapshot; write or link its parts next.

        *columns* maps names to dtypes as `dtypes.dtype_name` spells them. *changed_at*
        is when the content last changed, by default the snapshot's instant.
        """
        table = TableWriter(self, name, columns, changed_at or self.taken_at)
        self._tables[name] = table
        return table

    def add_failure(self, name: str, failure: TableFailure) -> None:
        """Record that the table *name* is older than the snapshot, or missing in it."""
        self._failed[name] = failure

    def add_derived(
        self, name: str, state: DerivedState, stored: StoredTable | None
    ) -> None:
        """Add a derived table whose parts are in the staged folder, or only its state."""
        self._derived_states[name] = state
        if stored is not None:
            self._derived[name] = stored

    def discard(self, name: str) -> None:
        """Remove what an unfinished build of the table *name* left behind."""
        self._tables.pop(name, None)
        folder = self.path / table_folder(name)
        for path in (folder, *(kind.path(folder / "any").parent for kind in KINDS)):
            shutil.rmtree(path, ignore_errors=True)

    def files(self, name: str) -> list[Path]:
        """The parts of the table *name*, as far as they are added, in order."""
        folder = self.path / table_folder(name)
        return [folder / part.file for part in self.stored(name).parts]

    def stored(self, name: str) -> StoredTable:
        """The record of the table *name*. Raises KeyError if it is not in the snapshot."""
        return (
            self._derived[name] if name in self._derived else self._tables[name].stored
        )

    @property
    def mirrored(self) -> tuple[str, ...]:
        """The names of the tables that are not derived, including those that failed."""
        names = dict.fromkeys((*self._tables, *self._failed))
        return tuple(name for name in names if name not in self._derived)

    @property
    def failed(self) -> Mapping[str, TableFailure]:
        """The mirrored tables that are older than the snapshot, or missing in it."""
        return self._failed

    def publish(self, last: Manifest | None = None) -> None:
        """Make this the current snapshot, for all tables at once.

        With *last* the manifest is that one, except for tables and what is consumed.
        With `retention`, snapshots that are not kept are removed.
        """
        tables = {name: table.stored for name, table in self._tables.items()}
        tables |= self._derived
        manifest = last or Manifest(
            self.taken_at,
            derived=self._derived_states,
            failed=self._failed,
            configured=self.configured,
        )
        manifest = replace(manifest, tables=tables, consumed=self.consumed)
        with storage_errors(self.data_dir):
            if self._has_delta_logs():
                write_delta_logs(self.path, self.id, tables)
            seal_folder(self.path, manifest.to_json())
            publish_folder(self.data_dir, self.path, self.id, tables)
            if self.retention is not None:
                remove_old_snapshots(self.data_dir, self.created_at, self.retention)

    def _has_delta_logs(self) -> bool:
        if self.delta_logs is None:
            return has_delta_logs(self.data_dir / CURRENT)
        return self.delta_logs


def staged_folder(data_dir: Path, id_: str) -> Path:
    """The hidden folder in which the snapshot *id_* is built; a killed run leaves it."""
    return data_dir / SNAPSHOTS / f"{_STAGED}{id_}"


def seal_folder(folder: Path, manifest: bytes) -> None:
    """Add the manifest to a staged snapshot, and flush it. Raises OSError."""
    write_synced(folder / MANIFEST, manifest)
    write_synced(folder / MANIFEST_COPY, manifest)
    for entry in folder.iterdir():
        if entry.is_dir():
            sync_folder(entry)
    sync_folder(folder)


def publish_folder(
    data_dir: Path, staged: Path, id_: str, tables: Mapping[str, StoredTable]
) -> None:
    """Make the sealed folder *staged* the current snapshot *id_*, for all tables at once.

    Raises OSError.
    """
    snapshots = data_dir / SNAPSHOTS
    staged.rename(snapshots / id_)
    sync_folder(snapshots)
    replace_link(data_dir / CURRENT, f"{SNAPSHOTS}/{id_}")
    _link_tables(data_dir, tables)
    sync_folder(data_dir)


def _link_tables(data_dir: Path, tables: Mapping[str, StoredTable]) -> None:
    """Link each table to the current snapshot; unlink tables no longer mirrored."""
    targets = {table_folder(name): f"{CURRENT}/{table_folder(name)}" for name in tables}
    for name, target in targets.items():
        link = data_dir / name
        if not _points_at(link, target):
            _remove_restored(link)
            replace_link(link, target)
    for link in data_dir.glob("*.parquet"):
        if link.name not in targets and _points_at(link, f"{CURRENT}/{link.name}"):
            link.unlink()


def _points_at(link: Path, target: str) -> bool:
    return link.is_symlink() and str(link.readlink()) == target


def _remove_restored(link: Path) -> None:
    """Remove a folder of parts where the *link* to a table belongs.

    A program that copies folders may have put it there instead of the link.
    """
    if link.is_symlink() or not link.is_dir():
        return
    if not all(_PART.fullmatch(entry.name) for entry in link.iterdir()):
        raise FileExistsError(
            errno.EEXIST, f"{link.name} is a folder with files of others, move it away"
        )
    shutil.rmtree(link)


_PART: Final = re.compile(r"part-\d+\.parquet")


def _remove_leftovers(data_dir: Path) -> None:
    """Remove what a killed run built but did not publish."""
    remove_unfinished(data_dir)
    _link_restored(data_dir)
    snapshots = data_dir / SNAPSHOTS
    for staged in snapshots.glob(f"{_STAGED}*"):
        if ID_PATTERN.fullmatch(staged.name.removeprefix(_STAGED)):
            shutil.rmtree(staged)
    current = _current_id(data_dir)
    for name in kept_ids(data_dir):
        if current is None or name > current:
            shutil.rmtree(snapshots / name)


def _link_restored(data_dir: Path) -> None:
    """Make `current` a link again, if a copy of DATA_DIR has a folder in its place."""
    folder = data_dir / CURRENT
    if folder.is_symlink() or not folder.is_dir():
        return
    (data_dir / SNAPSHOTS).mkdir(exist_ok=True)
    try:
        id_ = snapshot.latest(data_dir).id
    except ReadModelMissing:
        id_ = datetime.now(UTC).strftime(ID_FORMAT)
    target = data_dir / SNAPSHOTS / id_
    if target.exists():
        shutil.rmtree(folder)
    else:
        folder.rename(target)
    replace_link(folder, f"{SNAPSHOTS}/{id_}")


def _current_id(data_dir: Path) -> str | None:
    try:
        return (data_dir / CURRENT).readlink().name
    except FileNotFoundError:
        return None


def remove_old_snapshots(data_dir: Path, now: datetime, retention: timedelta) -> None:
    """Remove the snapshots that are not kept, see `snapshot_retention`. Raises OSError."""
    instants = {instant_of(name): name for name in kept_ids(data_dir)}
    kept = kept_instants(instants, now, retention)
    current = _current_id(data_dir)
    for instant, name in instants.items():
        if instant not in kept and name != current:
            shutil.rmtree(data_dir / SNAPSHOTS / name)


def make_room(data_dir: Path, now: datetime, retention: timedelta) -> None:
    """Remove old snapshots before a new one is written, inside `exclusive_lock`.

    If there is less room than for all tables once more, and no history is to be kept,
    only the current one stays, as soon as no request can still be reading the others.
    """
    with storage_errors(data_dir):
        remove_old_snapshots(data_dir, now, retention)
        current = _current_id(data_dir)
        needed = sum(files.bytes for files in snapshot.table_files(data_dir).values())
        if current is None or shutil.disk_usage(data_dir).free > needed:
            return
        if retention <= KEEP_YOUNGER < now - instant_of(current):
            for name in kept_ids(data_dir):
                if name != current:
                    shutil.rmtree(data_dir / SNAPSHOTS / name)
