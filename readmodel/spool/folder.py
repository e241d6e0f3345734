"""Spools in folders: of this host, or of a storage that several hosts share."""

import os
from collections.abc import Collection, Iterator
from contextlib import suppress
from operator import attrgetter
from pathlib import Path
from typing import Final

from events.spool_files import (
    HIDDEN,
    SpoolFile,
    checksum,
    complete_files,
    read_complete,
    sync_folder,
)
from readmodel.spool.protocol import SpoolListing
from util.errors import SpoolError

NOT_OURS: Final = "lost+found"
"""A folder that file systems have at their top, which only root can read."""


def folder_spools(spool_dir: Path) -> list["FolderSpool"]:
    """The spools of SPOOL_DIR: the folder itself, and each folder in it.

    Collectors may share one spool, or each has a folder of its own in it.
    """
    return [FolderSpool(spool_dir), *map(FolderSpool, sorted(_folders(spool_dir)))]


def _folders(spool_dir: Path) -> Iterator[Path]:
    try:
        with os.scandir(spool_dir) as entries:
            for entry in entries:
                is_hidden = entry.name.startswith(HIDDEN)
                if not is_hidden and entry.name != NOT_OURS and entry.is_dir():
                    yield Path(entry)
    except OSError:
        return  # The listing of the folder itself reports it.


class FolderSpool:
    """The files of a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder: Final = folder

    @property
    def name(self) -> str:
        """See Spool."""
        return f"SPOOL_DIR {self.folder}"

    def listing(self) -> SpoolListing:
        """See Spool. There are no files if no collector has made the folder yet."""
        try:
            return SpoolListing(*complete_files(self.folder))
        except FileNotFoundError:
            return SpoolListing([])
        except OSError as error:
            raise self._failure(error) from error

    def checksum(self, file: SpoolFile) -> str | None:
        """See Spool."""
        content = self.content(file)
        return None if content is None else checksum(content)

    def content(self, file: SpoolFile) -> bytes | None:
        """See Spool."""
        try:
            return read_complete(self.folder / file.name)
        except OSError as error:
            raise self._failure(error) from error

    def remove(self, files: Collection[SpoolFile]) -> None:
        """See Spool. A visible file is never replaced, so its content is the same."""
        try:
            for file in sorted(files, key=attrgetter("name")):
                with suppress(FileNotFoundError):
                    (self.folder / file.name).unlink()
            sync_folder(self.folder)
        except OSError as error:
            raise self._failure(error) from error

    def _failure(self, error: OSError) -> SpoolError:
        return SpoolError(
            f"{self.name} cannot be used: {error.strerror or error}; it must be a "
            "folder in which this user can read and remove files"
        )
