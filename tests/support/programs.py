"""The API and the updater as processes, as they run in production."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile

import httpx

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
    command = [sys.executable, str(ROOT / "update_readmodel.py"), *arguments]
    return subprocess.run(
        command,
        env=environ(settings),
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@contextmanager
def repeating_updater(settings: Mapping[str, str], seconds: float) -> Iterator[None]:
    """Run the updater with a sync every *seconds* until the end of the block."""
    command = [sys.executable, str(ROOT / "update_readmodel.py")]
    with TemporaryFile("w+") as output:
        process = subprocess.Popen(
            [*command, "--every", str(seconds)],
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
    process = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "main:app", "--port", str(port)],
        env=environ(settings),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(f"{address}/health", process)
        yield address
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)


def _wait_for(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, "the server ended too early"
        try:
            httpx.get(url)
        except httpx.ConnectError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"{url} does not answer")
