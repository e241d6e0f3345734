"""Events from Kafka: read in the pauses between syncs, stored in batches, reported."""

import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from config import Settings
from events.messages import TopicName
from readmodel.store.manifest import TopicPosition
from readmodel.stream.topic_reader import TopicReader
from readmodel.sync.event_publish import DrainReport
from readmodel.sync.spool_reader import concat_events
from readmodel.sync.stream_drain import PositionMoved, consumed_in, store_messages
from updater.fault_reports import FaultReports
from updater.guarded import contained
from updater.intake_metrics import IntakeMetrics
from updater.message_chunks import MessageChunk, PendingMessages
from updater.message_judging import MessageJudging
from util.errors import SyncRunning
from util.garbage import collection_paused
from util.logs import get_logger
from util.sentry_wrapper import ErrorContext, Severity
from util.stopping import StopRequest

LEAST_SECONDS: Final = 1.0
"""Between two snapshots, while messages trickle in."""

READ_SECONDS: Final = 0.1
"""How long a read waits, so that a stop request is noticed."""

FIRST_PAUSE_SECONDS: Final = 1.0
CLOSE_SECONDS: Final = 2.0
LONGEST_PAUSE_SECONDS: Final = 30.0
"""Before the next attempt to connect."""

BATCH_BUCKETS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Seconds. A thousand events take about 30 ms."""

_log = get_logger("kafka")


def _now() -> datetime:
    return datetime.now(UTC)


class KafkaIntake:
    """Reads the topic of the settings, and stores its messages.

    A fault closes the reader; it is opened again in the background, at the position in
    the manifest. So nothing waits for a broker that does not answer, and whatever went
    wrong, no message is missed or stored twice.
    """

    def __init__(
        self,
        settings: Settings,
        metrics: IntakeMetrics,
        stop: StopRequest,
        now: Callable[[], datetime] = _now,
    ) -> None:
        """Raises SettingsError."""
        self._settings = settings
        self._stop = stop
        self._now = now
        self._judging = MessageJudging(settings, stop.check)
        self._reader = TopicReader(settings)
        self._metrics = metrics
        self._kafka_metrics = KafkaMetrics(metrics)
        self._opening: ThreadedCall | None = None
        self._is_open = False
        self._pending = PendingMessages()
        self._recorded: TopicPosition | None = None
        self._stored_at = 0.0
        self._busy_until = 0.0
        self._try_at = 0.0
        self._pause = FIRST_PAUSE_SECONDS
        self._faults = FaultReports(ErrorContext("kafka", "drain"), stop)

    def wait(self, seconds: float) -> None:
        """Read for *seconds*, or until there is a whole batch. Raises Stopped."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self._has_batch():
            self._stop.check()
            if self._is_open and not self._pending.is_full:
                self._guarded(partial(self._read, min(left, READ_SECONDS)))
            else:
                time.sleep(min(left, READ_SECONDS))
                self._guarded(self._open)

    def run(self) -> bool:
        """Store what was read; return True unless something is wrong.

        Raises Stopped and nothing else.
        """
        self._guarded(self._open)
        if self._is_open:
            self._guarded(self._read_and_store)
        return self._faults.last is None

    def run_to_end(self) -> bool:
        """Store all messages that are there now. Raises Stopped and nothing else."""
        self._guarded(self._open)
        while self._opening is not None:
            self._stop.pause()
            self._guarded(self._open)
        while self._is_open:
            self._guarded(partial(self._read, READ_SECONDS))
            is_last = self._is_open and self._reader.is_at_end
            if is_last or self._pending.is_full:
                self._guarded(partial(self._store, all_of_them=is_last))
            if is_last:
                self._drop()
        return self._faults.last is None

    def close(self) -> None:
        """Disconnect, or give up after CLOSE_SECONDS: the client would wait for longer."""
        self._drop()
        self._judging.close()
        ThreadedCall(self._reader.close).wait(CLOSE_SECONDS)

    def _guarded(self, step: Callable[[], None]) -> None:
        """Take one *step*; report its failure, and open the reader again later."""
        with contained(self._failed):
            try:
                step()
            except SyncRunning as error:
                # What was read stays in memory: the next run stores it.
                _log.warning(str(error), action="drain")
                self._busy_until = time.monotonic() + LEAST_SECONDS
            except PositionMoved:
                _log.info("Another updater has read Kafka; reading on from there")
                self._drop()

    def _failed(self, error: BaseException, severity: Severity) -> None:
        self._faults.add(error, severity)
        self._kafka_metrics.failures.inc()
        self._try_at = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)
        self._drop()

    def _open(self) -> None:
        """Open the reader in the background; take note of the result."""
        if self._is_open:
            return
        if self._opening is None:
            if time.monotonic() >= self._try_at:
                self._recorded = None
                self._opening = ThreadedCall(self._connect)
            return
        if self._opening.is_running:
            return
        opening, self._opening = self._opening, None
        opening.result()
        self._is_open = True
        self._kafka_metrics.up.set(1)

    def _connect(self) -> None:
        """Runs in a thread; closing waits for the broker, too."""
        self._reader.close()
        consumed = consumed_in(self._settings.data_dir).kafka
        self._reader.open(consumed)
        self._recorded = consumed.get(self._reader.key)

    def _drop(self) -> None:
        """Forget what was read, and the connection."""
        self._is_open = False
        self._pending = PendingMessages()
        self._kafka_metrics.up.set(0)

    def _read(self, seconds: float) -> None:
        """Read what arrives within *seconds*, and then what is there at once."""
        while not self._pending.is_full:
            with collection_paused():
                messages = self._reader.read(self._pending.room, seconds)
                chunk = self._pending.add(messages, self._reader.position)
            if chunk is not None:
                self._hand_out(chunk)
            if not messages:
                return
            seconds = 0

    def _hand_out(self, chunk: MessageChunk) -> None:
        lag = sum(self._reader.lag(chunk.end).values())
        self._judging.hand_out(chunk, self._topic, lag, self._now())

    @property
    def _topic(self) -> TopicName:
        return TopicName(self._reader.topic, self._reader.position.topic_id)

    def _has_batch(self) -> bool:
        """True if a snapshot is worth it before the interval ends."""
        now = time.monotonic()
        if self._pending.is_full or now < self._busy_until:
            return now >= self._busy_until
        is_due = now - self._stored_at >= LEAST_SECONDS
        return is_due and len(self._pending) >= self._settings.batch_size

    def _read_and_store(self) -> None:
        if not self._pending:
            self._read(0)
        self._store()

    def _store(self, *, all_of_them: bool = False) -> None:
        """Store what was read, after making sure that it is of the topic we know.

        While a backlog is read, that is a part of it, unless *all_of_them* are wanted.
        """
        chunks = self._pending.take(self._reader.position, all_of_them=all_of_them)
        end = chunks[-1].end if chunks else self._reader.position
        if chunks or self._recorded is None:
            self._reader.verify()
            with self._kafka_metrics.batch_seconds.time():
                report = self._add(chunks, end)
            self._kafka_metrics.messages.inc(sum(len(each.messages) for each in chunks))
            self._pending.remove(chunks)
            self._stored_at = time.monotonic()
            self._reader.commit(end)
            self._succeeded(report)
        elif self._faults.last is not None:
            self._reader.verify()
            self._recovered()
        self._kafka_metrics.show_lag(self._reader.lag(end))

    def _add(self, chunks: Sequence[MessageChunk], end: TopicPosition) -> DrainReport:
        now = self._now()
        rows = concat_events(
            self._judging.rows(chunk, self._topic, now) for chunk in chunks
        )
        traces = chain.from_iterable(chunk.traceparents for chunk in chunks)
        rows = rows._replace(traceparents=tuple(traces))
        report = store_messages(
            self._settings.data_dir, self._reader.key, self._recorded, end, rows, now
        )
        self._recorded = end
        return report

    def _succeeded(self, report: DrainReport) -> None:
        self._recovered()
        self._metrics.count(report)
        self._metrics.drained(self._now())
        rejected = sum(report.rejected.values())
        if not (report.accepted or report.repeated or rejected):
            return
        _log.info(
            f"Took {report.accepted:,} events from {self._reader.topic}, "
            f"{report.repeated:,} repeated, {rejected:,} rejected: "
            f"snapshot {report.snapshot}",
            action="drain",
            accepted=report.accepted,
            repeated=report.repeated,
            rejected=dict(report.rejected),
            snapshot=report.snapshot,
        )

    def _recovered(self) -> None:
        if self._faults.clear():
            _log.info("Kafka is read again", action="drain")
        self._pause = FIRST_PAUSE_SECONDS


