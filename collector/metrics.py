"""Metrics of the collector."""

from prometheus_client import Counter, Gauge, Histogram

from events.codes import RejectionCode
from util.metrics import ApiMetrics

COMMIT_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)
"""Seconds."""


class EventMetrics(ApiMetrics):
    """Registry of the collector: adds events by verdict, and the spool."""

    def __init__(self) -> None:
        super().__init__()
        self.accepted = Counter(
            "fpp_events_accepted_total",
            "Events that were accepted; repetitions are counted again.",
            registry=self.registry,
        )
        self.rejected = Counter(
            "fpp_events_rejected_total",
            "Events that were rejected and stored as dead letters, by code.",
            ("code",),
            registry=self.registry,
        )
        for code in RejectionCode:
            self.rejected.labels(code)
        self.commit_seconds = Histogram(
            "fpp_spool_commit_seconds",
            "Time to write a file of events and flush it to the disk.",
            buckets=COMMIT_BUCKETS,
            registry=self.registry,
        )
        self.failed_commits = Counter(
            "fpp_spool_failed_commits_total",
            "Files of events that could not be written.",
            registry=self.registry,
        )
        self.spool_bytes = Gauge(
            "fpp_spool_size_bytes",
            "Bytes of the spool that the updater has not taken.",
            registry=self.registry,
        )
        self.spool_files = Gauge(
            "fpp_spool_files",
            "Files of the spool that the updater has not taken.",
            registry=self.registry,
        )
        self.spool_oldest = Gauge(
            "fpp_spool_oldest_timestamp_seconds",
            "When the oldest file of the spool was written; 0 if it is empty.",
            registry=self.registry,
        )
