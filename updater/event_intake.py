"""Drains of the spool and their reports: to the log, the metrics and Sentry."""

from collections.abc import Callable, Collection
from datetime import UTC, datetime
from pathlib import Path

from readmodel.store.damage import PARSE_ERRORS
from readmodel.store.event_tables import EVENT_TABLES
from readmodel.sync.drain import DrainReport, drain
from updater.guarded import guarded
from updater.intake_metrics import IntakeMetrics
from util.errors import FppError, SettingsError, SyncRunning
from util.logs import get_logger
from util.sentry_wrapper import ErrorContext, Severity, capture_error
from util.stopping import StopRequest

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
    """Takes events from the spool, and reports what it did.

    A failure is independent of the syncs, and reported once until a drain succeeds: it
    may be repeated every few seconds.
    """

    def __init__(
        self,
        data_dir: Path,
        spool_dir: Path,
        mirrored: Collection[str],
        metrics: IntakeMetrics,
        stop: StopRequest,
        now: Callable[[], datetime] = _now,
    ) -> None:
        """Raises SettingsError if one of the *mirrored* tables is called like ours."""
        require_free_names(mirrored, "SPOOL_DIR")
        self._data_dir = data_dir
        self._spool_dir = spool_dir
        self._stop = stop
        self._now = now
        self._reported: str | None = None
        self._metrics = metrics

    def run(self) -> bool:
        """Drain the spool once; return True if that succeeded.

        Raises Stopped and nothing else.
        """
        try:
            report = drain(self._data_dir, self._spool_dir, self._now)
        except SyncRunning as error:
            _log.warning(str(error), action="drain")
            return False
        except FppError as error:
            self._stop.check()
            self._failed(error, Severity.HIGH)
            return False
        except (Exception, *PARSE_ERRORS) as error:  # noqa: BLE001
            # The outermost handler: whatever went wrong, the next drain is tried.
            self._stop.check()
            self._failed(error, Severity.CRITICAL)
            return False
        guarded(self._succeeded, report)
        return True

    def _failed(self, error: BaseException, severity: Severity) -> None:
        self._metrics.failures.inc()
        if self._reported != str(error):
            guarded(capture_error, error, ErrorContext("events", "drain"), severity)
        self._reported = str(error)

    def _succeeded(self, report: DrainReport) -> None:
        self._metrics.count(report, self._now())
        if self._reported is not None:
            _log.info("Events are taken again", action="drain")
        self._reported = None
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
