"""The API as a process of its own on a free loopback port."""

import http.client
import secrets
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

import psutil

from bench.clients import HOST
from bench.machine import THREADS
from demo.processes import Program, running
from testbed.ports import free_port

READY_WITHIN_SECONDS: Final = 30


@dataclass(frozen=True, slots=True)
class RunningApi:
    """A running API process."""

    port: int
    pid: int
    headers: dict[str, str]
    ready_seconds: float
    """From the start of the process to the first answer of /health."""
    answered_seconds: float
    """From the start to the first whole answer of `GET /`, requested after that."""
    idle_bytes: int
    """Memory before that answer, with all routes."""


@contextmanager
def running_api(
    data_dir: Path, app: str, more_settings: Mapping[str, str] = MappingProxyType({})
) -> Iterator[RunningApi]:
    """Run *app* on *data_dir* under uvicorn until the block ends.

    Raises DemoError if it exits early, TimeoutError if it is not ready in time.
    """
    token, port = secrets.token_hex(), free_port()
    settings = {
        "ANALYTICS_SECRET_TOKEN": token,
        "DATA_DIR": str(data_dir),
        "RATE_LIMIT_PER_MINUTE": "0",
        "POLARS_MAX_THREADS": str(THREADS),
        **more_settings,
    }
    command = ["-m", "uvicorn", app, "--host", HOST, "--port", str(port)]
    headers = {"Authorization": f"Bearer {token}"}
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        with running("API", command, settings, Path(folder)) as program:
            yield ready_api(program, port, headers, began)


def ready_api(
    program: Program, port: int, headers: dict[str, str], began: float
) -> RunningApi:
    """Wait until *program*, started when the clock showed *began*, is ready.

    Raises DemoError if it exits early, TimeoutError if it is not ready in time.
    """
    ready = _ready(program, port, began)
    pid = program.process.pid
    _status(port, "/", {})  # refused, but by a route, so all of them are there now
    idle = psutil.Process(pid).memory_info().rss
    _status(port, "/", headers)
    answered = time.perf_counter() - began
    return RunningApi(port, pid, headers, ready, answered, idle)


def _ready(program: Program, port: int, began: float) -> float:
    """Wait until /health answers; return the seconds since *began*."""
    while (waited := time.perf_counter() - began) < READY_WITHIN_SECONDS:
        program.check()
        try:
            if _status(port, "/health", {}) == 200:
                return time.perf_counter() - began
        except ConnectionError:  # not listening yet
            time.sleep(0.005)
    raise TimeoutError(f"the API was not ready after {waited:.0f} seconds")


def _status(port: int, path: str, headers: Mapping[str, str]) -> int:
    """The status of an answer that has been read to its end."""
    with closing(http.client.HTTPConnection(HOST, port)) as connection:
        connection.request("GET", path, headers=dict(headers))
        response = connection.getresponse()
        response.read()
        return response.status
