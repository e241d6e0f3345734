"""Gauges of the read model: the snapshot and the runs."""

from readmodel.store.metrics import ReadModelCollector
from readmodel.store.run_log import Summary
from tests.support.metrics import AT, EMPTY, FULL, LAST
from util.metrics import Metrics


def text(collector: ReadModelCollector) -> str:
    """Return what Prometheus scrapes."""
    return Metrics(collector).render()[0].decode()


def test_the_snapshot_and_the_runs_are_timestamps_and_sizes() -> None:
    """Values of one table carry its name as a label."""
    values = dict(
        line.rsplit(" ", 1)
        for line in text(FULL).splitlines()
        if line.startswith(("fpp_snapshot", "fpp_table", "fpp_sync"))
    )
    of_votes = '{table="fpp_votes"}'
    assert {key: float(value) for key, value in values.items()} == {
        "fpp_snapshot_timestamp_seconds": AT.timestamp(),
        f"fpp_table_rows{of_votes}": 12,
        f"fpp_table_parts{of_votes}": 2,
        f"fpp_table_size_bytes{of_votes}": 3_000,
        f"fpp_table_verified_timestamp_seconds{of_votes}": AT.timestamp(),
        "fpp_sync_last_run_timestamp_seconds": AT.timestamp() + 600,
        "fpp_sync_last_success_timestamp_seconds": AT.timestamp(),
        "fpp_sync_last_duration_seconds": 1.5,
        "fpp_sync_failures_in_a_row": 1,
        f"fpp_sync_rows_fetched{of_votes}": 7,
    }


def test_before_the_first_sync_every_value_is_absent() -> None:
    """An unknown value is absent, not zero."""
    assert "fpp_snapshot" not in text(EMPTY)
    assert "fpp_sync" not in text(EMPTY)


def test_without_a_successful_run_its_time_is_absent() -> None:
    """The run log holds only failures."""
    failed = ReadModelCollector(lambda: None, lambda: Summary(LAST, None, 3))
    assert "fpp_sync_failures_in_a_row 3.0" in text(failed)
    assert "fpp_sync_last_success" not in text(failed)
