"""The measured sync from PostgreSQL."""

import pytest

from bench import sync_postgres
from bench.sync_postgres import EVENTS, FIRST, NEW, NO_CHANGE, OURS


@pytest.mark.long("tests/bench/test_engines.py::test_the_sample_is_written_by_the_sync")
def test_a_small_sample_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """All rows at first, none without a change, and the blocks of the new rows."""
    events = dict.fromkeys(EVENTS, (OURS,))
    monkeypatch.setattr(sync_postgres, "EVENTS", events)
    costs = sync_postgres.measure(0.01)
    first, server = costs[FIRST, OURS]
    assert first.rows > 0
    assert server > 0
    assert costs[NO_CHANGE, OURS][0].rows == 0
    assert costs[NEW, OURS][0].rows > 0
    assert [target.name for target in sync_postgres.check_targets(costs)] != []
