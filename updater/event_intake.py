"""Drains of the spool and their reports: to the log, the metrics and Sentry."""

from collections.abc import Callable, Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from events.codes import RejectionCode
from readmodel.store.damage import PARSE_ERRORS
from readmodel.store.event_tables import EVENT_TABLES
from readmodel.sync.drain import DrainReport, drain
from updater.guarded import guarded
from util.errors import FppError, SettingsError, SyncRunning
from util.logs import get_logger
from util.sentry_wrapper import ErrorContext, Severity, capture_error
from util.stopping import StopRequest

_log = get_logger("events")


def _now() -> datetime:
    return datetime.now(UTC)


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
        registry: CollectorRegistry,
        stop: StopRequest,
        now: Callable[[], datetime] = _now,
    ) -> None:
        """Raises SettingsError if one of the *mirrored* tables is called like ours."""
        if taken := sorted(EVENT_TABLES.keys() & set(mirrored)):
            raise SettingsError(
                f"SYNC_TABLES mirrors {taken[0]}, but with SPOOL_DIR the read model has "
                "its own table of that name: unset one of them"
            )
        self._data_dir = data_dir
        self._spool_dir = spool_dir
        self._stop = stop
        self._now = now
        self._reported: str | None = None
        self._metrics = _IntakeMetrics(registry)

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


class _IntakeMetrics:
    """Counters of the drains since the updater started."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._stored = Counter(
            "fpp_events_stored_total",
            "Events that were added to the read model.",
            registry=registry,
        )
        self._repeated = Counter(
            "fpp_events_repeated_total",
            "Events that were stored already and sent again.",
            registry=registry,
        )
        self._rejected = Counter(
            "fpp_events_dead_letters_total",
            "Dead letters that were added to the read model, by code.",
            ("code",),
            registry=registry,
        )
        for code in RejectionCode:
            self._rejected.labels(code)
        self.failures: Final = Counter(
            "fpp_event_drains_failed_total",
            "Drains of the spool that failed.",
            registry=registry,
        )
        self._drained_at = Gauge(
            "fpp_events_last_drain_timestamp_seconds",
            "When the spool was last read to its end.",
            registry=registry,
        )

    def count(self, report: DrainReport, now: datetime) -> None:
        """Add what *report* says."""
        self._stored.inc(report.accepted)
        self._repeated.inc(report.repeated)
        for code, number in report.rejected.items():
            self._rejected.labels(code).inc(number)
        self._drained_at.set(now.timestamp())
