"""All ways by which events come in, between the syncs: spools and Kafka."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from config import Settings
from readmodel.source.connect import tables_from_settings
from updater.event_intake import EventIntake, require_free_names
from updater.event_retention import DailyRetention
from updater.intake_metrics import IntakeMetrics
from util.stopping import StopRequest

if TYPE_CHECKING:
    from updater.collector_pulls import CollectorPulls
    from updater.kafka_intake import KafkaIntake


class EventIntakes:
    """Takes events from each of them; a failure of one holds back no other."""

    def __init__(
        self, settings: Settings, registry: CollectorRegistry, stop: StopRequest
    ) -> None:
        """Raises SettingsError."""
        metrics = IntakeMetrics(registry)
        self._spool = _spool_intake(settings, metrics, stop)
        self._kafka = _kafka_intake(settings, metrics, stop)
        self._retention = DailyRetention(
            settings.data_dir, settings.event_retention_days
        )
        self._interval = settings.events_interval_seconds
        if self._kafka:
            self._interval = min(self._interval, settings.flush_interval)

    def run(self) -> bool:
        """Take what is there; return True if that succeeded."""
        results = [intake.run() for intake in (self._spool, self._kafka) if intake]
        self._retention.run()
        return all(results)

    def run_to_end(self) -> bool:
        """The same, and wait for collectors and the connection to Kafka."""
        taken = self._spool is None or self._spool.run_to_end()
        taken = (self._kafka is None or self._kafka.run_to_end()) and taken
        self._retention.run()
        return taken

    def run_for(self, seconds: float) -> None:
        """Take events for *seconds*: at the beginning and at the end, and between.

        Derived tables of the sync that follows then have the newest events.
        """
        run_repeatedly(self.run, seconds, self._interval, self._wait)

    def close(self) -> None:
        """Disconnect."""
        if self._spool:
            self._spool.close()
        if self._kafka:
            self._kafka.close()

    def _wait(self, seconds: float) -> None:
        if self._kafka:
            self._kafka.wait(seconds)
        else:
            time.sleep(seconds)


def run_repeatedly(
    run: Callable[[], object],
    seconds: float,
    interval: float,
    wait: Callable[[float], None],
) -> None:
    """Call *run* every *interval*, at once and after *seconds*; *wait* between."""
    until = time.monotonic() + seconds
    run()
    while (left := until - time.monotonic()) > 0:
        wait(min(left, interval))
        run()


def _spool_intake(
    settings: Settings, metrics: IntakeMetrics, stop: StopRequest
) -> EventIntake | None:
    if settings.spool_dir is None and not settings.collector_addresses:
        return None
    mirrored = [table.name for table in tables_from_settings(settings)]
    return EventIntake(
        settings.data_dir,
        settings.spool_dir,
        mirrored,
        metrics,
        stop,
        pulls=_collector_pulls(settings, metrics),
    )


def _collector_pulls(
    settings: Settings, metrics: IntakeMetrics
) -> "CollectorPulls | None":
    if not settings.collector_addresses:
        return None
    from updater.collector_pulls import CollectorPulls  # Nobody else needs it.

    return CollectorPulls(settings, metrics.registry)


def _kafka_intake(
    settings: Settings, metrics: IntakeMetrics, stop: StopRequest
) -> "KafkaIntake | None":
    if settings.kafka_bootstrap_servers is None:
        return None
    from updater.kafka_intake import KafkaIntake

    mirrored = [table.name for table in tables_from_settings(settings)]
    require_free_names(mirrored, "KAFKA_BOOTSTRAP_SERVERS")
    return KafkaIntake(settings, metrics, stop)
