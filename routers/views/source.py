"""The current definitions: loaded by the worker, again whenever a file changes."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Final, NamedTuple

from config import Settings
from readmodel.store.snapshot import Snapshot
from readmodel.tables import TABLES
from routers.views.loaded import Columns, LoadedViews
from routers.worker.client import Worker
from sqlfiles.files import sql_files

LOAD_MEMORY_MB: Final = 4096
"""Address space: DuckDB reserves some for each connection, and uses little of it."""
LOAD_DEADLINE: Final = timedelta(seconds=60)


class _Key(NamedTuple):
    """What the definitions depend on."""

    files: tuple[tuple[str, int, int, int], ...]
    tables: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    zone: str


class ViewsSource:
    """Loads the SQL files of VIEWS_DIR when they, or the mirrored columns, change.

    DuckDB is imported by the worker alone, and there is no worker without SQL files.
    """

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._lock = asyncio.Lock()
        self._key: _Key | None = None
        self._loaded = LoadedViews()

    async def current(
        self, settings: Settings, snapshot: Snapshot | None
    ) -> LoadedViews:
        """The definitions as the files have them now.

        Columns of results are known if *snapshot* has a manifest. Raises OSError if
        VIEWS_DIR cannot be listed.
        """
        tables = _mirrored_columns(snapshot)
        key = _key(settings, tables)
        async with self._lock:
            if key != self._key:
                self._loaded = await self._load(settings, key, tables)
                self._key = key
            return self._loaded

    async def _load(
        self, settings: Settings, key: _Key, tables: Mapping[str, Columns]
    ) -> LoadedViews:
        if not key.files:
            return LoadedViews()
        # The worker runs in another folder.
        folder = settings.views_dir.absolute()
        loaded: LoadedViews = await self._worker.run(
            "load_views",
            {"views_dir": folder, "tables": tables, "zone": key.zone},
            memory_mb=LOAD_MEMORY_MB,
            deadline=LOAD_DEADLINE,
        )
        return loaded


def _mirrored_columns(snapshot: Snapshot | None) -> Mapping[str, Columns]:
    """Columns per mirrored table; none of a table that was never read.

    Without a manifest they are the six tables.
    """
    if snapshot is None or snapshot.manifest is None:
        return {name: {} for name in TABLES}
    manifest = snapshot.manifest
    never_read: dict[str, Columns] = {name: {} for name in manifest.mirrored}
    return never_read | {
        name: dict(table.columns)
        for name, table in manifest.tables.items()
        if name not in manifest.derived
    }


def _key(settings: Settings, tables: Mapping[str, Columns]) -> _Key:
    files = []
    for name, path in sql_files(settings.views_dir, tables).items():
        try:
            seen = path.stat()
        except FileNotFoundError:  # removed just now
            continue
        files.append((name, seen.st_ino, seen.st_mtime_ns, seen.st_size))
    columns = tuple((name, tuple(c.items())) for name, c in tables.items())
    return _Key(tuple(files), columns, settings.timezone.key)
