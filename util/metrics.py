"""Prometheus registries of the API and of the updater."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    start_http_server,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from util.errors import SettingsError

BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Seconds. A 304 takes about a millisecond, an answer about millions of rows one second."""

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
UNMATCHED: Final = "unmatched"
"""Label for requests that match no route."""


TOTAL: Final = "_total"
"""End of the name of a counter's sample, which the name of its family lacks."""


class NamedRegistry(CollectorRegistry):
    """A registry that shows some metrics again under further names.

    `further_names` maps these to the metrics' own names. A name that is not here is
    left out: each program has some of the metrics.
    """

    def __init__(self) -> None:
        super().__init__()
        self.further_names: Mapping[str, str] = {}

    def collect(self) -> Iterable[Metric]:
        """All metrics, each followed by its copies under further names."""
        copies: dict[str, list[str]] = {}
        for further, name in self.further_names.items():
            copies.setdefault(name.removesuffix(TOTAL), []).append(
                further.removesuffix(TOTAL)
            )
        for family in super().collect():
            yield family
            for further in copies.get(family.name, ()):
                yield _renamed(family, further)


def _renamed(family: Metric, name: str) -> Metric:
    copy = Metric(name, family.documentation, family.type, family.unit)
    copy.samples = [
        sample._replace(name=name + sample.name.removeprefix(family.name))
        for sample in family.samples
    ]
    return copy


class Metrics:
    """One registry with the metrics of *collectors* and of the process itself."""

    def __init__(self, *collectors: Collector) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = NamedRegistry()
        ProcessCollector(registry=self.registry)
        for collector in collectors:
            self.registry.register(collector)

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """Render all metrics; return the text and its content type, chosen by *accept*."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type


class ApiMetrics(Metrics):
    """Registry of the API: adds requests, failed logins and rate limiting."""

    def __init__(self, *collectors: Collector) -> None:
        super().__init__(*collectors)
        self._requests = Histogram(
            "fpp_http_request_duration_seconds",
            "Time to answer a request, by route template, method and status.",
            ("route", "method", "status"),
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._kinds: dict[tuple[str, ...], Histogram] = {}
        # Separate from the histogram: rate() misses the first error of a new series.
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
        self.calls = Counter(
            "fpp_calls_total",
            "Requests with a valid token, by the name of the token.",
            ("caller",),
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
        """Count a request. *route* is the template, not the path, or None if unmatched."""
        method = method if method in METHODS else "OTHER"
        labels = (route or UNMATCHED, method, str(status))
        kind = self._kinds.get(labels)
        if kind is None:  # looking it up takes as long as counting
            kind = self._kinds[labels] = self._requests.labels(*labels)
        kind.observe(took.total_seconds())
        if status >= 500 and status != 503:
            self.errors.inc()


class UpdaterMetrics(Metrics):
    """Registry of the updater: adds the finished runs, and the daily reports."""

    def __init__(self, *collectors: Collector) -> None:
        super().__init__(*collectors)
        self.runs = Counter(
            "fpp_sync_runs_total",
            "Finished runs since the updater started, by result.",
            ("result",),
            registry=self.registry,
        )
        for result in ("success", "failure"):
            self.runs.labels(result)
        self.daily_reports = Counter(
            "fpp_daily_reports_total",
            "Daily reports since the updater started, by what is known of them.",
            ("state",),
            registry=self.registry,
        )
        for state in ("sent", "refused", "unknown", "not_delivered"):
            self.daily_reports.labels(state)

    @contextmanager
    def serving(self, host: str, port: int | None) -> Iterator[None]:
        """Serve ``/metrics`` on *host* and *port* during the block, if a port is given.

        Raises SettingsError if the port cannot be used.
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
