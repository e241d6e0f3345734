"""The measured sync from an SQLite file."""

import pytest

from bench import sync_sqlite
from bench.sync_sqlite import EVENTS, FIRST, NEW, NO_CHANGE, OURS
from bench.sync_worker import CopyCost


@pytest.mark.long("tests/bench/test_engines.py::test_the_sample_is_written_by_the_sync")
def test_a_small_sample_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """All rows at first, none without a change, and the blocks of the new rows."""
    monkeypatch.setattr(sync_sqlite, "EVENTS", dict.fromkeys(EVENTS, (OURS,)))
    monkeypatch.setattr(sync_sqlite, "NEW_ROWS", 5)
    costs = sync_sqlite.measure(0.01)
    assert costs[FIRST, OURS].rows > 0
    assert costs[NO_CHANGE, OURS].rows == 0
    assert costs[NEW, OURS].rows > 0
    assert sync_sqlite.table(costs).count("this project") == 3
    names = [target.name for target in sync_sqlite.check_targets(costs)]
    assert not any("CPU" in name for name in names)


def test_the_cost_of_a_row_has_targets_from_a_million_rows_on() -> None:
    """The start of the process is not part of it."""
    costs = {
        (event, OURS): CopyCost(cpu=cpu, start_cpu=1, rows=2_000_000)
        for event, cpu in ((FIRST, 7), (NO_CHANGE, 1.5), (NEW, 8))
    }
    checked = {one.name: one for one in sync_sqlite.check_targets(costs)}
    first = checked["SQLite, first sync: CPU a row"]
    assert (first.measured, first.met) == ("3 µs", True)
    assert checked["SQLite, no change: CPU a row"].measured == "0.25 µs"
    assert not checked["SQLite, 1,000 new rows a table: CPU a row"].met
