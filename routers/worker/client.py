"""The API's side of the worker: start a job, wait for its result, end it."""

import asyncio
import os
import socket
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from routers.worker.messages import HEADER, READY, Pieces, encode, parse
from routers.worker.refusals import REFUSALS, JobCrashed, JobKilled, JobTimeout
from util import allocator
from util.json_types import JsonMapping

ROOT: Final = Path(__file__).parents[2]

COMMAND: Final = (sys.executable, "-m", "routers.worker.helper")

ENVIRONMENT: Final = ("PATH", "LANG", "LC_ALL", "TMPDIR", "TZDIR")
"""Variables that the helper gets; the others may be secret."""

START_SECONDS: Final = 60
"""Time for a job to start; the helper may have to import the engines before it."""

PIECE_BYTES: Final = 64 * 1024
"""Of a reply, read at once: a larger one would hold up all other requests."""

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
        arguments: JsonMapping,
        *,
        memory_mb: int,
        deadline: timedelta,
    ) -> Any:
        """The result of *job*, a name of `jobs.JOBS`.

        The job is killed at the *deadline*, and when this coroutine is cancelled.
        Raises JobTimeout, JobCrashed if the process failed or ended without a result,
        and what the job refuses with, see `refusals`.
        """
        request = (job, dict(arguments), memory_mb)
        reply = await self._reply(request, deadline)
        outcome, value = parse(b"".join(reply))
        if outcome == "done":
            return value
        raise REFUSALS.get(outcome, JobCrashed)(value)

    async def run_confined(
        self, job: str, arguments: JsonMapping, deadline: timedelta, limit: int
    ) -> Pieces:
        """The result of *job*, a name of `jobs.CONFINED`; at most *limit* bytes.

        Raises what `run` raises. The reply is not trusted, since the job runs what
        somebody wrote.
        """
        request = (job, dict(arguments), None)
        reply = await self._reply(request, deadline, limit)
        outcome = reply.take_line().decode("latin-1")
        if outcome == "done":
            return reply
        raise REFUSALS.get(outcome, JobCrashed)(reply.take_text())

    async def _reply(
        self, request: object, deadline: timedelta, limit: int | None = None
    ) -> Pieces:
        """The reply of a job, of at most *limit* bytes. Raises JobTimeout, JobCrashed."""
        connection, leash = self._start()
        try:
            return await _exchange(connection, request, deadline, limit)
        finally:
            os.close(leash)

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


async def _exchange(
    connection: socket.socket, request: object, deadline: timedelta, limit: int | None
) -> Pieces:
    """Send *request* and return the reply. Raises JobTimeout, and JobCrashed."""
    reader, writer = await asyncio.open_connection(sock=connection)
    try:
        await _begin(reader, writer, request)
        async with asyncio.timeout(deadline.total_seconds()):
            (length,) = HEADER.unpack(await reader.readexactly(HEADER.size))
            if limit is not None and length > limit:
                raise JobCrashed(f"The reply has {length:,} bytes")
            return await _pieces(reader, length)
    except TimeoutError:
        raise JobTimeout(deadline) from None
    except (asyncio.IncompleteReadError, ConnectionError):
        raise JobKilled("The process ended without a result") from None
    finally:
        writer.close()


async def _pieces(reader: asyncio.StreamReader, length: int) -> Pieces:
    """The next *length* bytes. Raises IncompleteReadError if there are fewer."""
    pieces = []
    while length:
        piece = await reader.read(min(length, PIECE_BYTES))
        if not piece:
            raise asyncio.IncompleteReadError(b"", length)
        pieces.append(piece)
        length -= len(piece)
    return Pieces(pieces)


async def _begin(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: object
) -> None:
    """Send *request* and wait for the job to start. Raises JobCrashed if it does not."""
    writer.write(encode(request))
    try:
        async with asyncio.timeout(START_SECONDS):
            await writer.drain()
            await reader.readexactly(len(READY))
    except TimeoutError:
        raise JobCrashed(f"The job did not start in {START_SECONDS} seconds") from None
