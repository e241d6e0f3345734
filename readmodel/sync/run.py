"""One sync: observe what there is, decide what to do, apply it, publish.

After it the read model equals the database at one instant, whatever happened since
the last one; it costs what changed.
"""

import time
import zlib
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from tenacity import (
    RetryCallState,
    Retrying,
    stop_after_attempt,
    stop_before_delay,
    wait_exponential_jitter,
)

from readmodel.source.protocol import PassingFault, Source, Unreachable, View
from readmodel.store import snapshot
from readmodel.sync.derived import DerivedOptions, DerivedReport, build_derived
from readmodel.sync.reuse import (
    ReusableTable,
    reusable_parts,
    stored_block_width,
    stored_table,
)
from readmodel.sync.rotation import EVERY_RUN_ROWS, Budget
from readmodel.sync.staging import SnapshotWriter, exclusive_lock
from readmodel.sync.table_spec import TableSpec, table_spec
from readmodel.sync.table_sync import OnProgress, TableReport, apply, decide
from readmodel.tables import Table
from util.errors import ReadModelMissing

__all__ = ["Options", "Report", "TableReport", "sync"]

ATTEMPTS: Final = 6
FIRST_PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 20
SAMPLED_BYTES: Final = 32 * 2**20
"""How much of the stored parts is compared with its checksum per run, on average."""


@dataclass(frozen=True, slots=True)
class Report:
    """What one sync did; `taken_at` is the instant that the read model is of now."""

    snapshot: str
    taken_at: datetime
    tables: tuple[TableReport, ...]
    seconds: float
    derived: tuple[DerivedReport, ...] = ()

    @property
    def rows(self) -> int:
        """Rows in the read model, over all synced tables."""
        return sum(table.rows for table in self.tables)

    @property
    def rows_fetched(self) -> int:
        """Rows read from the database, over all synced tables."""
        return sum(table.counts.rows_fetched for table in self.tables)


@dataclass(frozen=True, slots=True)
class Options:
    """How to sync.

    `full` fetches every row, even if it is stored. `only` names the tables to sync; the
    others stay as they are. Comparing cold parts of large tables may take
    `digest_seconds` per run. Passing faults are retried, as long as an attempt begins
    within `patience`. Derived tables are built as `derived` says, none by default. Callbacks: `on_retry(fault)` before each retry, and `on_progress`
    as rows arrive.
    """

    full: bool = False
    only: Collection[str] | None = None
    digest_seconds: float = 30.0
    patience: timedelta = timedelta(minutes=8)
    on_retry: Callable[[str], None] = field(default=lambda _: None)
    on_progress: OnProgress = field(default=lambda *_: None)
    derived: DerivedOptions | None = None


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
    started = time.monotonic()
    with exclusive_lock(data_dir):
        for attempt in _retrying(options):
            with attempt:
                taken_at = now()
                with ExitStack() as reading:
                    view = reading.enter_context(
                        source.view(_select(tables, options.only)[0])
                    )
                    with SnapshotWriter(data_dir, taken_at) as writer:
                        reports = _mirror(view, writer, tables, on_table, options)
                        reading.close()  # Derived tables need no open transaction.
                        derived = _derive(writer, options)
                        writer.publish()
    seconds = time.monotonic() - started
    return Report(writer.id, writer.taken_at, tuple(reports), seconds, tuple(derived))


def _derive(writer: SnapshotWriter, options: Options) -> list[DerivedReport]:
    if options.derived is None:
        return []
    return build_derived(writer, options.derived, options.full)


def _retrying(options: Options) -> Retrying:
    def before_sleep(state: RetryCallState) -> None:
        fault = state.outcome.exception() if state.outcome else None
        pause = state.next_action.sleep if state.next_action else 0
        options.on_retry(f"{fault}; trying again in {pause:.1f} s")

    return Retrying(
        retry=_may_pass,
        wait=wait_exponential_jitter(
            multiplier=FIRST_PAUSE_SECONDS,
            max=LONGEST_PAUSE_SECONDS,
            jitter=FIRST_PAUSE_SECONDS,
        ),
        stop=stop_after_attempt(ATTEMPTS) | stop_before_delay(options.patience),
        before_sleep=before_sleep,
        reraise=True,
    )


def _may_pass(state: RetryCallState) -> bool:
    """True if a retry may help. A server that never answered needs a person instead."""
    fault = state.outcome.exception() if state.outcome else None
    if isinstance(fault, Unreachable):
        return state.attempt_number > 1
    return isinstance(fault, PassingFault)


def _mirror(
    view: View,
    writer: SnapshotWriter,
    tables: Sequence[Table],
    on_table: Callable[[TableReport], None],
    options: Options,
) -> list[TableReport]:
    """One attempt: write all tables at the instant of *view*."""
    data_dir = writer.data_dir
    selected, others = _select(tables, options.only)
    stored_rows, stored_bytes = _stored_size(data_dir)
    budget = Budget(options.digest_seconds) if stored_rows > EVERY_RUN_ROWS else None
    specs = [
        table_spec(view, table, stored_block_width(data_dir, table.name))
        for table in selected
    ]
    _carry_over(others, writer)
    reports = []
    for spec in specs:
        stored = _reusable(spec, writer, options.full, stored_bytes)
        decision = decide(view, spec, stored, writer.taken_at, budget)
        report = apply(decision, view, writer, options.on_progress)
        on_table(report)
        reports.append(report)
    return reports


def _select(
    tables: Sequence[Table], only: Collection[str] | None
) -> tuple[list[Table], list[Table]]:
    """The tables to sync, and those to carry over."""
    if only is None:
        return list(tables), []
    selected = [table for table in tables if table.name in only]
    return selected, [table for table in tables if table.name not in only]


def _reusable(
    spec: TableSpec, writer: SnapshotWriter, full: bool, stored_bytes: int
) -> ReusableTable:
    """The stored parts of the table, a sample of them compared with their checksums."""
    if full:
        return ReusableTable()
    shares = -(-stored_bytes // SAMPLED_BYTES) or 1

    def is_sampled(index: int) -> bool:
        drawn = zlib.crc32(f"{writer.id} {spec.name} {index}".encode())
        return drawn % shares == 0

    return reusable_parts(
        writer.data_dir, spec.name, spec.stored_columns, spec.blocking, is_sampled
    )


def _carry_over(tables: Sequence[Table], writer: SnapshotWriter) -> None:
    """Link the tables that are not synced into the next snapshot as they are."""
    for table in tables:
        if found := stored_table(writer.data_dir, table.name):
            stored, folder = found
            carried = writer.table(table.name, stored.columns, stored.changed_at)
            for part in stored.parts:
                carried.link(part, folder / part.file)


def _stored_size(data_dir: Path) -> tuple[int, int]:
    """Rows and bytes of the last snapshot."""
    try:
        manifest = snapshot.latest(data_dir).manifest
    except ReadModelMissing:
        return 0, 0
    tables = manifest.tables.values() if manifest else ()
    return sum(table.rows for table in tables), sum(table.bytes for table in tables)
