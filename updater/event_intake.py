"""Drains of the spools and their reports: to the log, the metrics and Sentry."""

from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from readmodel.spool.folder import folder_spools
from readmodel.spool.protocol import Spool
from readmodel.store.event_tables import EVENT_TABLES
from readmodel.sync.drain import DrainReport, drain_spools
from updater.fault_reports import FaultReports
from updater.guarded import contained, guarded
from updater.intake_metrics import IntakeMetrics
from util.errors import SettingsError, SpoolError, SyncRunning
from util.logs import get_logger
from util.sentry_wrapper import ErrorContext, Severity, capture_error
from util.stopping import StopRequest

if TYPE_CHECKING:
    from updater.collector_pulls import CollectorPulls

_log = get_logger("events")


def _now() -> datetime:
    return datetime.now(UTC)


def require_free_names(mirrored: Collection[str], setting: str) -> None:
    """Raise SettingsError if one of the *mirrored* tables is called like ours."""
    if taken := sorted(EVENT_TABLES.keys() & set(mirrored)):
        raise SettingsError(
            f"SYNC_TABLES mirrors {taken[0]}, but with {setting} the read model has "
            "its own table of that name: unset one of them"
        )


class EventIntake:
    """Takes events from the spools, and reports what it did.

    A failure is independent of the syncs, and reported once until a drain succeeds: it
    may be repeated every few seconds.
    """

    def __init__(
        self,
        data_dir: Path,
        spool_dir: Path | None,
        mirrored: Collection[str],
        metrics: IntakeMetrics,
        stop: StopRequest,
        now: Callable[[], datetime] = _now,
        pulls: "CollectorPulls | None" = None,
    ) -> None:
        """Take events from the folder *spool_dir*, and those that *pulls* fetches.

        Raises SettingsError if one of the *mirrored* tables is called like ours.
        """
        require_free_names(mirrored, "SPOOL_DIR" if spool_dir else "COLLECTOR_URLS")
        self._data_dir = data_dir
        self._spool_dir = spool_dir
        self._pulls = pulls
        self._now = now
        self._faults = FaultReports(ErrorContext("events", "drain"), stop)
        self._reported_conflicts: set[str] = set()
        self._metrics = metrics

    def run(self) -> bool:
        """Drain the spools once; return True if that succeeded.

        Raises Stopped and nothing else.
        """
        if self._pulls:
            self._pulls.start()
        return self._drain()

    def run_to_end(self) -> bool:
        """The same, after pulling all that waits on other hosts."""
        return self._pulls.run_to_end(self._drain) if self._pulls else self._drain()

    def close(self) -> None:
        """Disconnect from collectors."""
        if self._pulls:
            self._pulls.close()

    def _spools(self) -> list[Spool]:
        pulled: Sequence[Spool] = self._pulls.spools if self._pulls else ()
        return [*(folder_spools(self._spool_dir) if self._spool_dir else ()), *pulled]

    def _drain(self) -> bool:
        with contained(self._failed):
            try:
                return self._report(
                    drain_spools(self._data_dir, self._spools(), self._now)
                )
            except SyncRunning as error:
                _log.warning(str(error), action="drain")
        return False

    def _report(self, report: DrainReport) -> bool:
        guarded(self._stored, report)
        guarded(self._warn_of_conflicts, report.conflicts)
        if report.failures:
            problem = SpoolError("; ".join(sorted(report.failures.values())))
            self._failed(problem, Severity.HIGH)
            return False
        guarded(self._succeeded)
        return True

    def _failed(self, error: BaseException, severity: Severity) -> None:
        self._faults.add(error, severity)
        self._metrics.failures.inc()

    def _warn_of_conflicts(self, conflicts: tuple[str, ...]) -> None:
        """Report each of them once."""
        self._metrics.conflicts.inc(len(conflicts))
        for text in conflicts:
            if text not in self._reported_conflicts:
                context = ErrorContext("events", "drain")
                capture_error(SpoolError(text), context, Severity.HIGH)
        self._reported_conflicts |= set(conflicts)

    def _succeeded(self) -> None:
        self._metrics.drained(self._now())
        if self._faults.clear():
            _log.info("Events are taken again", action="drain")

    def _stored(self, report: DrainReport) -> None:
        self._metrics.count(report)
        rejected = sum(report.rejected.values())
        if report.accepted or report.repeated or rejected:
            _log.info(
                f"Took {report.accepted:,} events from {report.files:,} files, "
                f"{report.repeated:,} repeated, {rejected:,} rejected: "
                f"snapshot {report.snapshot}",
                action="drain",
                accepted=report.accepted,
                repeated=report.repeated,
                rejected=dict(report.rejected),
                files=report.files,
                snapshot=report.snapshot,
            )
