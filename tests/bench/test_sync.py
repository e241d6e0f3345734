"""The methods that the sync is compared with."""

import tomllib
from pathlib import Path

import pytest

from bench import sync, sync_postgres
from bench.errors import BenchError
from bench.sync_worker import METHODS
from tests.test_docs import MAKEFILE

ROOT = Path(__file__).parents[2]


def test_every_method_can_be_measured() -> None:
    """The events use exactly the methods that the worker implements."""
    events = [*sync.EVENTS.values(), *sync_postgres.EVENTS.values()]
    assert {method for methods in events for method in methods} == set(METHODS)


def test_a_missing_package_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without connectorx the tables would silently lack its rows."""
    monkeypatch.setattr(sync, "find_spec", lambda _: None)
    with pytest.raises(BenchError, match=r"connectorx is missing.*--group bench-sync"):
        next(sync.run(1))


def test_make_bench_installs_the_compared_packages() -> None:
    """They are in a dependency group of their own, which the lock file contains."""
    recipe = MAKEFILE.partition("\nbench:")[2].partition("\n\n")[0]
    assert "$(SETUP) --group bench-sync\n" in recipe
    lock = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))
    (ours,) = (p for p in lock["package"] if p["name"] == "fpp-analytics")
    locked = {package["name"] for package in ours["dev-dependencies"]["bench-sync"]}
    assert locked == {"adbc-driver-postgresql", "connectorx", "pyarrow"}
    assert not locked & {package["name"] for package in ours["dev-dependencies"]["dev"]}
