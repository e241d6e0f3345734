"""Tables that cannot be read: they keep their last copy, and hold back no other table.

Only tables that the statistics do not need may fail. A passing fault is retried like any
other; if it does not pass, its table is set aside and the others are mirrored without it.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from readmodel.source.protocol import PassingFault
from readmodel.store.manifest import Manifest, TableFailure
from readmodel.sync.reuse import stored_table
from readmodel.sync.snapshot_writer import SnapshotWriter
from readmodel.tables import Table
from util.errors import SourceError


class TableFaults:
    """The faults of single tables, over the attempts of one sync."""

    def __init__(self) -> None:
        self._set_aside: dict[str, SourceError] = {}
        self._found: dict[str, SourceError] = {}
        self._passing: tuple[str, PassingFault] | None = None

    def begin_attempt(self) -> None:
        """Forget the faults of the attempt before, except of tables set aside."""
        self._found = dict(self._set_aside)
        self._passing = None

    def may_read(self, table: Table) -> bool:
        """True unless the table failed in this attempt, or was set aside."""
        return table.name not in self._found

    @contextmanager
    def reading(self, table: Table) -> Iterator[None]:
        """Keep a fault of *table*, unless the statistics need it or it may pass.

        Raises the SourceError otherwise.
        """
        try:
            yield
        except PassingFault as fault:
            if not table.is_essential:
                self._passing = (table.name, fault)
            raise
        except SourceError as error:
            if table.is_essential:
                raise
            self._found[table.name] = error

    def set_aside(self, tables: int) -> bool:
        """Leave out the table whose fault ended the last attempt.

        False if no single table was at fault, or if it is the last one of *tables*.
        """
        if self._passing is None or len(self._set_aside) + 1 >= tables:
            return False
        name, fault = self._passing
        self._set_aside[name] = fault
        return True

    def record(
        self, tables: Sequence[Table], writer: SnapshotWriter, last: Manifest | None
    ) -> dict[str, TableFailure]:
        """Put the last copies of the *tables* that failed into the next snapshot.

        *last* is the manifest of the snapshot before. Raises SourceError with all
        reasons if all *tables* failed: a snapshot would have nothing new.
        """
        failed = {t.name: self._found[t.name] for t in tables if t.name in self._found}
        if failed and len(failed) == len(tables):
            reasons = dict.fromkeys(map(str, failed.values()))
            raise SourceError("; ".join(reasons)) from next(iter(failed.values()))
        earlier = last.failed if last else {}
        failures = {}
        for name, error in failed.items():
            writer.discard(name)
            since = earlier[name].stale_since if name in earlier else writer.taken_at
            taken_at = _link_last_copy(name, writer)
            failures[name] = TableFailure(since, str(error), taken_at)
            writer.add_failure(name, failures[name])
        return failures


def _link_last_copy(name: str, writer: SnapshotWriter) -> datetime | None:
    """Link the last copy of the table *name*; return its instant, None without one."""
    found = stored_table(writer.data_dir, name)
    if found is None:
        return None
    stored, folder = found
    if not all((folder / part.file).is_file() for part in stored.parts):
        return None
    writer.link_table(name, stored, folder)
    # Each sync that reads the table compares at least one of its parts.
    return max(part.checked_at for part in stored.parts)
