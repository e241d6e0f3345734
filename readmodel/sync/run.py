"""One sync: gather what there is, decide what to do, apply it, report.

After it the read model equals the database at one instant, whatever happened since
the last one; it costs what changed.
"""

import time
import zlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from tenacity import (
    RetryCallState,
    Retrying,
    stop_after_attempt,
    stop_before_delay,
    wait_exponential_jitter,
)

from readmodel.source.protocol import PassingFault, Source, Unreachable, View
from readmodel.store import snapshot
from readmodel.store.manifest import StoredTable
from readmodel.sync import reuse
from readmodel.sync.reuse import ReusableTable
from readmodel.sync.rotation import EVERY_RUN_ROWS, Budget
from readmodel.sync.staging import SnapshotWriter, exclusive_lock
from readmodel.sync.table_spec import TableSpec, table_spec
from readmodel.sync.table_sync import Progress, TableReport, Work
from readmodel.tables import Table
from util.errors import ReadModelMissing

__all__ = ["Options", "Report", "TableReport", "sync"]

ATTEMPTS = 6
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 20
# How much of what is kept is compared with its checksum on each run, on average.
EXAMINED_BYTES = 32 * 2**20


@dataclass(frozen=True, slots=True)
class Report:
    """What one sync did; `taken_at` is the instant that the read model now holds."""

    snapshot: str
    taken_at: datetime
    tables: tuple[TableReport, ...]
    seconds: float

    @property
    def rows(self) -> int:
        return sum(table.rows for table in self.tables)

    @property
    def fetched(self) -> int:
        return sum(table.fetched for table in self.tables)


@dataclass(frozen=True, slots=True)
class Options:
    """How to sync.

    `full` fetches every row anew. `only` names the tables to sync; the others stay as
    they are. Comparing cold parts of large tables may take `digest_seconds` a run.
    Passing faults are tried again, as long as a try begins within `patience`;
    `on_retry` is called for each, `on_progress` as rows arrive.
    """

    full: bool = False
    only: Collection[str] | None = None
    digest_seconds: float = 30.0
    patience: timedelta = timedelta(minutes=8)
    on_retry: Callable[[str], None] = field(default=lambda _: None)
    on_progress: Progress = field(default=lambda *_: None)


def sync(
    source: Source,
    data_dir: Path,
    tables: Sequence[Table],
    now: Callable[[], datetime],
    on_table: Callable[[TableReport], None] = lambda _: None,
    options: Options = Options(),
) -> Report:
    """Mirror *tables* of *source* into *data_dir*; *on_table* is called after each.

    Raises SyncRunning, SourceError or StorageError; the last snapshot then stays as
    it was.
    """
    began = time.monotonic()

    def tell(state: RetryCallState) -> None:
        fault = state.outcome.exception() if state.outcome else None
        pause = state.next_action.sleep if state.next_action else 0
        options.on_retry(f"{fault}; trying again in {pause:.1f} s")

    with exclusive_lock(data_dir):
        for attempt in Retrying(
            retry=_may_pass,
            wait=wait_exponential_jitter(
                multiplier=FIRST_PAUSE_SECONDS,
                max=LONGEST_PAUSE_SECONDS,
                jitter=FIRST_PAUSE_SECONDS,
            ),
            stop=stop_after_attempt(ATTEMPTS) | stop_before_delay(options.patience),
            before_sleep=tell,
            reraise=True,
        ):
            with attempt:
                run = _Run(source, data_dir, tables, options)
                stage, reports = run.attempt(now(), on_table)
    seconds = time.monotonic() - began
    return Report(stage.id, stage.taken_at, tuple(reports), seconds)


def _may_pass(state: RetryCallState) -> bool:
    """Whether another try may help; where nobody ever answered, a person is quicker."""
    fault = state.outcome.exception() if state.outcome else None
    if isinstance(fault, Unreachable):
        return state.attempt_number > 1
    return isinstance(fault, PassingFault)


class _Run:
    """One attempt: all tables at one instant, or nothing."""

    def __init__(
        self, source: Source, data_dir: Path, tables: Sequence[Table], options: Options
    ) -> None:
        self._source = source
        self._data_dir = data_dir
        self._options = options
        only = options.only
        self._tables = [t for t in tables if only is None or t.name in only]
        self._others = [t for t in tables if only is not None and t.name not in only]

    def attempt(
        self, taken_at: datetime, on_table: Callable[[TableReport], None]
    ) -> tuple[SnapshotWriter, list[TableReport]]:
        data_dir = self._data_dir
        rows, size = _held_size(data_dir)
        budget = Budget(self._options.digest_seconds) if rows > EVERY_RUN_ROWS else None
        reports = []
        with self._source.view() as view, SnapshotWriter(data_dir, taken_at) as stage:
            jobs = [self._job(view, table) for table in self._tables]
            done = self._carry(stage)
            for job in jobs:
                held = self._at_hand(job, stage.id, size)
                work = Work(view, stage, job, held, budget, self._options.on_progress)
                done[job.table.name] = work.run()
                reports.append(work.report())
                on_table(reports[-1])
            stage.publish(done)
        return stage, reports

    def _job(self, view: View, table: Table) -> TableSpec:
        return table_spec(view, table, reuse.width(self._data_dir, table.name))

    def _at_hand(self, job: TableSpec, snapshot_id: str, size: int) -> ReusableTable:
        if self._options.full:
            return ReusableTable()
        shares = -(-size // EXAMINED_BYTES) or 1

        def examined(index: int) -> bool:
            drawn = zlib.crc32(f"{snapshot_id} {job.table.name} {index}".encode())
            return drawn % shares == 0

        return reuse.reusable_parts(
            self._data_dir, job.table.name, job.stored_columns, job.cut, examined
        )

    def _carry(self, stage: SnapshotWriter) -> dict[str, StoredTable]:
        """The tables that are not to be synced, as they are."""
        done = {}
        for table in self._others:
            if found := reuse.stored_table(self._data_dir, table.name):
                stored, place = found
                for part in stored.parts:
                    stage.keep(table.name, part, place / part.file)
                done[table.name] = stored
        return done


def _held_size(data_dir: Path) -> tuple[int, int]:
    """Rows and bytes of the last snapshot."""
    try:
        manifest = snapshot.latest(data_dir).manifest
    except ReadModelMissing:
        return 0, 0
    tables = manifest.tables.values() if manifest else ()
    return sum(table.rows for table in tables), sum(table.bytes for table in tables)
