"""Writing the spool: what is acknowledged is on the disk.

Requests that wait at the same time share one commit, which is one write and one fsync
(group commit), and the commits of a moment share one file. One thread writes, so the
files of a process are complete in the order of their numbers.
"""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Final, NamedTuple

from collector.metrics import EventMetrics
from collector.spool_file import OpenSpoolFile
from events.spool_files import (
    HIDDEN,
    SUFFIXES,
    file_name,
    list_files,
    new_instance,
)
from events.spool_storage import shared_storage_of
from util.errors import SettingsError
from util.logs import get_logger
from util.sentry_wrapper import ErrorContext, Severity, capture_error

COMMIT_TIMEOUT: Final = timedelta(seconds=10)
"""How long a request waits for the disk before it is answered 503."""

GATHER_SECONDS: Final = 0.003
"""From the end of a commit to the next one, if requests wait; half of what a flush takes."""

APPEND_SECONDS: Final = 0.1
"""For so long commits go to the same file: making one takes most of a commit's work."""

MEASURE_INTERVAL: Final = timedelta(seconds=1)
LATE_MEASURE: Final = timedelta(seconds=15)
"""A disk that does not answer for so long is not ready."""

MAX_WAITING_BYTES: Final = 64 * 2**20
"""Of requests that wait for the disk; the next one is answered 503."""

ABANDONED_AFTER: Final = timedelta(minutes=10)
"""Age at which an incomplete file is that of a killed process."""

_log = get_logger("spool")


class SpoolUnavailable(Exception):
    """The spool takes no events now; the message says why, for the client."""


@dataclass(frozen=True, slots=True)
class SpoolUsage:
    """Size of the spool, and when its oldest file was written (seconds since 1970)."""

    files: int
    bytes: int
    oldest: float | None
    measured_at: float
    """Of the monotonic clock."""


class _Waiting(NamedTuple):
    """A request that waits for its lines to be on the disk, until the time *until*."""

    lines: bytes
    until: float
    done: "asyncio.Future[None]"

    def settle(self, problem: str | None) -> None:
        if self.done.done():  # the client does not wait any more
            return
        if problem is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(SpoolUnavailable(problem))
            self.done.exception()  # a client may have gone, which is no error


