"""The content of a snapshot as a name, by which another host finds the same files.

Parts are immutable, and snapshots share them: one in which only events were added has
the same content, as far as the statistics read it. Hosts that follow one replica have
different snapshots for some seconds after each sync, often with the same content.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from readmodel.store import snapshot
from readmodel.store.manifest import StoredTable
from readmodel.store.snapshot import ID_PATTERN, SNAPSHOTS, Snapshot
from readmodel.tables import TABLES
from util.errors import ReadModelMissing


@lru_cache(maxsize=64)
def content_of(opened: Snapshot) -> str | None:
    """A digest of the tables of the statistics: names, types, sizes and checksums.

    None if one is missing, and for plain files, which have no checksums.
    """
    stored = opened.manifest.tables if opened.manifest else {}
    if not all(name in stored for name in TABLES):
        return None
    described = [[name, *_describe(stored[name])] for name in TABLES]
    return hashlib.sha256(json.dumps(described).encode()).hexdigest()


def _describe(table: StoredTable) -> Iterator[object]:
    yield list(table.columns.items())
    for part in table.parts:
        yield part.file, part.rows, part.bytes, part.crc32
        for side_file in (part.visits, part.tallies, part.quarters):
            yield side_file and (side_file.bytes, side_file.crc32, side_file.version)


def portable(opened: Snapshot) -> Snapshot | None:
    """*opened* with plans that name its files below a folder called by the content.

    None without a content.
    """
    content = content_of(opened)
    return replace(opened, scan_folder=content) if content else None


def current_content(data_dir: Path) -> str | None:
    """The content of the current snapshot of *data_dir*; None without one."""
    with suppress(ReadModelMissing, OSError):
        return content_of(snapshot.latest(data_dir))
    return None


class HeldContents:
    """The contents of the snapshots in one DATA_DIR."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._known: dict[Path, str | None] = {}

    def find(self, content: str) -> Snapshot | None:
        """A snapshot with *content*: the current one, or else the newest."""
        with suppress(ReadModelMissing, OSError):
            current = snapshot.latest(self._data_dir)
            if content_of(current) == content:
                return current
        folders = self._folders()
        self._known = {f: self._known[f] for f in folders if f in self._known}
        for folder in folders:
            if folder not in self._known:
                self._known[folder] = _content_in(folder)
            if self._known[folder] == content:
                with suppress(ReadModelMissing):
                    return snapshot.open_snapshot(os.path.realpath(folder))
        return None

    def _folders(self) -> list[Path]:
        """All snapshots, newest first; without their content, which never changes."""
        try:
            found = list((self._data_dir / SNAPSHOTS).iterdir())
        except OSError:
            return []
        return sorted((f for f in found if ID_PATTERN.fullmatch(f.name)), reverse=True)


def _content_in(folder: Path) -> str | None:
    try:
        return content_of(snapshot.open_snapshot(os.path.realpath(folder)))
    except ReadModelMissing:
        return None
