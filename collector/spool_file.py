"""A file of the spool that is being written.

It gets its name when its first commit is on the disk. Further commits are appended while
it is locked, and whoever reads it waits for its end: an unlocked file never changes. When
a process is killed, the system unlocks its file.
"""

import errno
import os
from contextlib import suppress
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from typing import Final, Self

from events.spool_files import HIDDEN, sync_folder

NO_LINKS: Final = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)
"""Errors of file systems that have no hard links."""

HAS_FLUSHING_WRITES: Final = hasattr(os, "RWF_DSYNC")
"""True on Linux: a write can also flush."""


class OpenSpoolFile:
    """Create it by `create`. If `is_locked` is False, it is complete with that."""

    def __init__(self, handle: int, size: int, *, is_locked: bool) -> None:
        self._handle = handle
        self._size = size
        self.is_locked = is_locked

    @classmethod
    def create(cls, folder: str, name: str, content: bytes) -> Self:
        """Write a new file and flush it to the disk; remove it after an error.

        Raises OSError; FileExistsError if another process has written it, or is about to.
        """
        # Strings: objects for paths take longer than the calls.
        hidden, file = f"{folder}/{HIDDEN}{name}", f"{folder}/{name}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        handle = os.open(hidden, flags, 0o666)
        written = [hidden]
        try:
            made = cls(handle, len(content), is_locked=_lock(handle))
            _write_whole(handle, content)
            os.fsync(handle)
            _make_visible(hidden, file)
            written.append(file)
            sync_folder(folder)
        except OSError:
            for path in written:
                _remove_quietly(path)
            os.close(handle)
            raise
        return made

    def append(self, content: bytes) -> None:
        """Append *content* and flush it to the disk; remove it after an error.

        Raises OSError; close the file then.
        """
        try:
            _write_flushed(self._handle, content)
        except OSError:
            with suppress(OSError):  # what is left was not acknowledged
                os.ftruncate(self._handle, self._size)
            raise
        self._size += len(content)

    def close(self) -> None:
        """Unlock the file: it is complete."""
        os.close(self._handle)


def _lock(handle: int) -> bool:
    """Lock a file, if the file system can do that."""
    try:
        flock(handle, LOCK_EX | LOCK_NB)
    except OSError:
        return False
    return True


def _remove_quietly(path: str) -> None:
    with suppress(OSError):
        os.unlink(path)  # noqa: PTH108 - as above


def _make_visible(hidden: str, file: str) -> None:
    """Rename *hidden* to *file*. Raises FileExistsError, where a rename would replace.

    Not every file system has links. The hidden name is ours alone meanwhile.
    """
    try:
        os.link(hidden, file)
        os.unlink(hidden)  # noqa: PTH108 - as above
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        if Path(file).exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from error
        Path(hidden).rename(file)


def _write_whole(handle: int, content: bytes | memoryview) -> None:
    """Write all of *content*: a disk that becomes full takes a part first."""
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(handle, rest) :]


def _write_flushed(handle: int, content: bytes) -> None:
    """Append all of *content* and flush it: by one call of the system, where it has one.

    After each call the thread waits for the interpreter's lock, while requests are being
    judged: that takes longer than the call.
    """
    rest = memoryview(content)
    try:
        while rest and HAS_FLUSHING_WRITES:
            rest = rest[os.pwritev(handle, [rest], 0, os.RWF_DSYNC) :]
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
    if rest:
        _write_whole(handle, rest)
        os.fsync(handle)
