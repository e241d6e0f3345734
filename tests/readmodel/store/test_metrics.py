"""The read model's state for metrics, and its gauges."""

from pathlib import Path

import pytest

from readmodel.store.metrics import (
    ReadModelCollector,
    ReplicaFigures,
    current_manifest,
    run_summary,
)
from readmodel.store.run_log import FILE, RunSummary
from readmodel.sync.append_run import append_run
from tests.support.metrics import AT, EMPTY, FULL, LAST
from tests.support.runs import run
from tests.support.snapshots import publish_frames
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
        "fpp_sync_interval_seconds": 600,
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


def test_the_replica_has_a_lag_and_the_size_of_its_last_transfer() -> None:
    """Without a snapshot in it, only whether it fails."""
    values = [
        line for line in text(FULL).splitlines() if line.startswith("fpp_replica")
    ]
    assert values == [
        "fpp_replica_failing 0.0",
        f"fpp_replica_snapshot_timestamp_seconds {AT.timestamp() / 1e9!r}e+09",
        "fpp_replica_lag_seconds 60.0",
        "fpp_replica_transfer_bytes 1234.0",
        "fpp_replica_transfer_seconds 2.5",
    ]
    failing = ReplicaFigures("s3://b/f", None, None, 0, 0, None, AT, "no network")
    collector = ReadModelCollector(
        lambda: None, lambda: None, lambda: 600, lambda: failing
    )
    shown = [entry for entry in text(collector).splitlines() if "replica" in entry]
    assert shown[-1] == "fpp_replica_failing 1.0"
    assert "fpp_replica" not in text(EMPTY)


def test_before_the_first_sync_every_value_is_absent() -> None:
    """An unknown value is absent, not zero."""
    assert "fpp_snapshot" not in text(EMPTY)
    assert "fpp_sync" not in text(EMPTY).replace("fpp_sync_interval_seconds", "")


def test_without_a_successful_run_its_time_is_absent() -> None:
    """The run log has only failures."""
    failed = ReadModelCollector(
        lambda: None, lambda: RunSummary(LAST, None, 3), lambda: 600
    )
    assert "fpp_sync_failures_in_a_row 3.0" in text(failed)
    assert "fpp_sync_last_success" not in text(failed)


def test_the_current_manifest_is_that_of_the_snapshot(tmp_path: Path) -> None:
    """None before the first, and none while a table is missing."""
    assert current_manifest(tmp_path) is None
    snapshot = publish_frames(tmp_path)
    assert current_manifest(tmp_path) == snapshot.manifest
    Path(snapshot.files("fpp_votes")[0]).unlink()
    assert current_manifest(tmp_path) is None


@pytest.mark.parametrize("content", [b"", b"PAR1"])
def test_the_run_summary_is_none_without_a_readable_log(
    tmp_path: Path, content: bytes
) -> None:
    """Before the first run, and when the file is damaged."""
    assert run_summary(tmp_path) is None
    append_run(tmp_path, run(0))
    assert run_summary(tmp_path) == RunSummary(run(0), run(0).ended_at, 0)
    (tmp_path / FILE).write_bytes(content)
    assert run_summary(tmp_path) is None