class ThreadedCall:
    """A call that runs in a thread, which does not keep the process alive."""

    def __init__(self, call: Callable[[], None]) -> None:
        self._call = call
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with contained(self._keep):
            self._call()

    def _keep(self, error: BaseException, _: Severity) -> None:
        self._error = error

    @property
    def is_running(self) -> bool:
        """True until the call has ended."""
        return self._thread.is_alive()

    def wait(self, seconds: float) -> None:
        """Return when the call has ended, or after *seconds*."""
        self._thread.join(seconds)

    def result(self) -> None:
        """Raise what the call has raised."""
        if self._error is not None:
            raise self._error


class KafkaMetrics:
    """Whether the topic is read, and how far it is behind."""

    def __init__(self, metrics: IntakeMetrics) -> None:
        self.failures: Final = Counter(
            "fpp_kafka_failures_total",
            "Attempts to read the topic, or to store its messages, that failed.",
            registry=metrics.registry,
        )
        self.messages: Final = Counter(
            "fpp_kafka_messages_total",
            "Messages of the topic that were taken; those of dead letters, too.",
            registry=metrics.registry,
        )
        self.batch_seconds: Final = Histogram(
            "fpp_kafka_batch_seconds",
            "Time to store a batch of messages and to publish it.",
            buckets=BATCH_BUCKETS,
            registry=metrics.registry,
        )
        self.up: Final = Gauge(
            "fpp_kafka_up",
            "1 while the topic is read, else 0.",
            registry=metrics.registry,
        )
        self._lag = Gauge(
            "fpp_kafka_lag_messages",
            "Messages of a partition that are not in the read model.",
            ("partition",),
            registry=metrics.registry,
        )

    def show_lag(self, lags: dict[int, int]) -> None:
        """Show the lag of each partition."""
        for number, messages in lags.items():
            self._lag.labels(str(number)).set(messages)