class SpoolWriter:
    """The files that this process writes: `prepare`, `start`, `append`, `close`."""

    def __init__(
        self, folder: Path, max_bytes: int, max_age: timedelta, metrics: EventMetrics
    ) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._max_age = max_age
        self._metrics = metrics
        self._instance = new_instance(datetime.now(UTC))
        self._number = 0
        self._file: OpenSpoolFile | None = None
        self._file_until = 0.0
        self._is_shared = shared_storage_of(folder) is not None
        self._waiting: list[_Waiting] = []
        self._committing: list[_Waiting] = []
        self._waiting_bytes = 0
        self._is_busy = False
        self._idle = asyncio.Event()
        self._commits: SimpleQueue[list[bytes] | None] = SimpleQueue()
        self._failing = False
        self.usage = SpoolUsage(0, 0, None, 0.0)
        self._timer: asyncio.TimerHandle | None = None

    def prepare(self) -> None:
        """Make the folder and look at it. Raises SettingsError if that fails."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._remove_abandoned()
            probe = self._folder / f"{HIDDEN}{self._instance}.probe"
            probe.touch()
            probe.unlink()
            self.usage = self._measure()
        except OSError as error:
            raise SettingsError(
                f"SPOOL_DIR {self._folder} cannot be used: {error.strerror or error}; it "
                "must be a folder that this user can write to"
            ) from None

    async def start(self) -> None:
        """Begin to write."""
        self._loop = asyncio.get_running_loop()
        self._idle.set()
        # A daemon, since a disk that is frozen must not keep the process from ending.
        self._thread = Thread(target=self._write_commits, name="spool", daemon=True)
        self._thread.start()
        self._measuring = asyncio.create_task(self._measure_repeatedly())

    async def close(self) -> None:
        """Write what waits, then stop."""
        self._measuring.cancel()
        await self._idle.wait()
        self._commits.put(None)
        self._thread.join()
        if self._timer is not None:
            self._timer.cancel()
        with suppress(asyncio.CancelledError):
            await self._measuring

    def problem(self) -> str | None:
        """Why no events are taken now; None if they are."""
        usage = self.usage
        if time.monotonic() - usage.measured_at > LATE_MEASURE.total_seconds():
            return "The disk of the spool does not answer"
        if usage.bytes > self._max_bytes:
            return "The spool is full: the updater does not empty it"
        if usage.oldest and time.time() - usage.oldest > self._max_age.total_seconds():
            return "The spool is too old: the updater does not empty it"
        if self._waiting_bytes > MAX_WAITING_BYTES:
            return "Too many events wait for the disk"
        return "The spool cannot be written" if self._failing else None

    def require_room(self) -> None:
        """Raise SpoolUnavailable if no events are taken now.

        After a failed write the next request tries again, so that it ends by itself.
        """
        problem = self.problem()
        if problem and not (self._failing and not self._waiting):
            raise SpoolUnavailable(problem)

    async def append(self, lines: bytes) -> None:
        """Return when *lines* are on the disk. Raises SpoolUnavailable if they may not be.

        They may be stored even so, if the disk only was slow: send them again under the
        same ids.
        """
        patience = COMMIT_TIMEOUT.total_seconds()
        done = self._loop.create_future()
        self._waiting.append(_Waiting(lines, self._loop.time() + patience, done))
        self._waiting_bytes += len(lines)
        if not self._is_busy:
            self._is_busy = True
            self._idle.clear()
            # Requests that are judged in the same turn of the loop come along.
            self._loop.call_soon(self._begin)
        if self._timer is None:
            self._timer = self._loop.call_later(patience, self._expire)
        await done

    def _begin(self) -> None:
        """Hand all that waits over to the thread."""
        self._committing, self._waiting = self._waiting, []
        self._commits.put([waiting.lines for waiting in self._committing])

    def _write_commits(self) -> None:
        """The thread: write one commit after the other."""
        while (chunks := self._next_commit()) is not None:
            began = time.perf_counter()
            error = self._try_to_write(chunks)
            took = time.perf_counter() - began
            self._loop.call_soon_threadsafe(self._finish, error, took)
        self._close_file()

    def _next_commit(self) -> list[bytes] | None:
        """Wait for the next commit; close the file if none comes in time."""
        if self._file is not None:
            left = self._file_until - time.monotonic()
            try:
                return self._commits.get(timeout=max(0.0, left))
            except Empty:
                self._close_file()
        return self._commits.get()

    def _finish(self, error: OSError | None, took: float) -> None:
        """Answer the requests of the commit, and begin the next one."""
        self._metrics.commit_seconds.observe(took)
        self._note(error)
        problem = None if error is None else "The events cannot be stored now"
        for waiting in self._committing:
            self._waiting_bytes -= len(waiting.lines)
            waiting.settle(problem)
        self._committing = []
        if self._waiting:
            # Clients that were just answered send again: their requests come along, and
            # half as many files are written. Whoever comes alone does not wait.
            self._loop.call_later(GATHER_SECONDS, self._begin)
        else:
            self._is_busy = False
            self._idle.set()

    def _expire(self) -> None:
        """Give up requests whose time is over: one timer serves all of them."""
        self._timer = None
        for waiting in (*self._committing, *self._waiting):
            if waiting.until > self._loop.time():
                self._timer = self._loop.call_at(waiting.until, self._expire)
                return
            waiting.settle("The disk of the spool does not answer")

    def _note(self, error: OSError | None) -> None:
        """Report the first failure, and the first success after it."""
        if error is not None and not self._failing:
            capture_error(error, ErrorContext("spool", "write"), Severity.CRITICAL)
        elif error is None and self._failing:
            _log.info("The spool can be written again", action="write")
        self._failing = error is not None
        if error is not None:
            self._metrics.failed_commits.inc()

    def _try_to_write(self, chunks: list[bytes]) -> OSError | None:
        try:
            self._write(b"".join(chunks))
        except OSError as error:
            self._close_file()
            return error
        return None

    def _write(self, content: bytes) -> None:
        """Append to the open file, or write the next one; after an error nothing is left."""
        if self._file is None:
            self._file = self._next_file(content)
            self._file_until = time.monotonic() + APPEND_SECONDS
        else:
            self._file.append(content)
        is_shared = self._is_shared or not self._file.is_locked
        if is_shared or time.monotonic() >= self._file_until:
            self._close_file()

    def _close_file(self) -> None:
        """Leave the open file to the updater."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _next_file(self, content: bytes) -> OpenSpoolFile:
        """Write the next file.

        A process that was copied while it ran, with its machine, has the same name and
        the same numbers. In a folder that both share, the one that comes second takes
        another name.
        """
        folder = str(self._folder)
        self._number += 1
        try:
            name = file_name(self._instance, self._number)
            return OpenSpoolFile.create(folder, name, content)
        except FileExistsError:
            _log.error(
                f"Another process writes files of the instance {self._instance} into "
                f"{self._folder}, as if this machine was copied: taking another name",
                action="write",
            )
            self._instance, self._number = new_instance(datetime.now(UTC)), 1
            name = file_name(self._instance, 1)
            return OpenSpoolFile.create(folder, name, content)

    def _remove_abandoned(self) -> None:
        """Remove what killed processes had not completed, and so not acknowledged."""
        oldest = time.time() - ABANDONED_AFTER.total_seconds()
        for path in self._folder.glob(f"{HIDDEN}*"):
            with suppress(FileNotFoundError):
                if path.name.endswith(SUFFIXES) and path.stat().st_mtime < oldest:
                    path.unlink()

    async def _measure_repeatedly(self) -> None:
        while True:
            await asyncio.sleep(MEASURE_INTERVAL.total_seconds())
            with suppress(OSError):  # the measure is late then
                self.usage = await asyncio.to_thread(self._measure)

    def _measure(self) -> SpoolUsage:
        files = list_files(self._folder)
        return SpoolUsage(
            files=len(files),
            bytes=sum(file.bytes for file in files),
            oldest=min((file.modified_at for file in files), default=None),
            measured_at=time.monotonic(),
        )
