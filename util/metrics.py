"""Metrics in Prometheus' text form, for the API and for the updater.

Times are instants, never "seconds since": an exporter that stops must not look fresh.
"""

from collections.abc import Callable, Iterator, Mapping, Sized
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    start_http_server,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from util.errors import SettingsError

# Seconds. A cached answer takes about a millisecond, a whole read model a second.
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
UNMATCHED = "unmatched"  # the route of an address that nothing serves


class TableFigures(Protocol):
    """One table of the read model; since *checked_at* all of it equals the database."""

    @property
    def rows(self) -> int: ...
    @property
    def parts(self) -> Sized: ...
    @property
    def bytes(self) -> int: ...
    @property
    def checked_at(self) -> datetime: ...


class SnapshotFigures(Protocol):
    """The snapshot that is served."""

    @property
    def taken_at(self) -> datetime: ...
    @property
    def tables(self) -> Mapping[str, TableFigures]: ...


class FetchFigures(Protocol):
    """What one run did to one table."""

    @property
    def rows_fetched(self) -> int: ...


class RunFigures(Protocol):
    """One run of the updater."""

    @property
    def ended_at(self) -> datetime: ...
    @property
    def took(self) -> timedelta: ...
    @property
    def tables(self) -> Mapping[str, FetchFigures]: ...


class SyncFigures(Protocol):
    """The runs so far."""

    @property
    def last(self) -> RunFigures: ...
    @property
    def last_success_at(self) -> datetime | None: ...
    @property
    def failures_in_a_row(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Sources:
    """Where figures come from at each scrape; None while there is nothing to tell."""

    snapshot: Callable[[], SnapshotFigures | None]
    sync: Callable[[], SyncFigures | None]


class Metrics:
    """One registry: the read model, the runs, and the process itself."""

    def __init__(self, sources: Sources) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.registry.register(_ReadModelCollector(sources))

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """All metrics as text, and its content type, in the form *accept* asks for."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type


class ApiMetrics(Metrics):
    """The API's registry: additionally requests, failed logins and refusals."""

    def __init__(self, sources: Sources) -> None:
        super().__init__(sources)
        self._requests = Histogram(
            "fpp_http_request_duration_seconds",
            "Time to answer a request, by route template, method and status.",
            ("route", "method", "status"),
            buckets=BUCKETS,
            registry=self.registry,
        )
        # Of its own, since a series that appears with its first error does not rise.
        self.errors = Counter(
            "fpp_errors_total",
            "Requests answered with a server error, except 503 without a read model.",
            registry=self.registry,
        )
        self.failed_logins = Counter(
            "fpp_failed_logins_total",
            "Requests with a missing or wrong token.",
            registry=self.registry,
        )
        self.rate_limited = Counter(
            "fpp_rate_limited_total",
            "Requests answered 429, since the caller sent too many.",
            registry=self.registry,
        )

    def observe(
        self, route: str | None, method: str, status: int, took: timedelta
    ) -> None:
        """Count a request; *route* is the template, so that no address is a label."""
        method = method if method in METHODS else "OTHER"
        labels = (route or UNMATCHED, method, str(status))
        self._requests.labels(*labels).observe(took.total_seconds())
        if status >= 500 and status != 503:
            self.errors.inc()


class UpdaterMetrics(Metrics):
    """The updater's registry: additionally runs counted by their end."""

    def __init__(self, sources: Sources) -> None:
        super().__init__(sources)
        self.runs = Counter(
            "fpp_sync_runs_total",
            "Finished runs since the updater started, by result.",
            ("result",),
            registry=self.registry,
        )
        for result in ("success", "failure"):
            self.runs.labels(result)

    @contextmanager
    def serving(self, host: str, port: int | None) -> Iterator[None]:
        """Serve ``/metrics`` on *host* and *port* meanwhile; nothing without a port.

        Raises SettingsError when the port cannot be had.
        """
        if port is None:
            yield
            return
        try:
            server, thread = start_http_server(port, host, self.registry)
        except OSError as error:
            raise SettingsError(
                f"METRICS_PORT {port} cannot be used on {host}: {error.strerror}"
            ) from None
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


class _ReadModelCollector(Collector):
    """Asks for the figures at each scrape, so that they are never stale."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def describe(self) -> list[GaugeMetricFamily]:
        """Nothing, so that registering does not read the disk."""
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        if snapshot := self._sources.snapshot():
            yield from _snapshot_gauges(snapshot)
        if sync := self._sources.sync():
            yield from _sync_gauges(sync)


def _snapshot_gauges(snapshot: SnapshotFigures) -> Iterator[GaugeMetricFamily]:
    tables = snapshot.tables
    yield _gauge(
        "fpp_snapshot_timestamp_seconds",
        "When the snapshot that is served was taken.",
        snapshot.taken_at.timestamp(),
    )
    yield _by_table(
        "fpp_table_rows",
        "Rows of a table in the snapshot.",
        {name: table.rows for name, table in tables.items()},
    )
    yield _by_table(
        "fpp_table_parts",
        "Files of a table in the snapshot.",
        {name: len(table.parts) for name, table in tables.items()},
    )
    yield _by_table(
        "fpp_table_size_bytes",
        "Bytes of a table's files in the snapshot.",
        {name: table.bytes for name, table in tables.items()},
    )
    yield _by_table(
        "fpp_table_verified_timestamp_seconds",
        "Since when every part of a table is known to equal the database.",
        {name: table.checked_at.timestamp() for name, table in tables.items()},
    )


def _sync_gauges(sync: SyncFigures) -> Iterator[GaugeMetricFamily]:
    yield _gauge(
        "fpp_sync_last_run_timestamp_seconds",
        "When the last run ended, whatever its result.",
        sync.last.ended_at.timestamp(),
    )
    if sync.last_success_at:
        yield _gauge(
            "fpp_sync_last_success_timestamp_seconds",
            "When the last successful run ended.",
            sync.last_success_at.timestamp(),
        )
    yield _gauge(
        "fpp_sync_last_duration_seconds",
        "How long the last run took.",
        sync.last.took.total_seconds(),
    )
    yield _gauge(
        "fpp_sync_failures_in_a_row",
        "Failed runs since the last successful one.",
        sync.failures_in_a_row,
    )
    yield _by_table(
        "fpp_sync_rows_fetched",
        "Rows of a table that the last run fetched.",
        {name: table.rows_fetched for name, table in sync.last.tables.items()},
    )


def _gauge(name: str, help_text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, help_text, value)


def _by_table(
    name: str, help_text: str, values: Mapping[str, float]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, help_text, labels=["table"])
    for table, value in sorted(values.items()):
        family.add_metric([table], value)
    return family
