"""Counters of the events that were taken since the updater started."""

from datetime import datetime
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from events.codes import RejectionCode
from readmodel.sync.event_publish import DrainReport


class IntakeMetrics:
    """Events by verdict, from the spool and from Kafka together."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry: Final = registry
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
            "Drains of the spools that failed, or that could not take all of them.",
            registry=registry,
        )
        self.conflicts: Final = Counter(
            "fpp_events_spool_conflicts_total",
            "Instances of collectors of which a drain found different files.",
            registry=registry,
        )
        self._drained_at = Gauge(
            "fpp_events_last_drain_timestamp_seconds",
            "When the spools were last read to their end.",
            registry=registry,
        )

    def count(self, report: DrainReport) -> None:
        """Add what *report* says."""
        self._stored.inc(report.accepted)
        self._repeated.inc(report.repeated)
        for code, number in report.rejected.items():
            self._rejected.labels(code).inc(number)

    def drained(self, now: datetime) -> None:
        """Note that the spools were read to their end."""
        self._drained_at.set(now.timestamp())
