"""Events from HTTP to the read model, while programs are killed."""

import os
import random
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from events.spool_files import list_files
from readmodel.store import snapshot
from readmodel.sync.drain import drain
from tests.support import preloaded
from tests.support.collectors import HEADERS, Sender, collector
from tests.support.events import spooled
from tests.support.programs import ROOT, environ

pytestmark = pytest.mark.external

ROUNDS = int(os.environ.get("FPP_KILL_ROUNDS", "1"))
"""How often a collector and an updater are killed; more find more."""


def column(data_dir: Path, table: str, name: str) -> list[str]:
    """A column of a table of the current snapshot."""
    return snapshot.latest(data_dir).scan(table).collect()[name].to_list()


def start_updater(settings: dict[str, str]) -> "subprocess.Popen[bytes]":
    """Start an updater that drains all the time; its syncs fail, without a database."""
    return preloaded.start(
        [str(ROOT / "update_readmodel.py"), "--every", "600"],
        env=environ(settings),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def test_collectors_and_updaters_are_killed_at_random(tmp_path: Path) -> None:
    """Every acknowledged event is there once, and every rejected one; no other is."""
    spool, data_dir = tmp_path / "spool", tmp_path / "data"
    settings = {
        "DATA_DIR": str(data_dir),
        "SPOOL_DIR": str(spool),
        "SOURCE_URL": f"sqlite:///{tmp_path / 'missing.db'}",
        "EVENTS_INTERVAL_SECONDS": "0.02",
    }
    chance = random.Random(1)
    with collector(spool) as first, collector(spool) as second:
        senders = [Sender(first.url), Sender(first.url), Sender(second.url)]
        updaters = [start_updater(settings) for _ in range(2)]
        for sender in senders:
            sender.start()
        for round_number in range(ROUNDS):
            time.sleep(chance.uniform(0.1, 0.5))
            victim = chance.choice([first, second])
            victim.kill()
            victim.start()
            number = round_number % 2
            updaters[number].kill()
            updaters[number].wait()
            updaters[number] = start_updater(settings)
        for sender in senders:
            sender.finish()
        for updater in updaters:
            updater.kill()
            updater.wait()
        for running in (first, second):
            running.stop()
    drain(data_dir, spool)
    acknowledged = [event_id for each in senders for event_id in each.acknowledged]
    assert len(acknowledged) > 20
    assert sorted(column(data_dir, "events", "event_id")) == sorted(acknowledged)
    letters = column(data_dir, "events_rejected", "rejection_id")
    assert len(letters) == len(set(letters)) == sum(each.rejected for each in senders)


def test_a_full_disk_refuses_and_stores_nothing_of_it(tmp_path: Path) -> None:
    """What fits is taken; after the stop everything acknowledged is there."""
    spool = tmp_path / "spool"
    with collector(spool, max_file_bytes=20_000) as running:
        large = {"name": "x", "id": "large", "properties": {"a": "b" * 30_000}}
        refused = httpx.post(f"{running.url}/events", json=large, headers=HEADERS)
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
        assert httpx.get(f"{running.url}/readyz").status_code == 503
        small = {"name": "x", "id": "small"}
        taken = httpx.post(f"{running.url}/events", json=small, headers=HEADERS)
        assert taken.status_code == 202
        assert httpx.get(f"{running.url}/readyz").status_code == 200
        running.stop()
    assert [line["event_id"] for line in spooled(spool)] == ["small"]
    assert len(list(spool.iterdir())) == len(list_files(spool)) == 1
