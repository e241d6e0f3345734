"""Write files so that a crash or a full disk leaves the old file or the new one."""

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from readmodel.store import snapshot
from util.errors import StorageError


@contextmanager
def storage_errors(data_dir: Path) -> Iterator[None]:
    """Turn every OSError into a StorageError that names *data_dir* and the reason."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageError(_no_space(data_dir, error)) from error
        raise StorageError(
            f"DATA_DIR {data_dir} cannot be used: {error.strerror or error}; "
            "it must be a folder that this user can write to, with free space"
        ) from error


def _no_space(data_dir: Path, error: OSError) -> str:
    """How much is free and how much is missing, if everything is written again."""
    free = shutil.disk_usage(data_dir).free
    needed = sum(files.bytes for files in snapshot.table_files(data_dir).values())
    missing = max(needed - free, 2**20)
    return (
        f"DATA_DIR {data_dir} is full ({error.strerror}): {free / 2**20:,.0f} MB are "
        f"free; make room for {missing / 2**20:,.0f} MB more"
    )


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
        if path.is_dir() and not path.is_symlink():
            path.rmdir()  # an empty one; the files of others stay
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


_UNFINISHED: Final = re.compile(
    r"\.(current|.+\.parquet|.+\.(claim|outcome)\.json)\.part|\.link-.+"
)
"""Files of ours with this ending. The last form is how earlier builds named unfinished links."""


def remove_unfinished(folder: Path) -> None:
    """Remove what `replacing` left in *folder* when its process was killed."""
    for path in folder.iterdir():
        if _UNFINISHED.fullmatch(path.name) and (path.is_symlink() or path.is_file()):
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
