"""Several demonstrations of one folder: the first prepares the files for the others."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from util.stopping import StopRequest


class FolderLock:
    """The lock of a folder: alone while it prepares files, then shared."""

    def __init__(self, file: IO[bytes], stop: StopRequest) -> None:
        self._file = file
        self.is_alone = self._try(fcntl.LOCK_EX)
        while not self.is_alone and not self._try(fcntl.LOCK_SH):
            stop.pause()  # another demonstration prepares the files

    def share(self) -> None:
        """Let others in: the files are ready."""
        fcntl.flock(self._file, fcntl.LOCK_SH)

    def _try(self, kind: int) -> bool:
        try:
            fcntl.flock(self._file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


@contextmanager
def folder_lock(folder: Path, stop: StopRequest) -> Iterator[FolderLock]:
    """Lock *folder*, which is created if it is missing. Raises OSError and Stopped."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("wb") as file:
        yield FolderLock(file, stop)
