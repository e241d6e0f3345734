"""The API and the updater as processes, as they run in production."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile

import httpx

from tests.support import preloaded
from tests.support.servers import closed_port

ROOT = Path(__file__).parents[2]
START_SECONDS = 60
STOP_SECONDS = 15


def environ(settings: Mapping[str, str]) -> dict[str, str]:
    """The environment for a program: *settings*, and nothing of the developer's own.

    VIEWS_DIR is the empty folder of the test session, unless *settings* name another.
    """
    names = ("PATH", "VIEWS_DIR")
    inherited = {name: os.environ[name] for name in names if name in os.environ}
    return {"PYTHONPATH": str(ROOT), **inherited, **settings}


def run_updater(
    settings: Mapping[str, str], *arguments: str, cwd: Path = ROOT
) -> "subprocess.CompletedProcess[str]":
    """Run the updater until it ends."""
    command = [str(ROOT / "update_readmodel.py"), *arguments]
    return preloaded.run(command, timeout=120, env=environ(settings), cwd=cwd)


@contextmanager
def repeating_updater(settings: Mapping[str, str], seconds: float) -> Iterator[None]:
    """Run the updater with a sync every *seconds* until the end of the block."""
    command = [str(ROOT / "update_readmodel.py"), "--every", str(seconds)]
    with TemporaryFile("w+") as output:
        process = preloaded.start(
            command,
            env=environ(settings),
            stdout=output,
            stderr=output,
        )
        try:
            yield
            assert process.poll() is None, "the updater ended too early"
        finally:
            process.terminate()
            code = process.wait(STOP_SECONDS)
            output.seek(0)
            assert code == 0, output.read()[-2000:]


@contextmanager
def api(settings: Mapping[str, str]) -> Iterator[str]:
    """Run the API in uvicorn; yield its address once it answers."""
    port = closed_port()
    process = preloaded.start(
        ["-m", "uvicorn", "main:app", "--port", str(port)],
        env=environ(settings),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for_api(address, process)
        yield address
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)


def wait_for_api(url: str, process: "subprocess.Popen[bytes]") -> None:
    """Wait until the API of *process* answers at *url*."""
    deadline = time.monotonic() + START_SECONDS
    address = (str(httpx.URL(url).host), httpx.URL(url).port)
    while time.monotonic() < deadline:
        assert process.poll() is None, "the server ended too early"
        # A client that speaks HTTP is more work than all else here.
        with socket.socket() as probe:
            listens = probe.connect_ex(address) == 0
        if listens:
            status = httpx.get(f"{url}/health", timeout=START_SECONDS).status_code
            assert status in (200, 503)
            return
        time.sleep(0.05)
    raise AssertionError(f"{url} does not answer")


def freeze(pid: int) -> None:
    """Stop a child process until SIGCONT; return when all its threads have stopped.

    They go on for a moment after the signal: long enough for an answer if the machine
    is busy.
    """
    os.kill(pid, signal.SIGSTOP)
    os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)
