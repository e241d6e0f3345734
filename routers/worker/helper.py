"""The helper: a process that has imported the engines, and forks a process per job.

Standard input is a socket. Each byte that arrives there carries two descriptors: the
job's socket, and the read end of a pipe, the *leash*. The helper kills the job when the
other end of the leash is closed, whether by a deadline, by a disconnected client, or by
the end of the API. Without jobs it exits after IDLE_SECONDS.
"""

import os
import resource
import select
import signal
import socket
import traceback
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Final

from routers.worker.memory import limit_memory
from routers.worker.messages import READY, encode, encode_plain, receive
from util.json_types import JsonMapping

IDLE_SECONDS: Final = 300


def main() -> None:
    """Serve until the API closes its end, or there were no jobs for a while."""
    # Slow to import, so once, and each job is forked with them.
    import duckdb  # noqa: F401

    from routers.worker import jobs

    # Polars has a thread that waits for files to delete. It holds no lock then, and a
    # forked process starts its own threads. See docs/decisions/worker.md.
    warnings.filterwarnings(
        "ignore", "This process .* is multi-threaded", DeprecationWarning
    )
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with socket.socket(fileno=os.dup(0)) as control:
        _Helper(control, {**jobs.JOBS, **jobs.CONFINED}).serve()


class _Helper:
    """Forks jobs and ends them."""

    def __init__(
        self, control: socket.socket, jobs: Mapping[str, Callable[..., object]]
    ) -> None:
        self._control = control
        self._jobs = jobs
        self._running: dict[int, int] = {}
        """Leash -> process id."""

    def serve(self) -> None:
        """Fork a job per message; returns when there will be none."""
        while True:
            timeout = None if self._running else IDLE_SECONDS
            control = self._control.fileno()
            ready, _, _ = select.select([control, *self._running], [], [], timeout)
            if not ready:
                return
            for leash in set(ready) & self._running.keys():
                self._end(leash)
            if control in ready and not self._accept():
                for leash in list(self._running):
                    self._end(leash)
                return

    def _accept(self) -> bool:
        """Fork the next job; False if the API has closed its end."""
        message, descriptors, _, _ = socket.recv_fds(self._control, 1, 2)
        if not message:
            return False
        job, leash = descriptors
        pid = os.fork()
        if pid == 0:
            self._run(job, leash)
        os.close(job)
        # Before it is killed, whichever of the two processes gets here first.
        os.setpgid(pid, pid)
        self._running[leash] = pid
        return True

    def _end(self, leash: int) -> None:
        """Kill a job, if it still runs, and forget it."""
        pid = self._running.pop(leash)
        os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(leash)

    def _run(self, job: int, leash: int) -> None:
        """Run one job in this forked process; never returns."""
        code = 1
        try:
            os.setpgid(0, 0)
            self._control.close()
            # A copy of another job's leash would keep it alive.
            for descriptor in (0, leash, *self._running):
                os.close(descriptor)
            with socket.socket(fileno=job) as connection:
                run_job(connection, self._jobs)
            code = 0
        finally:
            os._exit(code)


def run_job(
    connection: socket.socket, jobs: Mapping[str, Callable[..., object]]
) -> None:
    """Read a request, run its job and send the result, or the error as text.

    A job without a limit of memory confines its process itself, and returns bytes.
    """
    with connection.makefile("rb") as stream:
        name, arguments, memory_mb = receive(stream)
    connection.sendall(READY)
    if memory_mb is not None:
        prepare_process(memory_mb)
    outcome, value = _outcome(jobs[name], arguments)
    if memory_mb is not None:
        connection.sendall(encode((outcome, value)))
    else:
        body = value.encode() if isinstance(value, str) else value
        connection.sendall(encode_plain(outcome, body))


def _outcome(job: Callable[..., object], arguments: JsonMapping) -> tuple[str, Any]:
    """``done`` and the result, or the kind of the error and its text."""
    try:
        return "done", job(**arguments)
    except BaseException as error:  # noqa: BLE001 - also Rust's panics; all are reported
        refusal = getattr(error, "REFUSAL", None)
        if refusal is not None:
            return refusal, str(error)
        return "failed", "".join(traceback.format_exception(error))


def prepare_process(memory_mb: int) -> None:
    """Bound the memory of this process; no core dump; answers come first."""
    limit_memory(memory_mb)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(5)


if __name__ == "__main__":
    main()
