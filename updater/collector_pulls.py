"""Pulls the spools of collectors on other hosts, each on a thread of its own.

A collector that is down or slow holds back neither the others nor the drains, which use
what has arrived.
"""

import threading
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from config import Settings
from readmodel.spool.collector_client import CollectorClient
from readmodel.spool.pulled import PulledSpool
from updater.guarded import contained, guarded
from util.errors import SpoolError
from util.logs import get_logger
from util.sentry_wrapper import ErrorContext, Severity, capture_error

BUFFER_BYTES: Final = 64 * 2**20
"""Of files that wait for a drain, of all collectors together."""

LEAST_BUFFER_BYTES: Final = 2**20
"""The same, of one."""

LONGEST_POLL_SECONDS: Final = 1.0
"""Between two listings of a collector."""

LONGEST_PAUSE_SECONDS: Final = 10.0
"""After failures, each of which doubles the pause."""

REPORT_AFTER: Final = timedelta(seconds=30)
"""A failure that lasts as long is an error; others are warnings."""

CLOSE_SECONDS: Final = 2.0
"""How long the end of the program waits for threads, which can be cut off anywhere."""

_log = get_logger("collectors")


class PullMetrics:
    """State of each collector whose spool is pulled."""

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ("collector",)
        gauge = partial(Gauge, labelnames=labels, registry=registry)
        counter = partial(Counter, labelnames=labels, registry=registry)
        self.up: Final = gauge(
            "fpp_collector_up",
            "1 if the last pull of a collector's spool succeeded, else 0.",
        )
        self.files: Final = gauge(
            "fpp_collector_waiting_files",
            "Files in a collector's spool, when it was last listed.",
        )
        self.bytes: Final = gauge(
            "fpp_collector_waiting_bytes", "Bytes of these files."
        )
        self.oldest: Final = gauge(
            "fpp_collector_oldest_timestamp_seconds",
            "When the oldest of these files was written; 0 without any.",
        )
        self.failures: Final = counter(
            "fpp_collector_pull_failures_total",
            "Pulls of a collector's spool that failed.",
        )
        self.pulled: Final = counter(
            "fpp_collector_pulled_bytes_total",
            "Bytes that were pulled from a collector.",
        )


class CollectorPull:
    """Pulls one spool, and reports how that goes."""

    def __init__(
        self,
        spool: PulledSpool,
        metrics: PullMetrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.spool: Final = spool
        self._metrics = metrics
        self._clock = clock
        self._failing_since: float | None = None
        self._is_reported = False
        self._counted_bytes = 0
        self.error: SpoolError | None = None
        """Of the last pull."""

    def run(self) -> bool:
        """Pull once; return True if that succeeded. Raises nothing."""
        return self._reported(self.spool.pull)

    def acknowledge(self) -> bool:
        """Have the collector remove what is stored, unless the last pull failed."""
        return self.error is None and self._reported(self.spool.acknowledge)

    def repeat(self, seconds: float, ended: threading.Event) -> None:
        """Pull every *seconds* until *ended*; failures make the pauses longer."""
        pause = seconds
        while not ended.wait(pause):
            succeeded = self.run()
            pause = seconds if succeeded else min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _reported(self, step: Callable[[], None]) -> bool:
        self.error = None
        with contained(self._keep):
            step()
        guarded(self._succeeded if self.error is None else self._failed)
        guarded(self._count)
        return self.error is None

    def _keep(self, error: BaseException, _: Severity) -> None:
        text = f"{type(error).__name__}: {error}"
        self.error = error if isinstance(error, SpoolError) else SpoolError(text)

    def _failed(self) -> None:
        assert self.error is not None
        now = self._clock()
        if self._failing_since is None:
            self._failing_since = now
            _log.warning(f"Events are not pulled: {self.error}", action="pull")
        lasts = now - self._failing_since >= REPORT_AFTER.total_seconds()
        if lasts and not self._is_reported:
            self._is_reported = True
            capture_error(self.error, ErrorContext("events", "pull"), Severity.HIGH)
        self._metrics.failures.labels(self.spool.name).inc()

    def _succeeded(self) -> None:
        if self._failing_since is not None:
            _log.info(f"Events of {self.spool.name} are pulled again", action="pull")
        self._failing_since, self._is_reported = None, False

    def _count(self) -> None:
        name = self.spool.name
        self._metrics.up.labels(name).set(self.error is None)
        new = self.spool.pulled_bytes - self._counted_bytes
        self._counted_bytes += new
        self._metrics.pulled.labels(name).inc(new)
        if waiting := self.spool.waiting:
            self._metrics.files.labels(name).set(waiting.files)
            self._metrics.bytes.labels(name).set(waiting.bytes)
            self._metrics.oldest.labels(name).set(waiting.oldest_at or 0)


class CollectorPulls:
    """Pulls the spools of all COLLECTOR_URLS."""

    def __init__(self, settings: Settings, registry: CollectorRegistry) -> None:
        """Raises SettingsError without SPOOL_TOKEN."""
        urls, token = settings.collector_addresses, settings.require_spool_token()
        most_bytes = max(BUFFER_BYTES // len(urls), LEAST_BUFFER_BYTES)
        metrics = PullMetrics(registry)
        self._pulls = [
            CollectorPull(PulledSpool(CollectorClient(url, token), most_bytes), metrics)
            for url in urls
        ]
        self._poll_seconds = min(
            LONGEST_POLL_SECONDS, settings.events_interval_seconds / 2
        )
        self._ended = threading.Event()
        self._threads: list[threading.Thread] = []

    @property
    def spools(self) -> Sequence[PulledSpool]:
        """What drains read."""
        return [pull.spool for pull in self._pulls]

    @property
    def problems(self) -> list[str]:
        """Why collectors could not be pulled the last time, a sentence each."""
        return [str(pull.error) for pull in self._pulls if pull.error]

    def start(self) -> None:
        """Pull repeatedly from now on, unless that was started before."""
        if not self._threads:
            self._threads = [self._thread(p.repeat, p.spool.name) for p in self._pulls]

    def run_to_end(self, drain: Callable[[], bool]) -> bool:
        """Pull all that waits, have *drain* store it, and acknowledge it.

        Returns True if all of it succeeded.
        """
        while True:
            self._each(CollectorPull.run)
            if not drain():
                return False
            if not any(pull.spool.has_backlog for pull in self._pulls):
                break
        succeeded = not self.problems
        self._each(CollectorPull.acknowledge)
        return succeeded and not self.problems

    def close(self) -> None:
        """Stop, and disconnect."""
        self._ended.set()
        self._disconnect()
        until = time.monotonic() + CLOSE_SECONDS
        for thread in self._threads:
            thread.join(max(until - time.monotonic(), 0))
        # A thread may have connected once more before it noticed.
        self._disconnect()

    def _disconnect(self) -> None:
        for pull in self._pulls:
            pull.spool.close()

    def _thread(self, repeat: Callable[..., None], name: str) -> threading.Thread:
        thread = threading.Thread(
            target=repeat,
            args=(self._poll_seconds, self._ended),
            name=f"pull {name}",
            daemon=True,
        )
        thread.start()
        return thread

    def _each(self, step: Callable[[CollectorPull], object]) -> None:
        """Do *step* for all collectors at once, and wait for the slowest."""
        threads = [
            threading.Thread(target=step, args=(pull,), daemon=True)
            for pull in self._pulls
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
