"""Write files so that a crash or a full disk leaves the old file or the new one."""

import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from util.errors import StorageError

_CHUNK_BYTES = 1 << 20


@contextmanager
def storage_errors(data_dir: Path) -> Iterator[None]:
    """Turn every OSError into a StorageError that names *data_dir* and the reason."""
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"DATA_DIR {data_dir} cannot be used: {error.strerror or error}; "
            "it must be a folder that this user can write to, with free space"
        ) from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a hidden path beside *path*, and rename what is made there to *path*.

    The rename is atomic and replaces any file or link. After an error *path* is as it
    was and the hidden path is removed. A killed process may leave it behind:
    `remove_unfinished` clears it.
    """
    unfinished = path.with_name(f".{path.name}.part")
    unfinished.unlink(missing_ok=True)
    try:
        yield unfinished
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def remove_unfinished(folder: Path) -> None:
    """Remove what `replacing` left in *folder* when its process was killed."""
    # The second pattern is how earlier builds named unfinished links.
    for pattern in (".*.part", ".link-*"):
        for path in folder.glob(pattern):
            path.unlink()


def replace_link(link: Path, target: str) -> None:
    """Point *link* at *target* atomically, whatever was there before."""
    with replacing(link) as unfinished:
        unfinished.symlink_to(target)


def write_synced(path: Path, content: bytes | memoryview) -> None:
    """Write *content* to *path* and flush it to the disk."""
    with path.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def sync_folder(folder: Path) -> None:
    """Flush the entries of *folder* to the disk, so that renames in it survive a crash."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def checksum(file: Path) -> int:
    """CRC-32 of the bytes of *file*. Raises OSError when it cannot be read."""
    crc32 = 0
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            crc32 = zlib.crc32(chunk, crc32)
    return crc32
