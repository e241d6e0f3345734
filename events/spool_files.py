"""The files of the spool: their names, and which of them are still to be taken.

    SPOOL_DIR/20261121T231000123456-5f2c9a1b.000000000001.v2.jsonl

A name is the collector's instance, the number of the file and the format. An instance
is one process: it writes its files one after the other, and no other process has its
name. A file is written under a hidden name, which it loses when its first commit is on
the disk. Further commits are appended for a moment, while it is locked; an unlocked file
never changes.
"""

import hashlib
import os
import secrets
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from fcntl import LOCK_NB, LOCK_SH, flock
from pathlib import Path
from typing import Final, NamedTuple

SUFFIX: Final = ".v2.jsonl"
"""The format, see `column_lines` and `lines`."""

LINES_SUFFIX: Final = ".v1.jsonl"
"""The format of versions before this one: a line per event."""

SUFFIXES: Final = (LINES_SUFFIX, SUFFIX)
"""Files with other ones are left alone: a later version may have written them."""

HIDDEN: Final = "."
"""Prefix of a file that is not complete."""


PATIENCE: Final = timedelta(seconds=0.5)
"""How long to wait for the end of a file."""

POLL: Final = timedelta(seconds=0.005)


class SpoolFile(NamedTuple):
    """A visible file; files of one instance are in the order of their names."""

    instance: str
    name: str
    bytes: int
    modified_at: float
    """Seconds since 1970."""
    sha256: str | None = None
    """Of its content, if whoever listed it knows it."""


def new_instance(now: datetime) -> str:
    """A name that no other process has: the time, and 32 random bits."""
    return f"{now:%Y%m%dT%H%M%S%f}-{secrets.token_hex(4)}"


def file_name(instance: str, number: int, suffix: str = SUFFIX) -> str:
    """The name of the file *number* of *instance*; names sort like the numbers."""
    return f"{instance}.{number:012}{suffix}"


def list_files(folder: Path) -> list[SpoolFile]:
    """The files of *folder*, by instance and number. Raises OSError.

    The last one of an instance may still be written, see `complete_files`.
    """
    with os.scandir(folder) as entries:
        # All names first: of two files of an instance, the earlier one is complete then.
        found = [entry for entry in entries if _is_spool_file(entry.name)]
    files = []
    for entry in found:
        with suppress(FileNotFoundError):  # taken and removed meanwhile
            files.append(_spool_file(entry.name, entry.stat()))
    return sorted(files)


def _is_spool_file(name: str) -> bool:
    return name.endswith(SUFFIXES) and not name.startswith(HIDDEN)


def _spool_file(name: str, status: os.stat_result) -> SpoolFile:
    instance = name.partition(".")[0]
    return SpoolFile(instance, name, status.st_size, status.st_mtime)


def complete_files(folder: Path) -> tuple[list[SpoolFile], bool]:
    """The complete files of *folder*, and whether there are no others. Raises OSError.

    A collector appends to a file for a moment only, for which this waits: so the files
    have all that was acknowledged before the call.
    """
    until = time.monotonic() + PATIENCE.total_seconds()
    files, awaited = _divided(folder)
    if not awaited:
        return files, True
    while awaited and time.monotonic() < until:
        time.sleep(POLL.total_seconds())
        awaited = [file for file in awaited if _complete(folder, file) is None]
    files, still_open = _divided(folder)
    return files, not still_open


def _divided(folder: Path) -> tuple[list[SpoolFile], list[SpoolFile]]:
    """The complete files, and those that are written now."""
    files = list_files(folder)
    last = {file.instance: file for file in files}
    states = {file.name: _complete(folder, file) for file in last.values()}
    found = [states.get(file.name, file) for file in files]
    complete = [file for file in found if file is not None]
    return complete, [file for file in last.values() if states[file.name] is None]


def _complete(folder: Path, file: SpoolFile) -> SpoolFile | None:
    """The *file* at its full size; None while it is written."""
    try:
        with (folder / file.name).open("rb") as stream:
            if _is_locked(stream.fileno()):
                return None
            return _spool_file(file.name, os.fstat(stream.fileno()))
    except OSError:  # removed meanwhile, or not ours to read: whoever reads it will see
        return file


def read_complete(path: Path) -> bytes | None:
    """The content of a file; None while it is written, or if there is none.

    Raises OSError.
    """
    try:
        with path.open("rb") as stream:
            return None if _is_locked(stream.fileno()) else path.read_bytes()
    except FileNotFoundError:
        return None


def _is_locked(handle: int) -> bool:
    """True if a collector appends to the file. Otherwise it cannot begin to."""
    try:
        flock(handle, LOCK_SH | LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # without locks, collectors do not append
        return False
    return False


def is_taken(file: SpoolFile, consumed: Mapping[str, str]) -> bool:
    """True if *consumed*, the last file taken per instance, includes *file*."""
    return file.name <= consumed.get(file.instance, "")


def advance(consumed: Mapping[str, str], taken: Iterable[SpoolFile]) -> dict[str, str]:
    """The last file per instance after *taken*."""
    last = dict(consumed)
    for file in taken:
        last[file.instance] = max(file.name, last.get(file.instance, ""))
    return last


def checksum(content: bytes) -> str:
    """SHA-256 of the *content* of a file, as hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def sync_folder(folder: Path | str) -> None:
    """Flush the entries of *folder* to the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
