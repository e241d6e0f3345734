"""The spool as an updater on another host sees it: listed, read, acknowledged.

Files are removed only by name and checksum, so an acknowledgement that is repeated, late
or meant for another collector removes nothing that was not stored.
"""

import re
import threading
import time
from bisect import bisect_right
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from operator import attrgetter
from pathlib import Path
from typing import Final

from events.spool_files import (
    SpoolFile,
    checksum,
    complete_files,
    read_complete,
    sync_folder,
)
from events.spool_transfer import (
    FILE_NAME,
    MOST_FILES,
    AcknowledgementResult,
    OfferedFile,
    SpoolPage,
    StoredSpoolFile,
)

PAGE_SECONDS: Final = 1.0
"""For the checksums of one page, so that whoever asks need not wait for long."""


class OfferedSpool:
    """The complete files of *folder*. Every method blocks, and raises OSError."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._checksums: dict[str, str] = {}
        # While files are removed none are listed: what a listing lacks is gone for good.
        self._lock = threading.Lock()

    def page(self, after: str = "", most: int = MOST_FILES) -> SpoolPage:
        """At most *most* files whose names come after *after*; fewer on a slow disk."""
        with self._lock:
            complete, _ = complete_files(self._folder)
            files = [file for file in complete if re.match(FILE_NAME, file.name)]
            start = bisect_right(files, after, key=attrgetter("name"))
            self._forget_others(files)
            offered = self._offer(files[start : start + most])
            return SpoolPage(
                files=offered,
                more=len(files) > start + len(offered),
                waiting_files=len(files),
                waiting_bytes=sum(file.bytes for file in files),
                oldest_at=min((file.modified_at for file in files), default=None),
            )

    def contents(self, names: Sequence[str]) -> bytes | None:
        """The bytes of files, one after the other; None if one is not there."""
        found = [self._content(name) for name in names]
        return None if None in found else b"".join(filter(None, found))

    def _content(self, name: str) -> bytes | None:
        return read_complete(self._folder / name)

    def acknowledge(self, files: Sequence[StoredSpoolFile]) -> AcknowledgementResult:
        """Remove *files*, those that have this content, and flush that to the disk."""
        removed, differing = 0, []
        with self._lock, ExitStack() as at_end:
            at_end.callback(sync_folder, self._folder)
            for file in sorted(files, key=attrgetter("name")):
                content = self._content(file.name)
                if content is None:
                    continue
                if checksum(content) != file.sha256:
                    differing.append(file.name)
                    continue
                (self._folder / file.name).unlink(missing_ok=True)
                removed += 1
        missing = len(files) - removed - len(differing)
        return AcknowledgementResult(
            removed=removed, missing=missing, differing=differing
        )

    def _offer(self, files: Sequence[SpoolFile]) -> list[OfferedFile]:
        """The first of *files*: as many as are read in PAGE_SECONDS, at least one."""
        until = time.monotonic() + PAGE_SECONDS
        offered: list[OfferedFile] = []
        for file in files:
            if offered and time.monotonic() > until:
                break
            offered.append(self._offered(file))
        return offered

    def _offered(self, file: SpoolFile) -> OfferedFile:
        with suppress(OSError):  # one bad block must not hold back the other files
            if file.name not in self._checksums:
                content = self._content(file.name)
                if content is not None:
                    self._checksums[file.name] = checksum(content)
        return OfferedFile(
            name=file.name,
            bytes=file.bytes,
            sha256=self._checksums.get(file.name),
            written_at=file.modified_at,
        )

    def _forget_others(self, files: Sequence[SpoolFile]) -> None:
        present = {file.name for file in files}
        for name in self._checksums.keys() - present:
            del self._checksums[name]
