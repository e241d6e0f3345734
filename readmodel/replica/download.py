"""Follow a replica, or restore from it: download what is new, link the rest, publish.

Files are downloaded into a folder beside the snapshots, named by their hash. They are
linked into a staged snapshot, and `current` moves to it as after a sync. Killed anywhere,
DATA_DIR has the snapshot before or the next one, and what was downloaded is not fetched
again.
"""

import os
import re
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, Final, Literal

from readmodel.replica.layout import Inventory, Pointer, StoredFile, hash_of
from readmodel.replica.storage import ObjectStorage
from readmodel.replica.transfer import (
    checksums,
    identity,
    read_inventory,
    read_pointer,
    replica_lock,
    snapshot_files,
    utc_now,
    write_state,
)
from readmodel.store import report_ledger, run_log, snapshot, view_log
from readmodel.store.damage import read_file
from readmodel.store.history import instant_of
from readmodel.store.manifest import Manifest
from readmodel.store.replica_state import ReplicaState, read_state
from readmodel.store.snapshot import (
    CURRENT,
    ID_FORMAT,
    MANIFEST,
    MOST_MANIFEST_BYTES,
    SNAPSHOTS,
)
from readmodel.sync.delta_log import write_delta_logs
from readmodel.sync.disk import replacing, storage_errors, sync_folder
from readmodel.sync.event_publish import has_plain_files
from readmodel.sync.lock import exclusive_lock
from readmodel.sync.publish import publish_folder, seal_folder, staged_folder
from readmodel.sync.sampling import sample
from readmodel.sync.snapshot_removal import remove_old_snapshots
from readmodel.sync.snapshot_retention import kept_instants
from util.errors import (
    ObjectMissing,
    ReadModelMissing,
    ReplicaConflict,
    ReplicaError,
)

DOWNLOADS: Final = ".replica"
"""Folder in DATA_DIR for files that are not yet in a snapshot."""

ATTEMPTS: Final = 3
"""A snapshot may be removed while it is downloaded; then the newest one is."""


@dataclass(frozen=True, slots=True)
class DownloadReport:
    """What was downloaded: files and bytes, for which *snapshot*."""

    snapshot: str
    files: int
    bytes: int
    seconds: float


def follow(
    data_dir: Path,
    storage: ObjectStorage,
    url: str,
    retention: timedelta,
    now: Callable[[], datetime] = utc_now,
    *,
    delta_logs: bool = False,
) -> DownloadReport | None:
    """Make the replica's current snapshot that of *data_dir*; None if it is already.

    Earlier snapshots stay for *retention*, as after a sync; see `delta_log` for the logs.
    Raises ReplicaError,
    ReplicaConflict if *data_dir* has snapshots of another origin, and StorageError.
    """
    with replica_lock(data_dir):
        for attempt in range(ATTEMPTS):
            pointer = _pointer(storage, url)
            if pointer.current == _current_id(data_dir):
                _require_follower(data_dir, url)
                _forget_failure(data_dir)
                return None
            try:
                download = _Download(data_dir, storage, url, now, delta_logs)
                return download.follow(pointer, retention)
            except ObjectMissing:
                if attempt == ATTEMPTS - 1:
                    raise
    raise AssertionError("unreachable")


def restore(
    data_dir: Path,
    storage: ObjectStorage,
    url: str,
    retention: timedelta,
    as_of: datetime | None = None,
    now: Callable[[], datetime] = utc_now,
) -> DownloadReport:
    """Fill the empty *data_dir* with the snapshot at *as_of*, by default the last one.

    Earlier ones come along as far as *retention* keeps them. Raises ReplicaError,
    ReplicaConflict if there is a snapshot already, and StorageError.
    """
    with replica_lock(data_dir):
        _require_empty(data_dir)
        pointer = _pointer(storage, url)
        target = _snapshot_at(pointer, as_of)
        return _Download(data_dir, storage, url, now).restore(
            pointer, target, retention
        )


def _pointer(storage: ObjectStorage, url: str) -> Pointer:
    pointer, _ = read_pointer(storage)
    if pointer is None:
        raise ReplicaError(f"There is no replica at {url} yet")
    return pointer


def _snapshot_at(pointer: Pointer, as_of: datetime | None) -> str:
    """The last snapshot at *as_of*. Raises ReplicaError if none is kept."""
    if as_of is None:
        return pointer.current
    earlier = [name for name in pointer.snapshots if instant_of(name) <= as_of]
    if not earlier:
        oldest = instant_of(min(pointer.snapshots))
        raise ReplicaError(
            f"The replica has no snapshot of {as_of.isoformat()}: the oldest one is of "
            f"{oldest.isoformat()}"
        )
    return max(earlier)


def _current_id(data_dir: Path) -> str | None:
    """The id of the current snapshot; None without one."""
    try:
        return snapshot.latest(data_dir).id if (data_dir / CURRENT).exists() else None
    except ReadModelMissing:
        return None


