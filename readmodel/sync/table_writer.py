"""Write the parts of a table, and their side files, into a staged snapshot."""

import io
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

import polars as pl
from isal.isal_zlib import crc32

from readmodel.store.damage import PARSE_ERRORS
from readmodel.store.manifest import (
    Part,
    SideFile,
    SourceMark,
    StoredTable,
    VisitsFile,
)
from readmodel.store.side_files import KINDS, SideFileKind
from readmodel.store.snapshot import table_folder
from readmodel.sync.disk import storage_errors, write_synced

# How parts are written, for the statistics that read them.
ROW_GROUP_ROWS: Final = 131_072
COMPRESSION: Final[Literal["lz4", "zstd"]] = "zstd"
COMPRESSION_LEVEL: Final = 1
"""Level 3 takes a third longer to write, a tenth longer to read, and a ninth less room."""


class TableWriter:
    """One table of the next snapshot: collects its parts, in key order.

    `SnapshotWriter.table` makes it. Every method raises StorageError when the disk
    refuses.
    """

    def __init__(
        self,
        data_dir: Path,
        staged: Path,
        name: str,
        columns: Mapping[str, str],
        *,
        taken_at: datetime,
        changed_at: datetime,
    ) -> None:
        """Create the folder of the table *name* in the folder *staged* of *data_dir*.

        *taken_at* is the snapshot's instant.
        """
        self._data_dir = data_dir
        self._taken_at = taken_at
        self._name = name
        self._columns = columns
        self._changed_at = changed_at
        self._parts: list[Part] = []
        self._kinds = [kind for kind in KINDS if kind.applies_to(name, columns)]
        self._made: set[Path] = set()
        self._folder = staged / table_folder(name)
        with self._storage_errors():
            self._folder.mkdir()

    @property
    def stored(self) -> StoredTable:
        """The table's record with all parts so far."""
        return StoredTable(self._columns, tuple(self._parts), self._changed_at)

    def write(
        self,
        rows: pl.DataFrame,
        footer: Mapping[str, str],
        checked_at: datetime | None = None,
        mark: SourceMark | None = None,
    ) -> Part:
        """Write *rows* as the next part, with *footer* as its key-value metadata.

        *checked_at* defaults to the snapshot's instant.
        """
        path = self._next_path()
        size, crc32 = self._write_parquet(
            path,
            rows,
            compression=COMPRESSION,
            compression_level=COMPRESSION_LEVEL,
            metadata=dict(footer),
        )
        part = Part(
            path.name,
            rows.height,
            size,
            crc32,
            checked_at or self._taken_at,
            mark=mark,
        )
        for kind in self._kinds:
            record = self._write_side_file(kind, rows.lazy(), path)
            part = kind.with_record(part, record)
        self._parts.append(part)
        return part

    def link(
        self,
        part: Part,
        file: Path,
        checked_at: datetime | None = None,
        *,
        may_miss: bool = False,
    ) -> None:
        """Make the next part a hard link to *file*, the unchanged *part*.

        *checked_at* defaults to that of *part*. With *may_miss* a file that is gone is
        recorded all the same, so that readers notice it.
        """
        path = self._next_path()
        with self._storage_errors():
            try:
                os.link(file, path)
            except FileNotFoundError:
                if not may_miss or not self._folder.is_dir():
                    raise
        linked = replace(
            part,
            file=path.name,
            checked_at=checked_at or part.checked_at,
        )
        for kind in KINDS:
            record = self._link_side_file(kind, part, file, path)
            if record != kind.record(linked):
                linked = kind.with_record(linked, record)
        self._parts.append(linked)

    def _link_side_file(
        self, kind: SideFileKind, part: Part, file: Path, path: Path
    ) -> SideFile | VisitsFile | None:
        """Link the side file of *part* beside *path*; write it again if unusable."""
        if kind not in self._kinds:
            return None
        earlier = kind.path(file)
        if kind.is_usable(part) and earlier.is_file():
            with self._storage_errors():
                os.link(earlier, self._side_path(kind, path))
            return kind.record(part)
        if not path.is_file():
            return None
        try:
            return self._write_side_file(kind, pl.scan_parquet(path, glob=False), path)
        except PARSE_ERRORS:
            return None  # The part is damaged: comparing checksums will find that.

    def _write_side_file(
        self, kind: SideFileKind, rows: pl.LazyFrame, path: Path
    ) -> SideFile | VisitsFile:
        """Write the side file of the part at *path*."""
        content = kind.encode(rows, self._name)
        return kind.make_record(*self._write(self._side_path(kind, path), content))

    def _side_path(self, kind: SideFileKind, path: Path) -> Path:
        """The path for a side file of the part at *path*; creates the folder."""
        file = kind.path(path)
        folder = file.parent
        if folder not in self._made:
            with self._storage_errors():
                folder.mkdir(exist_ok=True)
            self._made.add(folder)
        return file

    def _write_parquet(
        self, path: Path, frame: pl.DataFrame, **options: Any
    ) -> tuple[int, int]:
        """Write *frame* to *path*; returns its bytes and their CRC-32."""
        # In memory first: a full disk is then an OSError with its reason, and the
        # checksum is that of the intended bytes.
        content = io.BytesIO()
        frame.write_parquet(content, row_group_size=ROW_GROUP_ROWS, **options)
        with content.getbuffer() as view:
            return self._write(path, view)

    def _write(self, path: Path, content: bytes | memoryview) -> tuple[int, int]:
        """Write *content* to *path*; returns its bytes and their CRC-32."""
        with self._storage_errors():
            write_synced(path, content)
        return len(content), crc32(content)

    def _next_path(self) -> Path:
        return self._folder / f"part-{len(self._parts):05}.parquet"

    def _storage_errors(self) -> AbstractContextManager[None]:
        return storage_errors(self._data_dir)
