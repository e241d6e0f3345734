"""Upload the current snapshot: new files, then its inventory, last the pointer.

The pointer is replaced by a write that fails if another one came before, and only if the
replica's present snapshot came from this DATA_DIR: a replica has one line of snapshots,
and two writers cannot interleave. Killed anywhere, the replica is as it was or has the
snapshot, and the next upload continues.
"""

import errno
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Final
from uuid import uuid4

from readmodel.replica.layout import (
    OBJECTS,
    POINTER,
    Inventory,
    Pointer,
    StoredFile,
    encode_inventory,
    encode_pointer,
    file_object,
    hash_of,
    inventory_object,
)
from readmodel.replica.storage import ObjectStorage, ObjectVersion
from readmodel.replica.transfer import (
    checksums,
    identity,
    log_contents,
    read_inventory,
    read_pointer,
    replica_lock,
    snapshot_files,
    utc_now,
    write_state,
)
from readmodel.store import snapshot
from readmodel.store.damage import read_file
from readmodel.store.history import instant_of
from readmodel.store.manifest import Manifest
from readmodel.store.replica_state import ReplicaState, read_state
from readmodel.store.snapshot import (
    MANIFEST,
    MANIFEST_COPY,
    MOST_MANIFEST_BYTES,
    Snapshot,
)
from readmodel.sync.snapshot_retention import kept_instants
from util.errors import (
    ObjectMissing,
    ReplicaConflict,
    ReplicaDamaged,
    ReplicaError,
)

ATTEMPTS: Final = 3
"""An uploaded snapshot may be removed meanwhile, since newer ones were published."""


@dataclass(frozen=True, slots=True)
class UploadReport:
    """What an upload sent: files and bytes, of which *snapshot*."""

    snapshot: str
    files: int
    bytes: int
    seconds: float


class _SnapshotGone(Exception):
    """A file vanished while it was read, as a newer snapshot was published."""


def upload(
    data_dir: Path,
    storage: ObjectStorage,
    url: str,
    retention: timedelta,
    now: Callable[[], datetime] = utc_now,
) -> UploadReport | None:
    """Bring the replica at *url* up to the current snapshot of *data_dir*.

    Snapshots in the replica are kept for *retention*, thinned out. None if there is
    nothing to do. Raises ReplicaError, ReplicaConflict if another updater wrote the
    replica, and StorageError.
    """
    if _is_done(data_dir, url):
        return None
    with replica_lock(data_dir):
        for attempt in range(ATTEMPTS):
            current = _current(data_dir)
            if current is None:
                return None
            try:
                return _Upload(data_dir, storage, url, retention, now, current).run()
            except _SnapshotGone as error:
                if attempt == ATTEMPTS - 1 or _current(data_dir) == current:
                    raise ReplicaError(str(error)) from error
    raise AssertionError("unreachable")


def is_behind(data_dir: Path, url: str) -> bool:
    """True if the current snapshot of *data_dir* is not known to be in the replica."""
    return not _is_done(data_dir, url)


def _is_done(data_dir: Path, url: str) -> bool:
    state, current = read_state(data_dir), _current(data_dir)
    stored = state and (state.url, state.snapshot)
    return current is None or stored == (url, current.id)


def _current(data_dir: Path) -> Snapshot | None:
    """The current snapshot; None without a readable one."""
    found = snapshot.latest_readable(data_dir)
    return found if found and found.manifest else None


