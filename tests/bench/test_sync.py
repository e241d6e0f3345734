"""The methods that the sync is compared with."""

import tomllib
from pathlib import Path

import pytest

from bench import sync, sync_postgres, sync_sqlite
from bench.errors import BenchError
from bench.sync_worker import METHODS, CopyCost
from tests.test_docs import MAKEFILE

ROOT = Path(__file__).parents[2]


def test_every_method_can_be_measured() -> None:
    """The events use exactly the methods that the worker implements."""
    events = [
        *sync.EVENTS.values(),
        *sync_postgres.EVENTS.values(),
        *sync_sqlite.EVENTS.values(),
    ]
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
    tests = {package["name"] for package in ours["dev-dependencies"]["dev"]}
    assert locked & tests == {"pyarrow"}  # tests read Delta logs with it


def test_the_cost_of_a_row_has_targets_from_a_million_rows_on() -> None:
    """The server's time of each row of the table counts, too."""
    costs = {
        ("first sync", sync.OURS): (CopyCost(wall=26, cpu=4, rows=2_000_000), 3.0),
        ("first sync", "connectorx"): (CopyCost(wall=10), 1.0),
        ("no change", sync.OURS): (CopyCost(), 2.0),
        ("1,000 new rows a table", sync.OURS): (CopyCost(), 0.0),
        ("1,000 new rows a table", sync.DIGESTS): (CopyCost(), 0.0),
    }
    measured = {
        target.name: target.measured for target in sync._check_targets({10.0: costs})
    }
    assert measured["first sync: client CPU a million rows"] == "2 s"
    assert measured["first sync: wall, as a multiple of connectorx's"] == "2.6"
    assert measured["first sync: server CPU, as a multiple of connectorx's"] == "3"
    assert measured["no change: server CPU a row"] == "1 µs"
    table = sync._table(costs)
    assert "server CPU s" in table
    assert table.count("3.00") == table.count("2.00") == 1