def _require_empty(data_dir: Path) -> None:
    if os.path.lexists(data_dir / CURRENT) or has_plain_files(data_dir):
        raise ReplicaConflict(
            f"DATA_DIR {data_dir} has a read model: restore into an empty folder, or "
            f"remove {CURRENT} and {SNAPSHOTS} to give it up"
        )


def _require_follower(data_dir: Path, url: str) -> None:
    """Raise ReplicaConflict if the current snapshot did not come from the replica."""
    if not os.path.lexists(data_dir / CURRENT) and not has_plain_files(data_dir):
        return
    state = read_state(data_dir)
    current = _linked_id(data_dir)
    if (
        state is None
        or (state.role, state.url) != ("follower", url)
        or current not in (state.snapshot, state.previous)
    ):
        raise ReplicaConflict(
            f"DATA_DIR {data_dir} has a read model that did not come from {url}: "
            "follow it into a folder of its own"
        )


def _forget_failure(data_dir: Path) -> None:
    state = read_state(data_dir)
    if state and state.failed_because:
        write_state(data_dir, replace(state, failing_since=None, failed_because=None))


def _linked_id(data_dir: Path) -> str | None:
    try:
        return (data_dir / CURRENT).readlink().name
    except OSError:
        return None


@dataclass(frozen=True, slots=True)
class _Fetched:
    """A snapshot whose files are all on this disk.

    `sources` are where they are, by their paths in it, and `logs` by those in DATA_DIR.
    """

    id: str
    content: bytes
    manifest: Manifest
    inventory: Inventory
    sources: Mapping[str, Path]
    logs: Mapping[str, Path]


