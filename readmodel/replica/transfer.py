"""What uploading and downloading have in common: files of a snapshot, state, lock."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Final

from isal import isal_zlib

from readmodel.replica.layout import (
    MOST_INVENTORY_BYTES,
    MOST_POINTER_BYTES,
    POINTER,
    Inventory,
    Pointer,
    decode_inventory,
    decode_pointer,
)
from readmodel.replica.storage import ObjectStorage, ObjectVersion
from readmodel.store import report_ledger, run_log, view_log
from readmodel.store.damage import open_regular, read_file
from readmodel.store.manifest import Manifest, Part, SideFile, VisitsFile
from readmodel.store.replica_state import FILE, ReplicaState, encode_state
from readmodel.store.side_files import recorded_side_files
from readmodel.store.snapshot import table_folder
from readmodel.sync.disk import replacing, storage_errors, sync_folder, write_synced
from readmodel.sync.lock import process_lock
from util.errors import ObjectMissing, ReplicaBusy

LOCK: Final = "replica.lock"
_CHUNK_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Checksums:
    """Both checksums of a file: of the manifest, and of its name in the replica."""

    crc32: int
    sha256: str
    bytes: int


@contextmanager
def replica_lock(data_dir: Path) -> Iterator[None]:
    """Be the only process that transfers snapshots of *data_dir*.

    The system releases the lock when its process dies. Raises ReplicaBusy while
    another process has it, and StorageError.
    """
    busy = ReplicaBusy(
        f"Another process transfers snapshots of {data_dir}: let it finish first"
    )
    with process_lock(data_dir, LOCK, busy):
        yield


def snapshot_files(
    manifest: Manifest,
) -> Iterator[tuple[str, Part | SideFile | VisitsFile]]:
    """All parts and side files: paths below the snapshot's folder, and their record.

    Not the sorted activity: it would be sent whole, again and again.
    """
    for name, table in manifest.tables.items():
        for part in table.parts:
            path = Path(table_folder(name), part.file)
            yield path.as_posix(), part
            for side_file, record in recorded_side_files(part, path):
                yield side_file.as_posix(), record


def identity(file: Path, crc32: int) -> str:
    """What tells *file* from one that replaced it. Raises OSError."""
    status = file.stat()
    return f"{status.st_ino}-{status.st_size}-{status.st_mtime_ns}-{crc32}"


def checksums(file: Path) -> Checksums:
    """Read all of *file*. Raises OSError."""
    crc32, digest, size = 0, sha256(), 0
    with open_regular(file) as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            crc32 = isal_zlib.crc32(chunk, crc32)
            digest.update(chunk)
            size += len(chunk)
    return Checksums(crc32, digest.hexdigest(), size)


def log_contents(data_dir: Path) -> Iterator[tuple[str, bytes]]:
    """The files of *data_dir* that no snapshot has, but a replica, and their bytes.

    They are the logs, and the ledger of daily reports. Raises OSError.
    """
    names = [run_log.FILE, view_log.FILE]
    ledger = sorted((data_dir / report_ledger.FOLDER).glob("[!.]*.json"))
    names += [f"{report_ledger.FOLDER}/{file.name}" for file in ledger]
    for name in names:
        with suppress(FileNotFoundError):
            yield name, read_file(data_dir / name, view_log.MOST_BYTES)


def write_state(data_dir: Path, state: ReplicaState) -> None:
    """Replace the state of *data_dir*, flushed. Raises StorageError."""
    with storage_errors(data_dir):
        with replacing(data_dir / FILE) as unfinished:
            write_synced(unfinished, encode_state(state))
        sync_folder(data_dir)


def read_pointer(
    storage: ObjectStorage,
) -> tuple[Pointer | None, ObjectVersion | None]:
    """The pointer of a replica and its version; None without a replica."""
    with suppress(ObjectMissing):
        content, version = storage.read(POINTER, MOST_POINTER_BYTES)
        return decode_pointer(content), version
    return None, None


def read_inventory(
    storage: ObjectStorage, pointer: Pointer, snapshot: str
) -> Inventory:
    """The inventory of *snapshot*. Raises ReplicaError, ObjectMissing if it is gone."""
    name = pointer.inventory(snapshot)
    content = storage.read(name, MOST_INVENTORY_BYTES).content
    return decode_inventory(content, snapshot, pointer.snapshots[snapshot])


def utc_now() -> datetime:
    """The time."""
    return datetime.now(UTC)
