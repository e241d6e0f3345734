"""Writing the spool: what is acknowledged is on the disk.

Requests that wait at the same time share one file and one fsync (group commit). One
thread writes, so the files of a process are complete in the order of their numbers.
"""

import asyncio
import errno
import os
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from collector.metrics import EventMetrics
from events.spool_files import (
    HIDDEN,
    SUFFIX,
    file_name,
    list_files,
    new_instance,
    sync_folder,
)
from util.errors import SettingsError
from util.logs import get_logger
from util.sentry_wrapper import ErrorContext, Severity, capture_error

COMMIT_TIMEOUT: Final = timedelta(seconds=10)
"""How long a request waits for the disk before it is answered 503."""

MEASURE_INTERVAL: Final = timedelta(seconds=1)
LATE_MEASURE: Final = timedelta(seconds=15)
"""A disk that does not answer for so long is not ready."""

MAX_WAITING_BYTES: Final = 64 * 2**20
"""Of requests that wait for the disk; the next one is answered 503."""

ABANDONED_AFTER: Final = timedelta(minutes=10)
"""Age at which an incomplete file is that of a killed process."""

NO_LINKS: Final = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)
"""Errors of file systems that have no hard links."""

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


@dataclass(slots=True)
class _Waiting:
    """A request that waits for its lines to be on the disk."""

    lines: bytes
    done: "asyncio.Future[None]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def settle(self, error: OSError | None) -> None:
        if self.done.done():  # the client does not wait any more
            return
        if error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(SpoolUnavailable("The events cannot be stored now"))
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
        self._waiting: list[_Waiting] = []
        self._waiting_bytes = 0
        self._wake = asyncio.Event()
        self._closing = False
        self._failing = False
        self.usage = SpoolUsage(0, 0, None, 0.0)
        self._tasks: list[asyncio.Task[None]] = []

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
        self._tasks = [
            asyncio.create_task(self._write_waiting()),
            asyncio.create_task(self._measure_repeatedly()),
        ]

    async def close(self) -> None:
        """Write what waits, then stop."""
        self._closing = True
        self._wake.set()
        writing, measuring = self._tasks
        measuring.cancel()
        await writing
        with suppress(asyncio.CancelledError):
            await measuring

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
        waiting = _Waiting(lines)
        self._waiting.append(waiting)
        self._waiting_bytes += len(lines)
        self._wake.set()
        try:
            await asyncio.wait_for(waiting.done, COMMIT_TIMEOUT.total_seconds())
        except TimeoutError:
            raise SpoolUnavailable("The disk of the spool does not answer") from None

    async def _write_waiting(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            commit, self._waiting = self._waiting, []
            if commit:
                await self._commit(commit)
            if self._closing and not self._waiting:
                return

    async def _commit(self, commit: list[_Waiting]) -> None:
        chunks = [waiting.lines for waiting in commit]
        with self._metrics.commit_seconds.time():
            error = await asyncio.to_thread(self._try_to_write, chunks)
        self._note(error)
        self._waiting_bytes -= sum(map(len, chunks))
        for waiting in commit:
            waiting.settle(error)

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
            self._write(chunks)
        except OSError as error:
            return error
        return None

    def _write(self, chunks: list[bytes]) -> None:
        """Write the next file; after an error there is none.

        A process that was copied while it ran, with its machine, has the same name and
        the same numbers. In a folder that both share, the one that comes second takes
        another name.
        """
        content = b"".join(chunks)
        self._number += 1
        try:
            _write_file(self._folder / file_name(self._instance, self._number), content)
        except FileExistsError:
            _log.error(
                f"Another process writes files of the instance {self._instance} into "
                f"{self._folder}, as if this machine was copied: taking another name",
                action="write",
            )
            self._instance, self._number = new_instance(datetime.now(UTC)), 1
            _write_file(self._folder / file_name(self._instance, 1), content)

    def _remove_abandoned(self) -> None:
        """Remove what killed processes had not completed, and so not acknowledged."""
        oldest = time.time() - ABANDONED_AFTER.total_seconds()
        for path in self._folder.glob(f"{HIDDEN}*{SUFFIX}"):
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < oldest:
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


def _write_file(file: Path, content: bytes) -> None:
    """Write a new file, which is on the disk then; after an error there is none.

    Raises FileExistsError if another process has written it, or is about to.
    """
    hidden = file.with_name(HIDDEN + file.name)
    with hidden.open("xb", buffering=0) as stream, ExitStack() as undo:
        undo.callback(_remove_quietly, hidden)
        _write_whole(stream.fileno(), content)
        os.fsync(stream.fileno())
        _make_visible(hidden, file)
        undo.callback(_remove_quietly, file)
        sync_folder(file.parent)
        undo.pop_all()


def _remove_quietly(path: Path) -> None:
    with suppress(OSError):
        path.unlink()


def _make_visible(hidden: Path, file: Path) -> None:
    """Rename *hidden* to *file*. Raises FileExistsError, where a rename would replace.

    Not every file system has links. The hidden name is ours alone meanwhile.
    """
    try:
        os.link(hidden, file)
        hidden.unlink()
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        if file.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from error
        hidden.rename(file)


def _write_whole(handle: int, content: bytes) -> None:
    """Write all of *content*: a disk that becomes full takes a part first."""
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(handle, rest) :]
