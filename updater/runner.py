"""A sync and its reports: to the log, the run log, the metrics and the monitors."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal

from config import Settings
from readmodel.source.connect import tables_from_settings
from readmodel.source.protocol import Source
from readmodel.store import metrics, run_log
from readmodel.store.metrics import ReadModelCollector
from readmodel.store.run_log import Run, TableRun
from readmodel.sync.append_run import append_run, append_view_runs
from readmodel.sync.derived import DerivedOptions, DerivedReport
from readmodel.sync.run import Options, Report, TableReport, sync
from updater.guarded import contained, guarded
from updater.progress import Progress
from util import telemetry
from util.errors import FppError, Stopped, StorageError, SyncRunning
from util.logs import get_logger, live_line
from util.metrics import UpdaterMetrics
from util.sentry_wrapper import (
    ErrorContext,
    Severity,
    add_error_breadcrumb,
    capture_error,
    check_in,
    separate_breadcrumbs,
)
from util.stopping import StopRequest

if TYPE_CHECKING:
    from util.heartbeat import Heartbeat

MONITOR: Final = "fpp-analytics-sync"
"""Name of the cron monitor in Sentry; the first check-in creates it."""

MAX_RUNTIME: Final = timedelta(hours=1)
"""A sync that takes longer hangs, and Sentry reports it."""

RETRY_WINDOW_SHARE: Final = 0.8
"""Share of the sync interval in which a run retries, so that runs never overlap."""

_log = get_logger("updater")


def _now() -> datetime:
    return datetime.now(UTC)


class Runner:
    """Runs syncs and reports each of them exactly once."""

    def __init__(
        self,
        settings: Settings,
        source: Source,
        now: Callable[[], datetime] = _now,
        full: bool = False,
        only: Collection[str] | None = None,
        stop: StopRequest | None = None,
    ) -> None:
        """With *full* every row is fetched again; *only* names the tables to sync.

        Errors after a stop request are attributed to it and not reported.

        Raises SettingsError if UPTIMEKUMA_PUSH_URL is malformed, or if TABLES and
        SYNC_TABLES disagree.
        """
        self._tables = tables_from_settings(settings)
        self._stop = stop or StopRequest()
        self._progress = Progress(live_line())
        self._options = Options(
            full=full,
            only=only,
            digest_seconds=settings.digest_budget_seconds,
            patience=timedelta(seconds=settings.sync_interval_seconds)
            * RETRY_WINDOW_SHARE,
            on_step=lambda step: guarded(self._progress.begin, step),
            on_progress=lambda *rows: guarded(self._progress.rows, *rows),
            on_retry=lambda fault: guarded(_log.warning, fault, action="sync"),
            derived=derived_options(settings),
            retention=settings.snapshot_retention,
            delta_logs=settings.delta_logs,
            check_stop=self._stop.check,
        )
        self._settings = settings
        self._source = source
        self._now = now
        self._heartbeat = _heartbeat(settings)
        self._runs = metrics.run_summary(settings.data_dir)
        self.metrics = UpdaterMetrics(
            ReadModelCollector(
                manifest=lambda: metrics.current_manifest(settings.data_dir),
                runs=lambda: self._runs,
                interval=lambda: settings.sync_interval_seconds,
                replica=lambda: metrics.replica_figures(settings.data_dir),
            )
        )
        self.metrics.registry.further_names = settings.further_metric_names

    def use_pauses(self, pause: Callable[[float], None]) -> None:
        """Call *pause* with the seconds to wait before a sync is tried again."""
        self._options = replace(self._options, pause=pause)

    def run(self) -> bool:
        """Sync once; return True if it succeeded. Raises Stopped and nothing else."""
        began = self._now()
        with separate_breadcrumbs(), telemetry.span("sync"):
            opened = self._check_in("in_progress")
            try:
                run = self._sync(began)
            except Stopped:
                # A requested stop is not a failure; the check-in must be closed.
                self._check_in("ok", opened, self._now() - began)
                raise
            self._check_in("ok" if run and run.success else "error", opened)
            if run:
                self._report(run)
        return run is not None and run.success

    def _sync(self, began: datetime) -> Run | None:
        """Sync; return the run, or None if another updater is running, which reports."""
        guarded(self._announce)
        report: Report | None = None
        failed: Run | None = None

        def note(error: BaseException, severity: Severity) -> None:
            nonlocal failed
            failed = self._failed(began, error, severity)

        with contained(note):
            try:
                report = self._report_of_sync()
            except SyncRunning as error:
                _log.error(str(error), action="sync")
        return self._succeeded(began, report) if report else failed

    def _report_of_sync(self) -> Report:
        with self._progress.told():
            return sync(
                self._source,
                self._settings.data_dir,
                self._tables,
                now=self._now,
                on_table=lambda table: guarded(_log_table, table),
                options=self._options,
            )

    def _announce(self) -> None:
        _log.info(self._announcement(), action="sync")

    def _announcement(self) -> str:
        """What the sync reads; the first line, before the database answers."""
        only = self._options.only
        count = len(self._tables) if only is None else len(only)
        line = f"Reading {count} {'table' if count == 1 else 'tables'} of "
        line += self._source.name
        manifest = metrics.current_manifest(self._settings.data_dir)
        if manifest is None:
            return f"{line} for the first time"
        rows = sum(table.rows for table in manifest.tables.values())
        return f"{line}; the last copy has {rows:,} rows"

    def _failed(self, began: datetime, error: BaseException, severity: Severity) -> Run:
        self._stop.check()
        is_ours = isinstance(error, FppError)
        unexpected = f"Unexpected error ({type(error).__name__}); see the log"
        facts = {"source": self._source.name, "seconds": self._seconds_since(began)}
        context = ErrorContext("updater", "sync", facts)
        guarded(capture_error, error, context, severity)
        return Run(began, self._now(), False, str(error) if is_ours else unexpected)

    def _succeeded(self, began: datetime, report: Report) -> Run:
        guarded(self._log_success, report)
        guarded(self._record_derived, report.derived)
        message = self._message(report)
        tables = {table.name: table.counts for table in report.tables} | {
            name: TableRun(rows_removed=rows) for name, rows in report.removed.items()
        }
        failures = [failed.describe(name) for name, failed in report.failed.items()]
        if report.removed:
            message += f"; no longer mirrored: {', '.join(report.removed)}"
        message = "; ".join([message, *failures])
        return Run(began, self._now(), True, message, tables)

    def _message(self, report: Report) -> str:
        return (
            f"Mirrored {report.rows:,} rows of {self._source.name}, "
            f"{report.rows_fetched:,} fetched, in {report.seconds:.2f} s"
        )

    def _log_success(self, report: Report) -> None:
        message = self._message(report)
        for name, failed in report.failed.items():
            _log.warning(failed.describe(name), action="sync")
        unread = f"; not read: {', '.join(report.failed)}" if report.failed else ""
        _log.info(
            f"{message}{unread}: snapshot {report.snapshot}",
            action="sync",
            rows=report.rows,
            rows_fetched=report.rows_fetched,
            snapshot=report.snapshot,
            ms=round(report.seconds * 1000),
        )
        for name, rows in report.removed.items():
            left = f"{name} is no longer mirrored: its copy of {rows:,} rows is removed"
            _log.warning(left, action="sync")

    def _record_derived(self, reports: Sequence[DerivedReport]) -> None:
        """Log what happened to the derived tables, and add builds to the view log."""
        for report in reports:
            _log_derived(report)
        runs = [report.view_run for report in reports if report.was_run]
        try:
            append_view_runs(self._settings.data_dir, runs)
        except StorageError as error:
            _log.warning(str(error), action="record")

    def _report(self, run: Run) -> None:
        """Tell everybody, each whether or not the others could be told."""
        self._runs = run_log.updated_summary(self._runs, run)
        guarded(self._count, run)
        guarded(self._record, run)
        if self._heartbeat is not None:
            push = self._heartbeat.up if run.success else self._heartbeat.down
            guarded(push, f"{run.message}{self._replica_note()}", run.took)

    def _replica_note(self) -> str:
        """What is wrong with the replica, as far as it is known; empty without one."""
        replica = guarded(metrics.replica_figures, self._settings.data_dir)
        if self._settings.replica_url is None or replica is None:
            return ""
        problem = replica.failed_because
        return f"; the replica is not up to date: {problem}" if problem else ""

    def _count(self, run: Run) -> None:
        self.metrics.runs.labels("success" if run.success else "failure").inc()

    def _record(self, run: Run) -> None:
        try:
            append_run(self._settings.data_dir, run)
        except StorageError as error:
            # Not a failure of the run. After a failed run the disk is the known cause.
            if run.success:
                _log.warning(str(error), action="record")

    def _check_in(
        self,
        status: Literal["in_progress", "ok", "error"],
        opened: str | None = None,
        took: timedelta | None = None,
    ) -> str | None:
        interval = timedelta(seconds=self._settings.sync_interval_seconds)
        return guarded(
            check_in,
            MONITOR,
            status,
            every=interval,
            margin=interval,
            max_runtime=MAX_RUNTIME,
            check_in_id=opened,
            took=took,
        )

    def _seconds_since(self, began: datetime) -> float:
        return (self._now() - began).total_seconds()


def _heartbeat(settings: Settings) -> "Heartbeat | None":
    """The monitor that each run is pushed to; None without one. Raises SettingsError."""
    url = settings.uptimekuma_push_url
    if url is None:
        return None
    from util.heartbeat import Heartbeat  # Nobody else needs it.

    return Heartbeat(url.get_secret_value())


def derived_options(settings: Settings) -> DerivedOptions:
    """How to build derived tables, from the settings."""
    return DerivedOptions(
        settings.views_dir,
        settings.timezone,
        settings.views_memory_mb,
        settings.views_disk_mb,
        settings.views_seconds,
    )


def _log_derived(report: DerivedReport) -> None:
    seconds = (report.ended_at - report.started_at).total_seconds()
    facts = {
        "view": report.name,
        "outcome": str(report.outcome),
        "rows": report.rows,
        "rows_read": report.rows_read,
        "ms": round(seconds * 1000),
    }
    if report.outcome.is_good:
        _log.info(
            f"{report.object:<16} {report.rows:>12,} rows  {report.outcome:>20}  "
            f"{seconds:6.2f} s",
            action="views",
            **facts,
        )
    else:
        whose = f"{report.name or report.file} is stale"
        _log.warning(f"{whose}: {report.message}", action="views", **facts)


def _log_table(table: TableReport) -> None:
    fetched = (
        f"{table.counts.rows_fetched:,} fetched"
        if table.counts.rows_fetched
        else "unchanged"
    )
    line = (
        f"{table.name:<16} {table.rows:>12,} rows  {fetched:>20}  "
        f"{table.seconds:6.2f} s{''.join(f', {note}' for note in _notes(table))}"
    )
    facts = {
        "table": table.name,
        "rows": table.rows,
        "rows_fetched": table.counts.rows_fetched,
        "parts": table.parts,
        "parts_written": table.counts.parts_rewritten,
        "bytes_written": table.bytes_written,
        "zero_dates": table.zero_dates,
        "repaired_texts": table.repaired_texts,
        "ms": round(table.seconds * 1000),
    }
    _log.info(line, action="sync", **facts)
    add_error_breadcrumb(f"{table.name} mirrored", "updater", facts)


def _notes(table: TableReport) -> Iterator[str]:
    """How the copy differs from the database's table."""
    if table.zero_dates:
        yield f"{table.zero_dates} zero dates became NULL"
    if table.repaired_texts:
        yield f"U+FFFD replaced invalid characters in {table.repaired_texts} texts"
    if table.hides_columns:
        yield "columns without the SELECT right are left out"
