"""The worker: results, deadlines, cancellation, memory, and the end of processes."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from routers.worker import client
from routers.worker.client import Worker
from routers.worker.refusals import JobCrashed, JobTimeout, StatementFailed

COMMAND = (sys.executable, "-m", "tests.routers.worker.jobs_for_tests", "300")
MINUTE = timedelta(minutes=1)
PATIENCE_SECONDS = 30


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    """A worker with jobs for tests."""
    monkeypatch.setattr(client, "COMMAND", COMMAND)
    worker = Worker()
    yield worker
    worker.close()


def job(
    worker: Worker, name: str, deadline: timedelta = MINUTE, **arguments: Any
) -> Coroutine[Any, Any, Any]:
    """Run a job with 300 MB."""
    return worker.run(name, arguments, memory_mb=300, deadline=deadline)


def is_gone(pid: int) -> bool:
    """True if there is no such process, or only its exit code is left."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except FileNotFoundError:
        return True
    return state.rpartition(")")[2].split()[0] == "Z"


def wait_for(condition: Callable[[], object]) -> None:
    """Return once *condition* holds."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def read_pid(file: Path) -> int:
    """The process id that a job has written to *file*; waits for it."""
    wait_for(lambda: file.exists() and file.read_text(encoding="utf-8"))
    return int(file.read_text(encoding="utf-8"))


def test_no_process_is_started_before_the_first_job(worker: Worker) -> None:
    """An API that needs none has none."""
    assert not worker.is_running
    assert asyncio.run(job(worker, "echo", value=1)) == 1
    assert worker.is_running


def test_a_result_of_any_size_arrives(worker: Worker) -> None:
    """Also one that does not fit into a socket's buffer."""
    value = "x" * 5_000_000
    assert asyncio.run(job(worker, "echo", value=value)) == value


def test_jobs_run_side_by_side(worker: Worker) -> None:
    """Each in a process of its own."""

    async def both() -> list[Any]:
        return await asyncio.gather(*(job(worker, "echo", value=n) for n in range(8)))

    assert asyncio.run(both()) == list(range(8))


def test_a_job_is_killed_at_its_deadline(worker: Worker, tmp_path: Path) -> None:
    """It sleeps in C and does not listen."""
    file = tmp_path / "pid"

    async def run() -> int:
        await job(worker, "echo", value=1)  # starts the helper, which takes a while
        with pytest.raises(JobTimeout, match="longer than 4 seconds"):
            await job(worker, "sleep", timedelta(seconds=4), file=file)
        return read_pid(file)

    pid = asyncio.run(run())
    wait_for(lambda: is_gone(pid))


def test_a_job_is_killed_when_its_caller_is_cancelled(
    worker: Worker, tmp_path: Path
) -> None:
    """So is that of a client who disconnects; other jobs go on."""

    async def run() -> int:
        task = asyncio.create_task(job(worker, "sleep", file=tmp_path / "pid"))
        pid = await asyncio.to_thread(read_pid, tmp_path / "pid")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await job(worker, "echo", value=1) == 1
        return pid

    pid = asyncio.run(run())
    wait_for(lambda: is_gone(pid))


def test_a_job_that_needs_too_much_memory_fails_alone(worker: Worker) -> None:
    """The limit is of its process; the next job is not affected."""

    async def run() -> None:
        assert await job(worker, "allocate", megabytes=100) == 100 * 1024 * 1024
        with pytest.raises(JobCrashed, match="MemoryError"):
            await job(worker, "allocate", megabytes=400)
        assert await job(worker, "echo", value=1) == 1

    asyncio.run(run())


def test_a_process_that_ends_without_a_result_is_an_error(worker: Worker) -> None:
    """As if the system had killed it."""
    with pytest.raises(JobCrashed, match="without a result"):
        asyncio.run(job(worker, "die"))


def test_a_refusal_is_raised_with_its_message(worker: Worker) -> None:
    """And not as a traceback."""
    with pytest.raises(StatementFailed, match=r"^division by zero$"):
        asyncio.run(job(worker, "refuse"))


def test_a_job_sees_no_secret(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens and passwords are in the API's environment."""
    monkeypatch.setenv("ANALYTICS_SECRET_TOKEN", "secret")
    found = asyncio.run(job(worker, "environment"))
    assert "ANALYTICS_SECRET_TOKEN" not in found
    assert set(found) <= {*client.ENVIRONMENT, "_RJEM_MALLOC_CONF", "LC_CTYPE"}


def test_a_killed_helper_is_replaced(worker: Worker) -> None:
    """The job that it ran fails; the next one starts another helper."""

    async def run() -> None:
        await job(worker, "echo", value=1)
        assert worker._helper is not None
        os.kill(worker._helper.pid, signal.SIGKILL)
        worker._helper.wait()
        assert await job(worker, "echo", value=2) == 2

    asyncio.run(run())


def test_jobs_end_with_the_api(tmp_path: Path) -> None:
    """Even if it is killed, and cannot end them itself."""
    file = tmp_path / "pid"
    script = (
        "import asyncio, datetime, pathlib\n"
        "from routers.worker import client\n"
        f"client.COMMAND = {COMMAND!r}\n"
        "asyncio.run(client.Worker().run('sleep', {'file': "
        f"pathlib.Path({str(file)!r})}}, memory_mb=300, "
        "deadline=datetime.timedelta(minutes=1)))"
    )
    api = subprocess.Popen([sys.executable, "-c", script], cwd=client.ROOT)
    pid = read_pid(file)
    api.kill()
    api.wait()
    wait_for(lambda: is_gone(pid))


def test_a_helper_without_jobs_leaves_and_comes_back(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the engines in memory, which an idle API does not need."""
    monkeypatch.setattr(client, "COMMAND", (*COMMAND[:-1], "1"))

    async def run() -> None:
        await job(worker, "echo", value=1)
        await asyncio.to_thread(wait_for, lambda: not worker.is_running)
        assert await job(worker, "echo", value=2) == 2

    asyncio.run(run())
