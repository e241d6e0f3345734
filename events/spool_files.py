"""The files of the spool: their names, and which of them are still to be taken.

    SPOOL_DIR/20261121T231000123456-5f2c9a1b.000000000001.v2.jsonl

A name is the collector's instance, the number of the file and the format. An instance
is one process: it writes its files one after the other, and no other process has its
name. A file is written under a hidden name and renamed when it is complete and on the
disk, so a visible file never changes.
"""

import hashlib
import os
import secrets
from collections.abc import Iterable, Mapping
from datetime import datetime
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


class SpoolFile(NamedTuple):
    """A complete file; files of one instance are in the order of their names."""

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
    """The complete files of *folder*, by instance and number. Raises OSError."""
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(SUFFIXES) and not entry.name.startswith(HIDDEN):
                try:
                    status = entry.stat()
                except FileNotFoundError:  # taken and removed meanwhile
                    continue
                instance = entry.name.partition(".")[0]
                found.append(
                    SpoolFile(instance, entry.name, status.st_size, status.st_mtime)
                )
    return sorted(found)


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
