"""The connection to the scheduler: who may run plans, and what went wrong.

An event loop on a thread of its own connects, asks the workers for their versions and
snapshots, and asks again after a pause. So no request waits for a cluster that has
failed: until the workers answer again, answers are computed locally.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from cluster import tasks
from cluster.address import ClusterAddress
from cluster.dask_settings import configure_dask
from cluster.engine import DaskEngine
from cluster.metrics import ClusterMetrics
from cluster.reasons import Reason
from cluster.versions import Versions, differences, own_versions
from util.errors import ClusterError
from util.logs import get_logger

if TYPE_CHECKING:
    from distributed import Client, Future

PAUSE_SECONDS: Final = 5.0
"""Between two questions to the workers; after a failure as well."""

PROBE_SECONDS: Final = 5.0
"""In which the scheduler and each worker must answer a question."""

CONNECT_SECONDS: Final = 3.0
"""In which a connection to the scheduler must be there."""

CLOSE_SECONDS: Final = 1.0

CONNECTION_ERRORS: Final = (OSError, TimeoutError, ImportError, ValueError)
"""What a client raises; ImportError and ValueError for another version of Dask."""

MOST_REPORTED: Final = 100
"""Remembered failures, which are not logged again until the cluster has answered."""

_log = get_logger("cluster")


@dataclass(frozen=True, slots=True)
class WorkerState:
    """What a worker has said of itself; `problem` is empty if it may run plans."""

    address: str
    reason: Reason
    problem: str = ""


class ClusterConnection:
    """Sends plans to the workers of one scheduler. Thread-safe."""

    def __init__(
        self,
        address: ClusterAddress,
        content: Callable[[], str | None],
        metrics: ClusterMetrics,
        seconds: float,
        pause: float = PAUSE_SECONDS,
        probe_seconds: float = PROBE_SECONDS,
    ) -> None:
        """Wait at most *seconds* for plans. *content* is that of the current snapshot.

        *pause* and *probe_seconds* are about the questions to the workers.
        """
        self._address = address
        self._content = content
        self._metrics = metrics
        self._seconds = seconds
        self._pause = pause
        self._probe_seconds = probe_seconds
        self._client: Client | None = None
        self._usable: tuple[str, ...] = ()
        self._why = ClusterError(Reason.STARTING, "it is being connected")
        self._reported: set[str] = set()
        self._announced: tuple[str, ...] = ()
        self._loop = asyncio.new_event_loop()
        self._closing = asyncio.Event()
        self._thread = threading.Thread(target=self._work, name="cluster", daemon=True)

    def start(self) -> None:
        """Connect, in the background."""
        self._thread.start()

    def close(self) -> None:
        """Disconnect; plans that are being run fail."""
        self._usable = ()
        self._why = ClusterError(Reason.STOPPED, "the program ends")
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._closing.set)
            self._thread.join(2 * CLOSE_SECONDS)

    @property
    def workers(self) -> int:
        """Number of workers that may run plans now."""
        return len(self._usable)

    @property
    def why(self) -> str:
        """The reason why there is none, or was none last."""
        return self._why.reason

    def require_workers(self) -> int:
        """Number of workers. Raises ClusterError, which says why there is none."""
        if not self._usable:
            raise ClusterError(self._why.reason, str(self._why))
        return len(self._usable)

    def engine(self, content: str, *, is_streaming: bool) -> DaskEngine:
        """An engine that lets the workers run plans over *content*."""
        return DaskEngine(self, content, is_streaming=is_streaming)

    def count_answer(self) -> None:
        """Count an answer; failures are logged again from now on."""
        self._metrics.answers.inc()
        if self._reported:
            self._reported.clear()
            _log.info("The cluster computes answers again", action="cluster")

    def count_fallback(self, error: ClusterError) -> None:
        """Count an answer that the cluster did not compute, by its reason."""
        self._metrics.fallbacks.labels(error.reason).inc()

    def run(
        self, plans: Sequence[bytes], content: str, *, is_streaming: bool
    ) -> list[bytes]:
        """The rows of each plan as Arrow IPC; all of them are run at once.

        Raises ClusterError.
        """
        self.require_workers()
        work = self._gathered(plans, content, is_streaming)
        running = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            # The coroutine has a deadline of its own; this one is for a stuck loop.
            failure = running.exception(self._seconds + CLOSE_SECONDS)
        except TimeoutError:
            running.cancel()
            failure = ClusterError(Reason.SILENT, "the connection does not answer")
        if failure is None:
            return running.result()
        error = self._explain(failure)
        self._failed(error)
        raise error

    def _explain(self, failure: BaseException) -> ClusterError:
        """What *failure* means for plans: whatever Dask raises, no answer fails by it."""
        match failure:
            case ClusterError():
                return failure
            case TimeoutError():
                text = f"no answer within {self._seconds:g} s (ENGINE_SECONDS)"
                return ClusterError(Reason.SILENT, text)
        text = f"the connection was lost: {_describe(failure)}"
        return ClusterError(Reason.LOST, text)

    async def _gathered(
        self, plans: Sequence[bytes], content: str, is_streaming: bool
    ) -> list[bytes]:
        client, usable = self._client, list(self._usable)
        if client is None or not usable:
            raise self._why
        futures = [
            client.submit(
                tasks.run_plan,
                plan,
                content,
                is_streaming,
                own_versions(),
                key=f"fpp-plan-{uuid4().hex}",
                workers=usable,
                pure=False,
            )
            for plan in plans
        ]
        try:
            async with asyncio.timeout(self._seconds):
                return await _rows(client, futures)
        finally:
            for future in futures:  # what is still running is of no use
                future.release()

    def _work(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.set_exception_handler(_log_left_over)
        with closing(self._loop):
            self._loop.run_until_complete(self._maintain())

    async def _maintain(self) -> None:
        """Ask the workers, again and again, until `close`."""
        while not self._closing.is_set():
            (failure,) = await asyncio.gather(self._probe(), return_exceptions=True)
            if failure is not None:
                self._failed(_unreachable(self._address, failure))
            # After a timeout, answers that are being computed may still arrive by it.
            if not isinstance(failure, TimeoutError | None):
                await self._disconnect()
            await self._sleep()
        await self._disconnect()

    async def _sleep(self) -> None:
        """Until it is time to ask again, or the end."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._pause):
                await self._closing.wait()

    async def _probe(self) -> None:
        """Find the workers that may run plans. Raises OSError and TimeoutError."""
        client = await self._connected()
        states = await examine(client, self._content(), self._probe_seconds)
        usable = tuple(state.address for state in states if not state.problem)
        problems = [
            ClusterError(state.reason, f"worker {state.address}: {state.problem}")
            for state in states
            if state.problem
        ]
        if usable:
            self._succeeded(usable)
            for problem in problems:
                self._report(f"The cluster does without a worker: {problem}")
        else:
            none = ClusterError(Reason.NO_WORKERS, "it has no workers")
            self._failed(problems[0] if problems else none)

    async def _connected(self) -> "Client":
        if self._client is None or self._client.status != "running":
            await self._disconnect()
            self._client = _client(self._address)
            await self._client
        return self._client

    async def _disconnect(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            # It is given up, however that ends.
            await asyncio.gather(_closed(client), return_exceptions=True)

    def _succeeded(self, usable: tuple[str, ...]) -> None:
        self._usable = usable
        self._metrics.workers.set(len(usable))
        if usable != self._announced:
            self._announced = usable
            _log.info(
                f"{len(usable)} workers of {self._address.url} run plans",
                action="cluster",
            )

    def _failed(self, error: ClusterError) -> None:
        """Use no worker until they were asked again; report each failure once."""
        if self._closing.is_set():
            return
        self._why, self._usable = error, ()
        self._metrics.workers.set(0)
        self._report(f"The cluster is not used, answers are computed here: {error}")

    def _report(self, text: str) -> None:
        if text in self._reported:
            return
        if len(self._reported) >= MOST_REPORTED:
            self._reported.clear()
        self._reported.add(text)
        _log.warning(text, action="cluster")


def _client(address: ClusterAddress) -> "Client":
    """A client, which is yet to be connected."""
    configure_dask(logging.CRITICAL)  # failures are reported here
    from distributed import Client

    return Client(
        address.url,
        asynchronous=True,
        security=address.security(),
        timeout=CONNECT_SECONDS,
        set_as_default=False,
        name="fpp-analytics",
    )


async def _closed(client: "Client") -> None:
    async with asyncio.timeout(CLOSE_SECONDS):
        await client.close(CLOSE_SECONDS)


def _unreachable(address: ClusterAddress, failure: BaseException) -> ClusterError:
    text = f"{address.url} does not answer: {_describe(failure)}"
    return ClusterError(Reason.UNREACHABLE, text)


async def examine(
    client: "Client", content: str | None, seconds: float
) -> list[WorkerState]:
    """Ask all workers for their versions, and whether they have *content*.

    Scheduler and workers have *seconds* for an answer. Raises OSError if the scheduler is
    lost, TimeoutError if it does not answer.
    """
    if client.scheduler is None:
        raise ConnectionError("not connected")
    async with asyncio.timeout(seconds):
        addresses = (await client.scheduler.identity(n_workers=-1))["workers"]
    asked = (_ask(client, one, content, seconds) for one in addresses)
    return await asyncio.gather(*asked)


async def _ask(
    client: "Client", address: str, content: str | None, seconds: float
) -> WorkerState:
    try:
        async with asyncio.timeout(seconds):
            answers = await client.run(
                tasks.describe, content, workers=[address], on_error="return"
            )
    except (OSError, TimeoutError):
        return WorkerState(address, Reason.SILENT, "it does not answer")
    match answers.get(address):
        case (versions, holds):
            return _judge(address, versions, holds=holds)
        case failure:
            return WorkerState(address, Reason.WORKER, _describe(failure))


def _judge(address: str, versions: Versions, *, holds: bool) -> WorkerState:
    if found := differences(own_versions(), versions):
        return WorkerState(address, Reason.VERSIONS, f"it has {found}")
    if not holds:
        text = "it does not have the same snapshot"
        return WorkerState(address, Reason.SNAPSHOT, text)
    return WorkerState(address, Reason.WORKER)


async def _rows(client: "Client", futures: Sequence["Future[bytes]"]) -> list[bytes]:
    """The results. Raises ClusterError for the first that there is not."""
    for future in futures:
        if (failure := await future.exception()) is not None:
            raise _as_cluster_error(failure)
        if future.status != "finished":
            raise ClusterError(Reason.LOST, "the scheduler was lost")
    rows: list[bytes] = await client.gather(futures, errors="skip")
    if len(rows) != len(futures):
        raise ClusterError(Reason.LOST, "a worker was lost with its rows")
    return rows


def _as_cluster_error(failure: BaseException) -> ClusterError:
    if isinstance(failure, ClusterError):
        return failure
    return ClusterError(Reason.WORKER, f"a worker failed: {_describe(failure)}")


def _log_left_over(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log failures of which Dask does not want to know, such as of late attempts."""
    _log.debug(
        f"{context.get('message')}: {context.get('exception')}", action="cluster"
    )


def _describe(failure: object) -> str:
    return f"{type(failure).__name__}: {failure}" if f"{failure}" else repr(failure)


def ask_workers(address: ClusterAddress, content: str | None) -> list[WorkerState]:
    """Connect once, and ask all workers, see `examine`.

    Raises ClusterError if the scheduler does not answer.
    """

    async def ask() -> list[WorkerState]:
        asyncio.get_running_loop().set_exception_handler(_log_left_over)
        async with _client(address) as client:
            return await examine(client, content, PROBE_SECONDS)

    try:
        return asyncio.run(ask())
    except CONNECTION_ERRORS as failure:
        raise _unreachable(address, failure) from None
