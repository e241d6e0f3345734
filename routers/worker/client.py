"""The API's side of the worker: start a job, wait for its result, end it."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from routers.worker.messages import HEADER, encode, parse
from routers.worker.refusals import REFUSALS, JobCrashed, JobTimeout
from util import allocator

ROOT: Final = Path(__file__).parents[2]

COMMAND: Final = (sys.executable, "-m", "routers.worker.helper")

ENVIRONMENT: Final = ("PATH", "LANG", "LC_ALL", "TMPDIR", "TZDIR")
"""Variables that the helper gets; the others may be secret."""

NO_THREADS: Final = "background_thread:false"
"""For Polars' allocator: a process with threads of its own cannot be forked safely."""


class Worker:
    """Runs jobs, each in a process of its own with a limit of memory and a deadline."""

    def __init__(self) -> None:
        self._helper: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    async def run(
        self,
        job: str,
        arguments: Mapping[str, Any],
        *,
        memory_mb: int,
        deadline: timedelta,
    ) -> Any:
        """The result of *job*, a name of `jobs.JOBS`.

        The job is killed at the *deadline*, and when this coroutine is cancelled.
        Raises JobTimeout, JobCrashed if the process failed or ended without a result,
        and what the job refuses with, see `refusals`.
        """
        connection, leash = self._start()
        try:
            request = (job, dict(arguments), memory_mb)
            async with asyncio.timeout(deadline.total_seconds()):
                outcome, value = await _exchange(connection, request)
        except TimeoutError:
            raise JobTimeout(deadline) from None
        finally:
            os.close(leash)
        if outcome == "done":
            return value
        raise REFUSALS.get(outcome, JobCrashed)(value)

    def close(self) -> None:
        """End the helper and all jobs."""
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._helper is not None:
            self._helper.wait()
            self._helper = None

    @property
    def is_running(self) -> bool:
        """True while there is a helper."""
        return self._helper is not None and self._helper.poll() is None

    def _start(self) -> tuple[socket.socket, int]:
        """Start a job's process; return its socket and the write end of its leash."""
        try:
            return self._fork(self._connected())
        except OSError:  # the helper has just left, as it does without jobs
            self.close()
            return self._fork(self._connected())

    def _connected(self) -> socket.socket:
        """The helper's socket; starts a helper if there is none."""
        if self._control is not None and self.is_running:
            return self._control
        self.close()
        ours, theirs = socket.socketpair()
        with theirs:
            self._helper = subprocess.Popen(
                COMMAND,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                env=_environment(),
                cwd=ROOT,
                start_new_session=True,
            )
        self._control = ours
        return ours

    def _fork(self, control: socket.socket) -> tuple[socket.socket, int]:
        ours, theirs = socket.socketpair()
        held, leash = os.pipe()
        try:
            with theirs:
                socket.send_fds(control, [b"j"], [theirs.fileno(), held])
        except OSError:
            ours.close()
            os.close(leash)
            raise
        finally:
            os.close(held)
        return ours, leash


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
    return kept | {allocator.VARIABLE: NO_THREADS}


async def _exchange(connection: socket.socket, request: Any) -> tuple[str, Any]:
    """Send *request* and return the result. Raises JobCrashed if there is none."""
    reader, writer = await asyncio.open_connection(sock=connection)
    try:
        writer.write(encode(request))
        await writer.drain()
        (length,) = HEADER.unpack(await reader.readexactly(HEADER.size))
        outcome, value = parse(await reader.readexactly(length))
        return outcome, value
    except (asyncio.IncompleteReadError, ConnectionError):
        raise JobCrashed("The process ended without a result") from None
    finally:
        writer.close()
