"""One sync: observe what there is, decide what to do, apply it, publish.

After it the read model equals the database at one instant, whatever happened since
the last one; it costs what changed.
"""

import time
from collections import deque
from collections.abc import (
    Callable,
    Collection,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
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

from readmodel.source.protocol import (
    PassingFault,
    Source,
    Unreachable,
    Unscannable,
    View,
)
from readmodel.store import snapshot
from readmodel.store.manifest import Manifest, TableFailure
from readmodel.sync.carry_over import carry_events
from readmodel.sync.derived import DerivedOptions, DerivedReport, build_derived
from readmodel.sync.first_copy import begin_scan, first_copy, reading_order
from readmodel.sync.lock import exclusive_lock
from readmodel.sync.reuse import (
    ReusableTable,
    reusable_parts,
    stored_block_width,
    stored_table,
)
from readmodel.sync.rotation import EVERY_RUN_ROWS, Budget
from readmodel.sync.sampling import sample
from readmodel.sync.snapshot_removal import make_room
from readmodel.sync.snapshot_retention import KEEP_YOUNGER
from readmodel.sync.snapshot_writer import SnapshotWriter
from readmodel.sync.table_faults import TableFaults
from readmodel.sync.table_spec import TableSpec, table_spec
from readmodel.sync.table_sync import OnProgress, TableReport, apply, decide
from readmodel.tables import TABLES, Table
from util.telemetry import span

__all__ = ["Options", "Report", "TableReport", "sync"]

type Finishing = Future[TableReport]
"""A table that has been read; its last parts may still be written."""

ATTEMPTS: Final = 6
FIRST_PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 20


@dataclass(frozen=True, slots=True)
class Report:
    """What one sync did; `taken_at` is the instant that the read model is of now.

    Tables that are `failed` keep their last copy, of an earlier instant, if there is one.
    `removed` are the rows of each table that is no longer mirrored.
    """

    snapshot: str
    taken_at: datetime
    tables: tuple[TableReport, ...]
    seconds: float
    failed: Mapping[str, TableFailure] = field(default_factory=dict)
    derived: tuple[DerivedReport, ...] = ()
    removed: Mapping[str, int] = field(default_factory=dict)

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
    within `patience`. Derived tables are built as `derived` says, none by default.
    Earlier snapshots are kept for `retention`, thinned out. With `delta_logs` others'
    engines read the snapshot as tables of Delta Lake. Callbacks: `on_retry(fault)`
    before each retry, `on_step(name)` as a table or another step begins, and
    `on_progress` as rows arrive;
    `check_stop` raises if no further attempt may begin.
    """

    full: bool = False
    only: Collection[str] | None = None
    digest_seconds: float = 30.0
    patience: timedelta = timedelta(minutes=8)
    on_retry: Callable[[str], None] = field(default=lambda _: None)
    check_stop: Callable[[], None] = field(default=lambda: None)
    on_step: Callable[[str], None] = field(default=lambda _: None)
    on_progress: OnProgress = field(default=lambda *_: None)
    pause: Callable[[float], None] = time.sleep
    derived: DerivedOptions | None = None
    retention: timedelta = KEEP_YOUNGER
    delta_logs: bool = False


def sync(
    source: Source,
    data_dir: Path,
    tables: Sequence[Table],
    now: Callable[[], datetime],
    on_table: Callable[[TableReport], None] = lambda _: None,
    options: Options = Options(),
) -> Report:
    """Mirror *tables* of *source* into *data_dir*; *on_table* is called after each.

    A table that the statistics do not need and that cannot be read keeps its last copy
    and holds back no other. Raises SyncRunning, SourceError or StorageError; the last
    snapshot then stays as it was.
    """
    started = time.monotonic()
    run = _Run(source, data_dir, tables, now, on_table, options)
    report = run.until_published()
    return replace(report, seconds=time.monotonic() - started)


@dataclass(frozen=True, slots=True)
class _Run:
    """The attempts of one sync, until a snapshot is published."""

    source: Source
    data_dir: Path
    tables: Sequence[Table]
    now: Callable[[], datetime]
    on_table: Callable[[TableReport], None]
    options: Options
    faults: TableFaults = field(default_factory=TableFaults)

    def until_published(self) -> Report:
        """Retry, then leave out tables whose faults do not pass.

        Without a table more attempts are made, as long as patience lasts, but at least
        one. Raises SourceError and StorageError.
        """
        began = time.monotonic()
        while True:
            waited = timedelta(seconds=time.monotonic() - began)
            patience = max(self.options.patience - waited, timedelta())
            try:
                return _retrying(self.options, patience)(self._attempt)
            except PassingFault:
                selected, _ = _select(self.tables, self.options.only)
                if not self.faults.set_aside(len(selected)):
                    raise

    def _attempt(self) -> Report:
        """Publish all tables at the instant of one view, or nothing.

        In the pauses between attempts the lock is free, so that events can be taken.
        """
        self.options.check_stop()
        with exclusive_lock(self.data_dir):
            return self._attempt_locked()

    def _attempt_locked(self) -> Report:
        self.faults.begin_attempt()
        taken_at = self.now()
        selected, others = _select(self.tables, self.options.only)
        read = [table for table in selected if self.faults.may_read(table)]
        with ExitStack() as reading:
            self.options.on_step(f"Opening {self.source.name}")
            view = reading.enter_context(self.source.view(read))
            make_room(self.data_dir, taken_at, self.options.retention)
            with SnapshotWriter(self.data_dir, taken_at) as writer:
                last = _last_manifest(self.data_dir)
                writer.configured = _configured(self.tables)
                writer.retention = self.options.retention
                writer.delta_logs = self.options.delta_logs
                _carry_over(others, writer, last)
                reports = self._mirror(view, writer, read, last)
                failed = self.faults.record(selected, writer, last)
                reading.close()  # Derived tables need no open transaction.
                carry_events(writer)
                derived = self._derive(writer)
                with span("publish"):
                    writer.publish()
        return Report(
            writer.id,
            writer.taken_at,
            tuple(reports),
            seconds=0,
            failed=failed,
            derived=tuple(derived),
            removed=_removed(self.tables, last),
        )

    def _derive(self, writer: SnapshotWriter) -> list[DerivedReport]:
        if self.options.derived is None:
            return []
        self.options.on_step("Derived tables")
        with span("views"):
            return build_derived(writer, self.options.derived, self.options.full)

    def _mirror(
        self,
        view: View,
        writer: SnapshotWriter,
        tables: Sequence[Table],
        last: Manifest | None,
    ) -> list[TableReport]:
        stored_rows, stored_bytes = _size(last)
        digest_seconds = self.options.digest_seconds
        budget = Budget(digest_seconds) if stored_rows > EVERY_RUN_ROWS else None
        reports: list[TableReport] = []
        finishing: deque[Finishing] = deque()

        def conclude() -> None:
            reports.append(finishing.popleft().result())
            self.on_table(reports[-1])
            writer.begin_activity({report.name for report in reports})

        specs = list(self._specs(view, tables))
        if last is None or self.options.full:
            specs = reading_order(specs)
        for number, spec in enumerate(specs, 1):
            self.options.on_step(f"Table {number} of {len(specs)}, {spec.name}")
            with self.faults.reading(spec.table):
                stored = _reusable(spec, writer, self.options.full, stored_bytes)
                finishing.append(
                    self._bring_up_to_date(view, spec, stored, writer, budget)
                )
            # The last parts of a table are written while the next one is read.
            while finishing and (finishing[0].done() or len(finishing) > 1):
                conclude()
        while finishing:
            conclude()
        return reports

    def _bring_up_to_date(
        self,
        view: View,
        spec: TableSpec,
        stored: ReusableTable,
        writer: SnapshotWriter,
        budget: Budget | None,
    ) -> Finishing:
        if not stored.parts and (finish := self._first_copy(view, spec, writer)):
            return writer.start(finish)
        with span("digest", {"table": spec.name}):
            decision = decide(view, spec, stored, writer.taken_at, budget)
        finished: Finishing = Future()
        with span("fetch", {"table": spec.name}):
            finished.set_result(apply(decision, view, writer, self.options.on_progress))
        return finished

    def _first_copy(
        self, view: View, spec: TableSpec, writer: SnapshotWriter
    ) -> Callable[[], TableReport] | None:
        """Copy a table in one scan; None if its blocks must be digested first."""
        with span("digest", {"table": spec.name}):
            scan = begin_scan(view, spec)
        if scan is None:
            return None
        with span("fetch", {"table": spec.name}):
            try:
                return first_copy(scan, view, spec, writer, self.options.on_progress)
            except Unscannable:
                writer.discard(spec.name)
                return None

    def _specs(self, view: View, tables: Iterable[Table]) -> Iterator[TableSpec]:
        for table in tables:
            with self.faults.reading(table):
                width = stored_block_width(self.data_dir, table.name)
                yield table_spec(view, table, width)


def _retrying(options: Options, patience: timedelta) -> Retrying:
    def before_sleep(state: RetryCallState) -> None:
        options.check_stop()
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
        stop=stop_after_attempt(ATTEMPTS) | stop_before_delay(patience),
        before_sleep=before_sleep,
        sleep=options.pause,
        reraise=True,
    )


def _may_pass(state: RetryCallState) -> bool:
    """True if a retry may help. A server that never answered needs a person instead."""
    fault = state.outcome.exception() if state.outcome else None
    if isinstance(fault, Unreachable):
        return state.attempt_number > 1
    return isinstance(fault, PassingFault)


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
    is_sampled = sample(writer.id, stored_bytes)
    return reusable_parts(
        writer.data_dir,
        spec.name,
        spec.stored_columns,
        spec.blocking,
        lambda index: is_sampled(f"{spec.name} {index}"),
    )


def _configured(tables: Sequence[Table]) -> tuple[str, ...] | None:
    """The names of *tables*; None if they are those of the statistics and no others."""
    names = tuple(table.name for table in tables)
    return None if set(names) == set(TABLES) else names


def _carry_over(
    tables: Sequence[Table], writer: SnapshotWriter, last: Manifest | None
) -> None:
    """Link the tables that are not synced into the next snapshot as they are."""
    for table in tables:
        if last and table.name in last.failed:
            writer.add_failure(table.name, last.failed[table.name])
        if found := stored_table(writer.data_dir, table.name):
            writer.link_table(table.name, *found)


def _removed(tables: Sequence[Table], last: Manifest | None) -> Mapping[str, int]:
    """Rows of each table that the last snapshot mirrors and that is not in *tables*."""
    if last is None:
        return {}
    mirrored = (table.name for table in tables)
    present = {*mirrored, *last.derived, *last.event_tables}
    return {n: stored.rows for n, stored in last.tables.items() if n not in present}


def _last_manifest(data_dir: Path) -> Manifest | None:
    """The manifest of the last snapshot; None without a readable one."""
    last = snapshot.latest_readable(data_dir)
    return last.manifest if last else None


def _size(manifest: Manifest | None) -> tuple[int, int]:
    """Rows and bytes of a snapshot."""
    tables = manifest.tables.values() if manifest else ()
    return sum(table.rows for table in tables), sum(table.bytes for table in tables)
