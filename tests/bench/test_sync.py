"""What the sync is compared with."""

import tomllib
from pathlib import Path

import pytest

from bench import sync
from bench.errors import BenchError
from bench.sync_worker import WAYS
from tests.test_docs import MAKEFILE

ROOT = Path(__file__).parents[2]


def test_every_way_can_be_measured() -> None:
    """What the tables name is what the worker knows."""
    assert {way for ways in sync.EVENTS.values() for way in ways} == set(WAYS)


def test_a_missing_rival_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its rows would be missed, and nobody would know why."""
    monkeypatch.setattr(sync, "find_spec", lambda _: None)
    with pytest.raises(BenchError, match="connectorx is missing.*--group bench-sync"):
        next(sync.run(1))


def test_make_bench_installs_the_rivals() -> None:
    """In the group that the set-up is asked for, which the lock file holds."""
    recipe = MAKEFILE.partition("\nbench:")[2].partition("\n\n")[0]
    assert "$(SETUP) --group bench-sync\n" in recipe
    lock = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))
    (ours,) = (p for p in lock["package"] if p["name"] == "fpp-analytics")
    locked = {package["name"] for package in ours["dev-dependencies"]["bench-sync"]}
    assert locked == {"connectorx", "pyarrow"}
    assert not locked & {package["name"] for package in ours["dev-dependencies"]["dev"]}
