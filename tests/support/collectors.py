"""The collector as a process, and clients that repeat until they get an answer."""

import resource
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from events.ids import new_id
from tests.support import preloaded
from tests.support.events import TOKEN, collector_environ
from tests.support.programs import ROOT, STOP_SECONDS, environ, wait_for_api
from tests.support.servers import closed_port

HEADERS = {"Authorization": f"Bearer {TOKEN}"}


@dataclass
class CollectorProcess:
    """A collector that may be killed and started again on its port."""

    spool: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    max_file_bytes: int | None = None
    port: int = field(default_factory=closed_port)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.process = preloaded.start(
            ["-m", "uvicorn", "collect_events:app", "--port", str(self.port)],
            env=environ({**collector_environ(self.spool), **self.settings}),
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        if self.max_file_bytes is not None:
            limit = (self.max_file_bytes, resource.RLIM_INFINITY)
            resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, limit)
        wait_for_api(self.url, self.process)

    def kill(self) -> None:
        """End it by SIGKILL."""
        assert self.process
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """End it by SIGTERM. Uvicorn stops in order and then ends by that signal."""
        assert self.process
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(STOP_SECONDS) in {0, -signal.SIGTERM}


@contextmanager
def collector(
    spool: Path, max_file_bytes: int | None = None, **settings: str
) -> Iterator[CollectorProcess]:
    """A running collector."""
    running = CollectorProcess(spool, settings, max_file_bytes)
    running.start()
    try:
        yield running
    finally:
        if running.process and running.process.poll() is None:
            running.kill()


def is_acknowledged(
    client: httpx.Client, url: str, events: Sequence[Mapping[str, str]]
) -> bool:
    """Send *events* to the collector at *url*; True if it took them for certain."""
    try:
        answer = client.post(f"{url}/events", json=events)
    except httpx.TransportError:
        return False
    return answer.status_code == 202


class Sender(threading.Thread):
    """A client that sends batches, each until it is acknowledged, until it is stopped."""

    def __init__(self, url: str, batch: int = 5) -> None:
        super().__init__()
        self._url = url
        self._batch = batch
        self._stopping = threading.Event()
        self.acknowledged: list[str] = []
        self.rejected: int = 0

    def run(self) -> None:
        """Send one batch after the other; each has a dead letter, too."""
        with httpx.Client(headers=HEADERS, timeout=5) as client:
            while not self._stopping.is_set():
                ids = [new_id(time.time_ns() // 1_000) for _ in range(self._batch)]
                events = [{"name": "x", "id": event_id} for event_id in ids]
                batch = [*events, {"id": ids[0]}]
                while not is_acknowledged(client, self._url, batch):
                    time.sleep(0.01)
                self.acknowledged += ids
                self.rejected += 1

    def finish(self) -> None:
        """Wait until the last batch is acknowledged."""
        self._stopping.set()
        self.join()
