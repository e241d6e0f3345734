"""Tables that a snapshot takes over from the one before, as hard links."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from readmodel.store import snapshot
from readmodel.store.event_tables import EVENT_TABLES, REJECTED
from readmodel.store.manifest import Manifest, StoredTable
from readmodel.store.snapshot import CURRENT, table_folder
from readmodel.sync.snapshot_writer import SnapshotWriter
from util.errors import ReadModelMissing, StorageError


@dataclass(frozen=True, slots=True)
class LastSnapshot:
    """The snapshot before the next one; `path` is that of its tables."""

    path: Path
    manifest: Manifest

    @property
    def data_dir(self) -> Path:
        """The folder that has `current`."""
        return self.path.parent.parent

    def table(self, name: str) -> StoredTable | None:
        """The record of the table *name*, if the snapshot has it."""
        return self.manifest.tables.get(name)

    def files(self, name: str) -> list[Path]:
        """The parts of the table *name*, in order; empty without it."""
        stored = self.table(name)
        folder = self.path / table_folder(name)
        return [folder / part.file for part in stored.parts] if stored else []

    def link(self, name: str, writer: SnapshotWriter) -> None:
        """Put the table *name* into the next snapshot as it is.

        A part of events that is gone is nowhere else, but holds back no other table.
        """
        stored, folder = self.manifest.tables[name], self.path / table_folder(name)
        writer.link_table(name, stored, folder, may_miss=name in EVENT_TABLES)


def last_snapshot(data_dir: Path) -> LastSnapshot | None:
    """Open the current snapshot; None without one, and for the earlier system's files.

    Raises StorageError if it is damaged and has events, which no source could replace.
    """
    try:
        last = snapshot.latest(data_dir)
    except ReadModelMissing as error:
        folder = data_dir / CURRENT / table_folder(REJECTED)
        if folder.is_dir():
            raise StorageError(
                f"{error}. It holds events, which are nowhere else: restore its "
                f"{snapshot.MANIFEST} from a copy, or remove {folder} to give them up"
            ) from error
        return None
    return LastSnapshot(last.path, last.manifest) if last.manifest else None


def carry_events(writer: SnapshotWriter) -> None:
    """Take the tables of events over, if there are any.

    Raises StorageError if they cannot be taken over: nothing else has these rows.
    """
    last = last_snapshot(writer.data_dir)
    if last is None or last.manifest.consumed is None:
        return
    for name in EVENT_TABLES:
        _require_free(name, writer.mirrored)
        if last.table(name):
            last.link(name, writer)
    writer.consumed = last.manifest.consumed


def carry_others(last: LastSnapshot, writer: SnapshotWriter) -> None:
    """Take over all tables but those of events."""
    for name in last.manifest.tables:
        if name not in EVENT_TABLES:
            last.link(name, writer)


def _require_free(name: str, taken: Collection[str]) -> None:
    if name in taken:
        raise StorageError(
            f"The settings mirror a table called {name}, but the read model has its own "
            "table of that name, with events: name another table"
        )


def taken_at(last: LastSnapshot | None, now: datetime) -> datetime:
    """The instant of the mirrored tables of a snapshot that takes them over."""
    return last.manifest.taken_at if last else now
