"""Two collectors and one updater that pulls their spools, as processes.

All of them are killed, and the network between them fails, while clients send events
and repeat what is not acknowledged, now to one collector and now to the other.
"""

import os
import random
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from events.ids import new_id
from events.spool_files import list_files
from readmodel.store import snapshot
from tests.support import preloaded
from tests.support.collectors import (
    HEADERS,
    CollectorProcess,
    collector,
    is_acknowledged,
)
from tests.support.programs import ROOT, environ
from tests.support.storage import FAULTS, Network, network

pytestmark = pytest.mark.external

SPOOL_TOKEN = "token-of-the-updater-0123456789abcdef"
KILLS = int(os.environ.get("FPP_KILL_ROUNDS", "4"))
"""How often a program is killed; more find more."""


class Balanced(threading.Thread):
    """A client that sends batches to either collector until one acknowledges them."""

    def __init__(self, collectors: Sequence[CollectorProcess], seed: int) -> None:
        super().__init__()
        self._urls = [running.url for running in collectors]
        self._chance = random.Random(seed)
        self._stopping = threading.Event()
        self.acknowledged: list[str] = []
        self.repeated = 0

    def run(self) -> None:
        """Send one batch after the other."""
        with httpx.Client(headers=HEADERS, timeout=5) as client:
            while not self._stopping.is_set():
                ids = [new_id(time.time_ns() // 1_000) for _ in range(3)]
                events = [{"name": "x", "id": event_id} for event_id in ids]
                while not self._is_acknowledged(client, events):
                    self._stopping.wait(0.01)
                # The answer may be lost on the way to a client, which then repeats.
                if self._chance.random() < 0.2:
                    self.repeated += self._is_acknowledged(client, events)
                self.acknowledged += ids

    def _is_acknowledged(
        self, client: httpx.Client, events: list[dict[str, str]]
    ) -> bool:
        return is_acknowledged(client, self._chance.choice(self._urls), events)

    def finish(self) -> None:
        """Wait until the last batch is acknowledged."""
        self._stopping.set()
        self.join()


class Updater:
    """An updater that takes events all the time, and has no table to sync."""

    def __init__(self, data_dir: Path, networks: Sequence[Network]) -> None:
        urls = [f"http://127.0.0.1:{net.port}" for net in networks]
        self._settings = {
            "DATA_DIR": str(data_dir),
            "TABLES": "none",
            "COLLECTOR_URLS": ",".join(urls),
            "SPOOL_TOKEN": SPOOL_TOKEN,
            "EVENTS_INTERVAL_SECONDS": "0.02",
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it."""
        self._process = preloaded.start(
            [str(ROOT / "update_readmodel.py"), "--every", "600"],
            env=environ(self._settings),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def kill(self) -> None:
        """End it by SIGKILL."""
        assert self._process
        self._process.kill()
        self._process.wait()


@contextmanager
def two_collectors(folder: Path) -> Iterator[list[tuple[CollectorProcess, Network]]]:
    """Collectors with spools of their own, each behind a network of its own."""
    with ExitStack() as stack:
        yield [
            (running, stack.enter_context(network(running.port)))
            for running in (
                stack.enter_context(collector(folder / name, SPOOL_TOKEN=SPOOL_TOKEN))
                for name in ("c1", "c2")
            )
        ]


def stored(data_dir: Path) -> list[str]:
    """The ids of all stored events."""
    return snapshot.latest(data_dir).scan("events").collect()["event_id"].to_list()


def kill_next(
    net: Network, path: str, victim: Updater | CollectorProcess, patience: float = 30
) -> None:
    """Kill *victim* while it handles its next request of *path*, and start it again."""
    reached, killed = threading.Event(), threading.Event()
    usual = net.fault

    def fault(method: str, requested: str) -> str | None:
        if requested.startswith(path) and not reached.is_set():
            reached.set()
            killed.wait(patience)
            return "drop answer"
        return usual(method, requested)

    net.fault = fault
    assert reached.wait(patience), path
    victim.kill()
    net.fault = usual
    killed.set()
    victim.start()


def test_whoever_is_killed_each_acknowledged_event_is_stored_once(
    tmp_path: Path,
) -> None:
    """At each step: list, fetch, publish, acknowledge; and over a network that fails."""
    chance = random.Random(2)
    data_dir = tmp_path / "data"
    with two_collectors(tmp_path) as pairs:
        for _, net in pairs:
            net.fault = lambda *_: (
                chance.choice(FAULTS) if chance.random() < 0.1 else None
            )
        updater = Updater(data_dir, [net for _, net in pairs])
        updater.start()
        clients = [Balanced([running for running, _ in pairs], n) for n in range(2)]
        for client in clients:
            client.start()
        steps = ("/spool/files", "/spool/read", "/spool/acknowledge")
        for number in range(KILLS):
            running, net = chance.choice(pairs)
            victim = updater if number % 2 else running
            kill_next(net, steps[number % len(steps)], victim)
        for client in clients:
            client.finish()
        for _, net in pairs:
            net.fault = lambda *_: None
        until = time.monotonic() + 60
        while any(list_files(running.spool) for running, _ in pairs):
            assert time.monotonic() < until
            time.sleep(0.02)
        updater.kill()
        for running, _ in pairs:
            running.stop()
    acknowledged = [event_id for client in clients for event_id in client.acknowledged]
    assert len(acknowledged) > 20
    assert sum(client.repeated for client in clients) > 0
    assert Counter(stored(data_dir)) == Counter(acknowledged)
