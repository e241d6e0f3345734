"""A sync and everything around it: logged, recorded, measured, and told to monitors."""

import time
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from config import Settings
from readmodel.source.connect import tables_from_settings
from readmodel.source.protocol import Source
from readmodel.store import metrics, run_log
from readmodel.store.run_log import Run, TableRun
from readmodel.sync.append_run import record
from readmodel.sync.run import Options, Report, TableReport, sync
from util.errors import FppError, Stopped, StorageError, SyncRunning
from util.heartbeat import Heartbeat
from util.logs import get_log
from util.metrics import Sources, UpdaterMetrics
from util.sentry_wrapper import (
    ErrorContext,
    Severity,
    add_error_breadcrumb,
    capture_error,
    check_in,
    separate_breadcrumbs,
)
from util.stopping import StopRequest

MONITOR: Final = "fpp-analytics-sync"
"""The name of the cron monitor in Sentry, which the first check-in creates there."""

MAX_RUNTIME: Final = timedelta(hours=1)
"""No sync takes that long; one that does hangs."""

PATIENCE: Final = 0.8
"""A run tries again only within this share of the interval, so that runs never meet."""

SAID_EVERY_SECONDS: Final = 5
"""How often a long fetch says how far it is."""

_log = get_log("updater")


def _now() -> datetime:
    return datetime.now(UTC)


class Runner:
    """Runs one sync after the other and tells how each went, each exactly once."""

    def __init__(
        self,
        settings: Settings,
        source: Source,
        now: Callable[[], datetime] = _now,
        full: bool = False,
        only: Collection[str] | None = None,
        stop: StopRequest | None = None,
    ) -> None:
        """With *full* every row is fetched anew; *only* names the tables to sync.

        An error after *stop* was asked for is taken for its consequence.

        Raises SettingsError when UPTIMEKUMA_PUSH_URL or SYNC_TABLES is malformed.
        """
        self._tables = tables_from_settings(settings)
        self._options = Options(
            full=full,
            only=only,
            digest_seconds=settings.digest_budget_seconds,
            patience=timedelta(seconds=settings.sync_interval_seconds) * PATIENCE,
            on_progress=_Progress(),
            on_retry=lambda fault: _log.warning(fault, extra={"action": "sync"}),
        )
        self._settings = settings
        self._source = source
        self._now = now
        self._stop = stop or StopRequest()
        url = settings.uptimekuma_push_url
        self._heartbeat = Heartbeat(url.get_secret_value() if url else None)
        self._runs = metrics.run_summary(settings.data_dir)
        self.metrics = UpdaterMetrics(
            Sources(
                lambda: metrics.current_manifest(settings.data_dir), lambda: self._runs
            )
        )

    def run(self) -> bool:
        """One sync; whether it succeeded. Raises Stopped, and nothing else."""
        began = self._now()
        with separate_breadcrumbs():
            opened = self._check_in("in_progress")
            try:
                run = self._sync(began)
            except Stopped:
                # Asked for, so no failure; only the check-in must not stay open.
                self._check_in("ok", opened, self._now() - began)
                raise
            self._check_in("ok" if run and run.success else "error", opened)
            if run:
                self._tell(run)
        return run is not None and run.success

    def _sync(self, began: datetime) -> Run | None:
        """The run as it went; None when another updater was at work and will tell."""
        try:
            report = sync(
                self._source,
                self._settings.data_dir,
                self._tables,
                now=self._now,
                on_table=_tell_table,
                options=self._options,
            )
        except SyncRunning as error:
            _log.error(str(error), extra={"action": "sync"})
            return None
        except FppError as error:
            self._stop.check()
            return self._failed(began, error, str(error), Severity.HIGH)
        except Exception as error:
            # The edge of the updater: whatever went wrong, the next run is tried.
            self._stop.check()
            reason = f"Unexpected error ({type(error).__name__}); see the log"
            return self._failed(began, error, reason, Severity.CRITICAL)
        return self._succeeded(began, report)

    def _failed(
        self, began: datetime, error: Exception, reason: str, severity: Severity
    ) -> Run:
        facts = {"source": self._source.name, "seconds": self._seconds_since(began)}
        capture_error(error, ErrorContext("updater", "sync", facts), severity)
        return Run(began, self._now(), False, reason)

    def _succeeded(self, began: datetime, report: Report) -> Run:
        message = (
            f"Mirrored {report.rows:,} rows of {self._source.name}, "
            f"{report.fetched:,} fetched, in {report.seconds:.2f} s"
        )
        told = {
            "action": "sync",
            "rows": report.rows,
            "rows_fetched": report.fetched,
            "snapshot": report.snapshot,
            "ms": round(report.seconds * 1000),
        }
        _log.info("%s: snapshot %s", message, report.snapshot, extra=told)
        tables = {table.name: _table_run(table) for table in report.tables}
        return Run(began, self._now(), True, message, tables)

    def _tell(self, run: Run) -> None:
        self._runs = run_log.after(self._runs, run)
        self.metrics.runs.labels("success" if run.success else "failure").inc()
        try:
            record(self._settings.data_dir, run)
        except StorageError as error:
            # A missing line is no failure; and a full disk has failed the run already.
            if run.success:
                _log.warning(str(error), extra={"action": "record"})
        push = self._heartbeat.up if run.success else self._heartbeat.down
        push(run.message, run.took)

    def _check_in(
        self,
        status: Literal["in_progress", "ok", "error"],
        opened: str | None = None,
        took: timedelta | None = None,
    ) -> str | None:
        interval = timedelta(seconds=self._settings.sync_interval_seconds)
        return check_in(
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


class _Progress:
    """Says now and then how far a long fetch has come."""

    def __init__(self) -> None:
        self._said = time.monotonic()

    def __call__(self, table: str, fetched: int, wanted: int) -> None:
        if fetched == wanted or time.monotonic() - self._said < SAID_EVERY_SECONDS:
            return
        self._said = time.monotonic()
        share = f"{fetched / wanted:.0%} of {wanted:,} rows fetched"
        facts = {"table": table, "rows_fetched": fetched, "rows_to_fetch": wanted}
        _log.info("%s: %s", table, share, extra={"action": "sync", **facts})


def _tell_table(table: TableReport) -> None:
    fetched = f"{table.fetched:,} fetched" if table.fetched else "unchanged"
    zeros = f", {table.zero_dates} zero dates became NULL" if table.zero_dates else ""
    line = (
        f"{table.name:<16} {table.rows:>12,} rows  {fetched:>20}  "
        f"{table.seconds:6.2f} s{zeros}"
    )
    facts = {
        "table": table.name,
        "rows": table.rows,
        "rows_fetched": table.fetched,
        "parts": table.parts,
        "parts_written": table.parts_written,
        "bytes_written": table.bytes_written,
        "zero_dates": table.zero_dates,
        "ms": round(table.seconds * 1000),
    }
    _log.info(line, extra={"action": "sync", **facts})
    add_error_breadcrumb(f"{table.name} mirrored", "updater", facts)


def _table_run(table: TableReport) -> TableRun:
    return TableRun(
        rows_fetched=table.fetched,
        rows_added=table.changes.added,
        rows_changed=table.changes.changed,
        rows_removed=table.changes.removed,
        parts_rewritten=table.parts_written,
    )
