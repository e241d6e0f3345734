"""Start the process that builds derived tables, ask it, and end it."""

import contextlib
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from pydantic import TypeAdapter

from readmodel.sync.derived_messages import REQUEST, WorkerRequest

_ROOT: Final = Path(__file__).parents[2]
# What Python, DuckDB and Polars need; the settings of the updater hold secrets.
_ENVIRONMENT: Final = (
    "HOME",
    "LANG",
    "LC_ALL",
    "LD_LIBRARY_PATH",
    "PATH",
    "SYSTEMROOT",
    "TMPDIR",
)
HEADROOM_MB: Final = 512
"""Memory beyond DuckDB's limit: Python, Polars, the part that is being written."""

LOOK_SECONDS: Final = 0.1
"""Pause between two looks at the memory of the process."""

_LAST_WORDS_BYTES: Final = 4096


class WorkerEnded(Exception):
    """The process ended without an answer; the message says how."""


class DeadlineExceeded(Exception):
    """The process did not answer in time, and was killed."""


class MemoryExceeded(Exception):
    """The process used more memory than it may, and was killed."""


class DerivedWorker:
    """The process that builds derived tables. Use it as a context, which ends it.

    It starts at the first request, and again after it ended.
    """

    def __init__(self) -> None:
        """Start nothing yet."""
        self._process: subprocess.Popen[bytes] | None = None
        self._stderr: IO[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.kill()

    @property
    def pid(self) -> int | None:
        """The process's id while it runs."""
        return self._process.pid if self._process else None

    def ask[T](
        self,
        request: WorkerRequest,
        reply: TypeAdapter[T],
        seconds: float,
        memory_mb: int = 512,
    ) -> T:
        """Send *request* and wait for the reply.

        Raises DeadlineExceeded after *seconds*, MemoryExceeded if the process uses
        HEADROOM_MB more than *memory_mb*, and WorkerEnded if it dies or answers
        nonsense; it is then gone. Raises OSError if it cannot be started.
        """
        process = self._running()
        line = REQUEST.dump_json(request, by_alias=True) + b"\n"
        try:
            assert process.stdin is not None
            process.stdin.write(line)
            process.stdin.flush()
            return reply.validate_json(self._line(process, seconds, memory_mb))
        except (BrokenPipeError, ValueError) as error:
            raise WorkerEnded(self._how_it_ended()) from error

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._stderr = tempfile.TemporaryFile()  # noqa: SIM115  kill() closes it
            environment = {n: os.environ[n] for n in _ENVIRONMENT if n in os.environ}
            self._process = subprocess.Popen(
                [sys.executable, "-m", "readmodel.sync.derived_worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                bufsize=0,
                # One thread keeps the memory small; the work is DuckDB's anyway.
                env=environment | {"PYTHONPATH": str(_ROOT), "POLARS_MAX_THREADS": "1"},
                start_new_session=True,
            )
        return self._process

    def _line(
        self, process: subprocess.Popen[bytes], seconds: float, memory_mb: int
    ) -> bytes:
        assert process.stdout is not None
        until, received = time.monotonic() + seconds, b""
        most = (memory_mb + HEADROOM_MB) * 2**20
        while not received.endswith(b"\n"):
            if time.monotonic() > until:
                self.kill()
                raise DeadlineExceeded
            if _resident_bytes(process.pid) > most:
                self.kill()
                raise MemoryExceeded
            if select.select([process.stdout], [], [], LOOK_SECONDS)[0]:
                chunk = os.read(process.stdout.fileno(), 1 << 16)
                if not chunk:
                    raise WorkerEnded(self._how_it_ended())
                received += chunk
        return received

    def _how_it_ended(self) -> str:
        """A sentence about the process's end; forgets the process."""
        process, words = self._process, self._last_words()
        if process is None:
            return "the process is gone"
        try:
            status = process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.kill()
            return "the process answered nonsense"
        self.kill()
        if status < 0:
            name = signal.Signals(-status).name
            return f"the process was ended by {name}, often for want of memory"
        return f"the process ended with exit code {status}{words}"

    def _last_words(self) -> str:
        """The last line of stderr, if any."""
        if self._stderr is None:
            return ""
        size = self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, size - _LAST_WORDS_BYTES))
        lines = self._stderr.read().decode(errors="replace").split("\n")
        last = next((line for line in reversed(lines) if line.strip()), "")
        return f": {last.strip()}" if last else ""

    def kill(self) -> None:
        """End the process and all that it started; does nothing if it is gone."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for stream in (process.stdin, process.stdout, self._stderr):
            if stream is not None:
                stream.close()
        self._stderr = None


def _resident_bytes(pid: int) -> int:
    """Memory that the process has now; 0 if that is unknown."""
    with contextlib.suppress(OSError, IndexError):
        pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")
    return 0