@dataclass(slots=True)
class _Download:
    """Snapshots on their way into DATA_DIR."""

    data_dir: Path
    storage: ObjectStorage
    url: str
    now: Callable[[], datetime]
    delta_logs: bool = False
    files: int = 0
    bytes: int = 0
    linkable: dict[str, Path] = field(default_factory=dict)

    def follow(self, pointer: Pointer, retention: timedelta) -> DownloadReport:
        """Download and publish the current snapshot of *pointer*."""
        began = self.now()
        _require_follower(self.data_dir, self.url)
        state = read_state(self.data_dir) or ReplicaState(self.url, "follower")
        write_state(self.data_dir, replace(state, newest=pointer.current))
        self._find_linkable(state)
        fetched = self._fetch(pointer, [pointer.current])
        with exclusive_lock(self.data_dir):
            _require_follower(self.data_dir, self.url)
            self._publish(fetched, pointer, "follower", began, retention)
        return self._report(pointer.current, began)

    def restore(
        self, pointer: Pointer, target: str, retention: timedelta
    ) -> DownloadReport:
        """Download and publish *target*, and those before it that are to be kept."""
        began = self.now()
        instants = [instant_of(name) for name in pointer.snapshots if name <= target]
        kept = kept_instants(instants, instant_of(target), retention)
        names = sorted(f"{instant:{ID_FORMAT}}" for instant in kept)
        fetched = self._fetch(pointer, names)
        with exclusive_lock(self.data_dir):
            _require_empty(self.data_dir)
            self._publish(fetched, pointer, "writer", began, retention)
        return self._report(target, began)

    def _report(self, name: str, began: datetime) -> DownloadReport:
        seconds = (self.now() - began).total_seconds()
        return DownloadReport(name, self.files, self.bytes, seconds)

    def _find_linkable(self, state: ReplicaState) -> None:
        """Find the files of the current snapshot whose objects are known."""
        current = snapshot.latest_readable(self.data_dir)
        if current is None or current.manifest is None:
            return
        for path, record in snapshot_files(current.manifest):
            with suppress(OSError):
                key = identity(current.path / path, record.crc32)
                if name := state.objects.get(key):
                    self.linkable[hash_of(name)] = current.path / path

    def _fetch(self, pointer: Pointer, names: Sequence[str]) -> list[_Fetched]:
        """Bring every file of these snapshots to this disk."""
        found = [read_inventory(self.storage, pointer, name) for name in names]
        self._tidy({hash_of(name) for it in found for name in it.objects()})
        return [self._fetch_one(inventory) for inventory in found]

    def _fetch_one(self, inventory: Inventory) -> _Fetched:
        name = inventory.snapshot
        try:
            manifest_file = self._downloaded(inventory.files[MANIFEST])
            content = read_file(manifest_file, MOST_MANIFEST_BYTES)
            manifest = Manifest.from_json(content)
            files = {it: inventory.files[it] for it, _ in snapshot_files(manifest)}
        except (KeyError, ValueError) as error:
            raise ReplicaError(
                f"Snapshot {name} in the replica is of a later version: upgrade this host"
            ) from error
        is_sampled = sample(name, sum(it.bytes for it in files.values()))
        sources = {
            path: self._source(it, is_sampled(path)) for path, it in files.items()
        }
        logs = {
            log: self._downloaded(it)
            for log, it in inventory.logs.items()
            if _LOG.fullmatch(log) and not self._has_log(log, it)
        }
        return _Fetched(name, content, manifest, inventory, sources, logs)

    def _tidy(self, needed: Collection[str]) -> None:
        """Remove downloads for snapshots that are no longer wanted."""
        folder = self.data_dir / DOWNLOADS
        with storage_errors(self.data_dir):
            folder.mkdir(exist_ok=True)
            for file in folder.iterdir():
                if file.name not in needed:
                    file.unlink()

    def _has_log(self, name: str, stored: StoredFile) -> bool:
        try:
            return checksums(self.data_dir / name).sha256 == stored.sha256
        except OSError:
            return False

    def _source(self, stored: StoredFile, is_sampled: bool) -> Path:
        """A file with these bytes: one of the last snapshot, or downloaded."""
        local = self.linkable.get(stored.sha256)
        if local is None or (is_sampled and checksums(local).sha256 != stored.sha256):
            return self._downloaded(stored)
        return local

    def _downloaded(self, stored: StoredFile) -> Path:
        """Download a file, unless an earlier attempt did; checks its hash."""
        file = self.data_dir / DOWNLOADS / stored.sha256
        with storage_errors(self.data_dir):
            # It got its name after its hash was compared and its bytes were flushed.
            if file.is_file() and file.stat().st_size == stored.bytes:
                return file
            with replacing(file) as unfinished, unfinished.open("wb") as stream:
                self._receive(stored, stream)
        self.files += 1
        self.bytes += stored.bytes
        return file

    def _receive(self, stored: StoredFile, stream: BinaryIO) -> None:
        """Write the object's bytes. Raises ReplicaError if they are others."""
        digest, size = sha256(), 0

        def write(piece: bytes) -> None:
            nonlocal size
            size += len(piece)
            if size > stored.bytes:
                raise ReplicaError(f"{stored.object} in the replica is too long")
            digest.update(piece)
            with storage_errors(self.data_dir):
                stream.write(piece)

        self.storage.fetch(stored.object, write)
        if digest.hexdigest() != stored.sha256:
            raise ReplicaError(
                f"{stored.object} in the replica is damaged: its checksum differs"
            )
        stream.flush()
        os.fsync(stream.fileno())

    def _publish(
        self,
        fetched: Sequence[_Fetched],
        pointer: Pointer,
        role: Literal["writer", "follower"],
        began: datetime,
        retention: timedelta,
    ) -> None:
        """Stage all, then make the last one current. Inside `exclusive_lock`."""
        *earlier, last = fetched
        staged: list[Path] = []
        try:
            with storage_errors(self.data_dir):
                staged.extend(self._stage(it) for it in fetched)
                self._write_logs(last)
                state = self._state(last, staged[-1], pointer, role, began)
                write_state(self.data_dir, state)
                # All of it is linked; after the swap nobody would come back for it.
                shutil.rmtree(self.data_dir / DOWNLOADS)
                # A killed follower may have left one, if the writer's clock was set back.
                shutil.rmtree(self.data_dir / SNAPSHOTS / last.id, ignore_errors=True)
                for it, folder in zip(earlier, staged, strict=False):
                    folder.rename(self.data_dir / SNAPSHOTS / it.id)
                publish_folder(self.data_dir, staged[-1], last.id, last.manifest.tables)
                remove_old_snapshots(self.data_dir, instant_of(last.id), retention)
        finally:
            for folder in staged:
                shutil.rmtree(folder, ignore_errors=True)

    def _stage(self, fetched: _Fetched) -> Path:
        """Link all files of a snapshot into a hidden folder, flushed."""
        folder = staged_folder(self.data_dir, fetched.id)
        folder.mkdir(parents=True)
        for path, source in fetched.sources.items():
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).hardlink_to(source)
        if self.delta_logs:
            write_delta_logs(folder, fetched.id, fetched.manifest.tables)
        seal_folder(folder, fetched.content)
        return folder

    def _write_logs(self, fetched: _Fetched) -> None:
        for name, source in fetched.logs.items():
            file = self.data_dir / name
            file.parent.mkdir(exist_ok=True)
            with replacing(file) as unfinished:
                unfinished.hardlink_to(source)
            sync_folder(file.parent)

    def _state(
        self,
        last: _Fetched,
        folder: Path,
        pointer: Pointer,
        role: Literal["writer", "follower"],
        began: datetime,
    ) -> ReplicaState:
        """The state after *last* is published from *folder*."""
        now = self.now()
        objects = {
            identity(folder / path, record.crc32): last.inventory.files[path].object
            for path, record in snapshot_files(last.manifest)
        }
        return ReplicaState(
            self.url,
            role,
            token=pointer.token,
            snapshot=last.id,
            previous=_linked_id(self.data_dir),
            newest=last.id,
            at=now,
            bytes=self.bytes,
            seconds=(now - began).total_seconds(),
            objects=objects,
        )


_LOG: Final = re.compile(
    rf"{re.escape(run_log.FILE)}|{re.escape(view_log.FILE)}|"
    rf"{report_ledger.FOLDER}/\d{{4}}-\d\d-\d\d\.[1-9]\d{{0,3}}\.(claim|outcome)\.json"
)
"""Files of DATA_DIR that a replica may replace."""