@dataclass(slots=True)
class _Upload:
    """One attempt to upload `snapshot`."""

    data_dir: Path
    storage: ObjectStorage
    url: str
    retention: timedelta
    now: Callable[[], datetime]
    snapshot: Snapshot
    sent_files: int = 0
    sent_bytes: int = 0
    known: dict[str, str] = field(default_factory=dict)

    def run(self) -> UploadReport | None:
        began = self.now()
        state = read_state(self.data_dir)
        if state is None or state.url != self.url:
            state = ReplicaState(self.url, "writer")
        pointer, version = read_pointer(self.storage)
        state = self._adopted(state, pointer)
        base = self._base(pointer)
        present = self._present(base, state)
        if pointer and base and self._is_there(base, present):
            self._identify(base)
            self._done(state, pointer.token, began)
            return None
        state = replace(state, next_token=state.next_token or uuid4().hex)
        write_state(self.data_dir, state)
        assert state.next_token is not None
        self._send(state, pointer, version, present, began)
        self._done(state, state.next_token, began)
        seconds = (self.now() - began).total_seconds()
        return UploadReport(self.snapshot.id, self.sent_files, self.sent_bytes, seconds)

    def _adopted(self, state: ReplicaState, pointer: Pointer | None) -> ReplicaState:
        """The state, if the replica's snapshot came from here. Raises ReplicaConflict."""
        if pointer is None or pointer.token == state.token:
            return state
        if pointer.token == state.next_token or self._has(pointer):
            return replace(state, token=pointer.token, next_token=None)
        raise ReplicaConflict(
            f"{self.url} was written by another updater: its snapshot "
            f"{pointer.current} did not come from {self.data_dir}; give each updater a "
            "REPLICA_URL of its own, or restore it into an empty DATA_DIR"
        )

    def _has(self, pointer: Pointer) -> bool:
        """True if the snapshot in the replica is one of this DATA_DIR, as after a copy."""
        folder = self.snapshot.path.parent / pointer.current
        if not folder.is_dir():
            return False
        inventory = read_inventory(self.storage, pointer, pointer.current)
        try:
            manifest = sha256(_manifest(folder)).hexdigest()
        except OSError:
            return False
        return inventory.files[MANIFEST].sha256 == manifest

    def _base(self, pointer: Pointer | None) -> Inventory | None:
        """The inventory of the replica's snapshot; None if somebody removed it."""
        if pointer is not None:
            with suppress(ObjectMissing, ReplicaDamaged):
                return read_inventory(self.storage, pointer, pointer.current)
        return None

    def _present(
        self, base: Inventory | None, state: ReplicaState
    ) -> Mapping[str, str]:
        """The objects of the replica's snapshot by their hashes.

        They are listed if this host has not uploaded before, or some were missing.
        """
        names = set(base.objects()) if base else set()
        if names and state.snapshot is None:
            names &= {it.name for it in self.storage.listed(OBJECTS)}
        return {hash_of(name): name for name in names}

    def _is_there(self, base: Inventory, present: Mapping[str, str]) -> bool:
        """True if the replica has this snapshot, with all of its objects."""
        names = set(present.values())
        return base.snapshot == self.snapshot.id and names.issuperset(base.objects())

    def _send(
        self,
        state: ReplicaState,
        pointer: Pointer | None,
        version: ObjectVersion | None,
        present: Mapping[str, str],
        began: datetime,
    ) -> None:
        token = state.next_token
        assert token is not None
        inventory = self._inventory(state, present, token)
        content = encode_inventory(inventory)
        digest = sha256(content).hexdigest()
        self._put(inventory_object(inventory.snapshot, digest), content)
        following = self._pointer(pointer, digest, token, began)
        written = encode_pointer(following)
        if not self.storage.swap(POINTER, written, version):
            self._require_own(token)
        self.sent_bytes += len(written)

    def _require_own(self, token: str) -> None:
        """Raise ReplicaError unless the write had arrived, and only its answer was lost."""
        found, _ = read_pointer(self.storage)
        if found is None or (found.token, found.current) != (token, self.snapshot.id):
            raise ReplicaConflict(
                f"{self.url} was written by another updater at the same time; this "
                "snapshot is not in it"
            )

    def _inventory(
        self, state: ReplicaState, present: Mapping[str, str], token: str
    ) -> Inventory:
        """Upload what is not *present*, and list everything. Raises _SnapshotGone."""
        assert self.snapshot.manifest is not None
        sent = dict(present)
        try:
            manifest = self._content(_manifest(self.snapshot.path), sent, token)
            files = {MANIFEST: manifest}
            for path, record in snapshot_files(self.snapshot.manifest):
                file = self.snapshot.path / path
                files[path] = self._part(file, record.crc32, state, sent, token)
            logs = {
                name: self._content(content, sent, token)
                for name, content in log_contents(self.data_dir)
            }
        except FileNotFoundError as error:
            raise _SnapshotGone(
                f"{error.filename} is missing, so its snapshot is not uploaded"
            ) from error
        except OSError as error:
            raise ReplicaError(
                f"{error.filename} cannot be read: {error.strerror}"
            ) from error
        return Inventory(self.snapshot.id, files, logs)

    def _content(self, content: bytes, sent: dict[str, str], token: str) -> StoredFile:
        """Upload *content*, of a file that may be replaced at any time."""
        digest = sha256(content).hexdigest()
        if digest not in sent:
            sent[digest] = file_object(digest, token)
            self._put(sent[digest], content)
        return StoredFile(sent[digest], len(content))

    def _part(
        self,
        file: Path,
        crc32: int,
        state: ReplicaState,
        sent: dict[str, str],
        token: str,
    ) -> StoredFile:
        """Upload *file*, which never changes, unless its bytes are in the replica."""
        key, size = identity(file, crc32), file.stat().st_size
        digest = hash_of(state.objects.get(key, ""))
        if digest not in sent:
            digest, size = _checked(file, crc32)
        if digest not in sent:
            sent[digest] = self._upload(file_object(digest, token), file, size)
        self.known[key] = sent[digest]
        return StoredFile(sent[digest], size)

    def _upload(self, name: str, file: Path, size: int) -> str:
        """Send *file* as the object *name*, unless an earlier attempt did."""
        if self.storage.size(name) != size:
            self.storage.upload(name, file)
            self.sent_files += 1
            self.sent_bytes += size
            if self.storage.size(name) != size:
                raise ReplicaError(f"{self.url}/{name} did not arrive as a whole")
        return name

    def _put(self, name: str, content: bytes) -> None:
        self.storage.put(name, content)
        self.sent_bytes += len(content)

    def _pointer(
        self, before: Pointer | None, digest: str, token: str, now: datetime
    ) -> Pointer:
        """The next pointer, without snapshots that are no longer kept."""
        listed = {**(before.snapshots if before else {}), self.snapshot.id: digest}
        instants = {instant_of(name): name for name in listed}
        kept = {instants[at] for at in kept_instants(instants, now, self.retention)}
        kept.add(self.snapshot.id)
        snapshots = {name: listed[name] for name in sorted(kept)}
        return Pointer(token, self.snapshot.id, snapshots, now)

    def _identify(self, inventory: Inventory) -> None:
        """Remember the objects of the snapshot's files, which are in the replica."""
        assert self.snapshot.manifest is not None
        for path, record in snapshot_files(self.snapshot.manifest):
            file = self.snapshot.path / path
            if path in inventory.files and file.is_file():
                key = identity(file, record.crc32)
                self.known[key] = inventory.files[path].object

    def _done(self, state: ReplicaState, token: str, began: datetime) -> None:
        now = self.now()
        done = ReplicaState(
            self.url,
            "writer",
            token=token,
            snapshot=self.snapshot.id,
            at=now,
            bytes=self.sent_bytes,
            seconds=(now - began).total_seconds(),
            collected_at=state.collected_at,
            objects=self.known,
        )
        write_state(self.data_dir, done)


def _checked(file: Path, crc32: int) -> tuple[str, int]:
    """The hash and size of *file*. Raises ReplicaError if it is damaged."""
    found = checksums(file)
    if found.crc32 != crc32:
        raise ReplicaError(
            f"{file.parent.name}/{file.name} is damaged, so its snapshot is not "
            "uploaded: the next sync replaces it, unless it has events"
        )
    return found.sha256, found.bytes


def _manifest(folder: Path) -> bytes:
    """The bytes of the manifest in *folder*, or else of its copy. Raises OSError."""
    for name in (MANIFEST, MANIFEST_COPY):
        with suppress(OSError, ValueError):
            content = read_file(folder / name, MOST_MANIFEST_BYTES)
            Manifest.from_json(content)
            return content
    raise FileNotFoundError(errno.ENOENT, "no readable manifest", f"{folder}")
