"""A folder as the storage of a replica, such as a mounted network drive."""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Final
from uuid import uuid4

from readmodel.replica.storage import ListedObject, ObjectVersion, StoredObject
from readmodel.store.damage import open_regular, read_file
from readmodel.sync.disk import sync_folder, write_synced
from util.errors import ObjectMissing, ReplicaError

LOCK: Final = ".lock"
_CHUNK_BYTES: Final = 1 << 20


class FolderStorage:
    """Objects as files below a folder, flushed to the disk. See `ObjectStorage`."""

    def __init__(self, root: Path) -> None:
        """The folder must exist when it is used: a drive may not be mounted."""
        self._root = root

    def read(self, name: str, most_bytes: int) -> StoredObject:
        """Read a file."""
        self._require_root()
        with self._errors(name):
            content = read_file(self._root / name, most_bytes)
        return StoredObject(content, _version(content))

    def fetch(self, name: str, write: Callable[[bytes], object]) -> None:
        """Read a file in pieces."""
        with self._errors(name), open_regular(self._root / name) as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                write(chunk)

    def upload(self, name: str, file: Path) -> None:
        """Copy a file."""
        with (
            open_regular(file) as source,
            self._replacing(name) as unfinished,
            unfinished.open("wb") as target,
        ):
            shutil.copyfileobj(source, target, _CHUNK_BYTES)
            target.flush()
            os.fsync(target.fileno())

    def put(self, name: str, content: bytes) -> None:
        """Write a file."""
        with self._replacing(name) as unfinished:
            write_synced(unfinished, content)

    def swap(self, name: str, content: bytes, known: ObjectVersion | None) -> bool:
        """Compare and write a file, alone among the processes that do this."""
        with self._errors(name), self._locked():
            try:
                found = _version((self._root / name).read_bytes())
            except FileNotFoundError:
                found = None
            if found != known:
                return False
            self.put(name, content)
        return True

    def size(self, name: str) -> int | None:
        """The size of a file."""
        with self._errors(name), suppress(FileNotFoundError):
            return (self._root / name).stat().st_size
        return None

    def listed(self, prefix: str) -> Iterator[ListedObject]:
        """All files, also those that a killed writer left unfinished."""
        with self._errors(prefix):
            for folder, _, files in os.walk(self._root / prefix):
                for file in files:
                    path = Path(folder, file)
                    with suppress(FileNotFoundError):
                        modified = datetime.fromtimestamp(path.stat().st_mtime, UTC)
                        name = path.relative_to(self._root).as_posix()
                        yield ListedObject(name, modified)

    def delete(self, names: Sequence[str]) -> None:
        """Remove files, and folders that become empty."""
        with self._errors("files"):
            for name in names:
                path = self._root / name
                path.unlink(missing_ok=True)
                with suppress(OSError):
                    path.parent.rmdir()

    def close(self) -> None:
        """Nothing is open."""

    @contextmanager
    def _replacing(self, name: str) -> Iterator[Path]:
        """Yield a path beside that of *name*, and rename what is written there."""
        path = self._root / name
        with self._errors(name):
            self._require_root()
            path.parent.mkdir(parents=True, exist_ok=True)
            unfinished = path.with_name(f".{path.name}.{uuid4().hex}")
            try:
                yield unfinished
                unfinished.replace(path)
            finally:
                unfinished.unlink(missing_ok=True)
            sync_folder(path.parent)

    def _require_root(self) -> None:
        if not self._root.is_dir():
            raise ReplicaError(
                f"The folder {self._root} of REPLICA_URL does not exist: create it, or "
                "mount its drive"
            )

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._require_root()
        handle = os.open(
            self._root / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644
        )
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    @contextmanager
    def _errors(self, name: str) -> Iterator[None]:
        """Turn every OSError into a ReplicaError that names the folder and the reason."""
        try:
            yield
        except FileNotFoundError as error:
            raise ObjectMissing(f"{self._root}/{name} does not exist") from error
        except OSError as error:
            raise ReplicaError(
                f"{self._root}/{name} cannot be used: {error.strerror or error}"
            ) from error


def _version(content: bytes) -> ObjectVersion:
    return ObjectVersion(sha256(content).hexdigest())
