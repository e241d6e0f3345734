"""The next snapshot while the updater builds it: staged aside, then published whole."""

import shutil
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import NamedTuple, Self

from readmodel.store.manifest import (
    ActivityFiles,
    Consumed,
    DerivedState,
    Manifest,
    StoredTable,
    TableFailure,
)
from readmodel.store.side_files import KINDS
from readmodel.store.snapshot import CURRENT, ID_FORMAT, SNAPSHOTS, table_folder
from readmodel.store.sorted_activity import FOLDER, TIMES
from readmodel.sync.activity_files import link_activity, write_activity
from readmodel.sync.delta_log import has_delta_logs, write_delta_logs
from readmodel.sync.disk import storage_errors
from readmodel.sync.publish import publish_folder, seal_folder, staged_folder
from readmodel.sync.snapshot_removal import remove_old_snapshots
from readmodel.sync.table_writer import TableWriter


class _BegunActivity(NamedTuple):
    """An activity that a thread writes, and the tables that it is of."""

    tables: Mapping[str, StoredTable]
    written: Future[ActivityFiles | None]


class SnapshotWriter:
    """The next snapshot while it is built. Use it as a context, inside `exclusive_lock`.

    Leaving the context removes what was not published. Every method raises
    StorageError when the disk refuses.
    """

    def __init__(
        self, data_dir: Path, taken_at: datetime, created_at: datetime | None = None
    ) -> None:
        """Choose an id by *taken_at*, which moves on if a snapshot has that instant.

        With *created_at* the id is chosen by that, for a snapshot whose mirrored tables
        are those of the one before.
        """
        snapshots = data_dir / SNAPSHOTS
        named = created_at or taken_at
        while (snapshots / named.strftime(ID_FORMAT)).exists():
            named += timedelta(microseconds=1)
        self.data_dir = data_dir
        self.taken_at = taken_at if created_at else named
        self.created_at = named
        self.consumed: Consumed | None = None
        self.id = named.strftime(ID_FORMAT)
        self.path = staged_folder(data_dir, self.id)
        self._tables: dict[str, TableWriter] = {}
        self._failed: dict[str, TableFailure] = {}
        self.configured: tuple[str, ...] | None = None
        self.retention: timedelta | None = None
        self.delta_logs: bool | None = None
        """Whether to write them, see `delta_log`; None: as in the last snapshot."""
        self._derived: dict[str, StoredTable] = {}
        self._derived_states: dict[str, DerivedState] = {}
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._begun_activity: _BegunActivity | None = None

    def __enter__(self) -> Self:
        with storage_errors(self.data_dir):
            self.path.mkdir(parents=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(cancel_futures=True)
        # After `publish` the folder has another name, and nothing is removed.
        shutil.rmtree(self.path, ignore_errors=True)

    def link_table(
        self,
        name: str,
        stored: StoredTable,
        folder: Path,
        checked_at: datetime | None = None,
        *,
        may_miss: bool = False,
    ) -> TableWriter:
        """Add the table *name* as it is *stored* in *folder*: link all of its parts.

        *checked_at* and *may_miss* are those of `TableWriter.link`.
        """
        table = self.table(name, stored.columns, stored.changed_at)
        for part in stored.parts:
            table.link(part, folder / part.file, checked_at, may_miss=may_miss)
        return table

    def table(
        self, name: str, columns: Mapping[str, str], changed_at: datetime | None = None
    ) -> TableWriter:
        """Add the table *name* to the snapshot; write or link its parts next.

        *columns* maps names to dtypes as `dtypes.dtype_name` spells them. *changed_at*
        is when the content last changed, by default the snapshot's instant.
        """
        table = TableWriter(
            self.data_dir,
            self.path,
            name,
            columns,
            taken_at=self.taken_at,
            changed_at=changed_at or self.taken_at,
        )
        self._tables[name] = table
        return table

    def add_failure(self, name: str, failure: TableFailure) -> None:
        """Record that the table *name* is older than the snapshot, or missing in it."""
        self._failed[name] = failure

    def add_derived(
        self, name: str, state: DerivedState, stored: StoredTable | None
    ) -> None:
        """Add a derived table whose parts are in the staged folder, or only its state."""
        self._derived_states[name] = state
        if stored is not None:
            self._derived[name] = stored

    def discard(self, name: str) -> None:
        """Remove what an unfinished build of the table *name* left behind."""
        self.start(int).result()  # All that was started before is written then.
        self._tables.pop(name, None)
        folder = self.path / table_folder(name)
        for path in (folder, *(kind.path(folder / "any").parent for kind in KINDS)):
            shutil.rmtree(path, ignore_errors=True)

    def files(self, name: str) -> list[Path]:
        """The parts of the table *name*, as far as they are added, in order."""
        folder = self.path / table_folder(name)
        return [folder / part.file for part in self.stored(name).parts]

    def stored(self, name: str) -> StoredTable:
        """The record of the table *name*. Raises KeyError if it is not in the snapshot."""
        return (
            self._derived[name] if name in self._derived else self._tables[name].stored
        )

    @property
    def mirrored(self) -> tuple[str, ...]:
        """The names of the tables that are not derived, including those that failed."""
        names = dict.fromkeys((*self._tables, *self._failed))
        return tuple(name for name in names if name not in self._derived)

    @property
    def failed(self) -> Mapping[str, TableFailure]:
        """The mirrored tables that are older than the snapshot, or missing in it."""
        return self._failed

    def start[T](self, write: Callable[[], T]) -> Future[T]:
        """Let a thread *write* to the snapshot, after what was started before.

        Leaving the context waits for it.
        """
        return self._thread.submit(write)

    def begin_activity(self, complete: Collection[str]) -> None:
        """Write the activity in a thread, if both its tables are among the *complete* ones.

        `publish` waits for it, and raises its errors.
        """
        if self._begun_activity is None and TIMES.keys() <= set(complete):
            tables = {name: self._tables[name].stored for name in TIMES}
            written = self.start(partial(self._activity, tables, is_sync=True))
            self._begun_activity = _BegunActivity(tables, written)

    def publish(self, last: Manifest | None = None) -> None:
        """Make this the current snapshot, for all tables at once.

        With *last* the manifest is that one, except for tables and what is consumed.
        With `retention`, snapshots that are not kept are removed.
        """
        tables = {name: table.stored for name, table in self._tables.items()}
        tables |= self._derived
        manifest = last or Manifest(
            self.taken_at,
            derived=self._derived_states,
            failed=self._failed,
            configured=self.configured,
        )
        manifest = replace(manifest, tables=tables, consumed=self.consumed)
        with storage_errors(self.data_dir):
            activity = self._written_activity(tables, is_sync=last is None)
            manifest = replace(manifest, activity=activity)
            if self._has_delta_logs():
                write_delta_logs(self.path, self.id, tables)
            seal_folder(self.path, manifest.to_json())
            publish_folder(self.data_dir, self.path, self.id, tables)
            if self.retention is not None:
                remove_old_snapshots(self.data_dir, self.created_at, self.retention)

    def _written_activity(
        self, tables: Mapping[str, StoredTable], *, is_sync: bool
    ) -> ActivityFiles | None:
        """That which was begun, unless one of its tables has been replaced since."""
        begun = self._begun_activity
        if begun is not None:
            if begun.tables.items() <= tables.items():
                return begun.written.result()
            begun.written.exception()  # waits for its end
            shutil.rmtree(self.path / FOLDER, ignore_errors=True)
        return self._activity(tables, is_sync=is_sync)

    def _activity(
        self, tables: Mapping[str, StoredTable], *, is_sync: bool
    ) -> ActivityFiles | None:
        """Link the activity; a sync writes it if there is none to link. Raises OSError."""
        found = link_activity(self.data_dir, self.path, tables, is_sync=is_sync)
        if found is None and is_sync:
            return write_activity(self.path, tables)
        return found

    def _has_delta_logs(self) -> bool:
        if self.delta_logs is None:
            return has_delta_logs(self.data_dir / CURRENT)
        return self.delta_logs
