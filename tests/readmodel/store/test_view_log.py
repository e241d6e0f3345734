"""The view log: builds of derived tables of the last 90 days."""

from datetime import timedelta
from pathlib import Path

import pytest

from readmodel.store import view_log
from readmodel.store.view_log import SCHEMA, ViewRun, read_view_log, recent_view_runs
from readmodel.sync.append_run import append_view_runs
from tests.support.derived import NOON
from util.errors import StorageError


def view_run(days: float, outcome: str = "built") -> ViewRun:
    """A build that many *days* after NOON."""
    at = NOON + timedelta(days=days)
    end = at + timedelta(seconds=2)
    return ViewRun(
        "rooms",
        "materialized_view",
        "rooms",
        "a.sql",
        at,
        end,
        2000,
        5,
        outcome,
        "é",
        "",
    )


def test_builds_are_read_as_they_were_the_newest_first(tmp_path: Path) -> None:
    """Those of one run and of several."""
    runs = [view_run(0), view_run(1, "error"), view_run(2)]
    append_view_runs(tmp_path, runs[:2])
    append_view_runs(tmp_path, runs[2:])
    assert recent_view_runs(tmp_path, 10) == runs[::-1]
    assert recent_view_runs(tmp_path, 1) == runs[2:]
    assert [run.success for run in runs] == [True, False, True]


def test_builds_are_kept_for_90_days(tmp_path: Path) -> None:
    """Just older ones are dropped."""
    append_view_runs(tmp_path, [view_run(0), view_run(0.01)])
    append_view_runs(tmp_path, [view_run(90.005)])
    assert recent_view_runs(tmp_path, 10) == [view_run(90.005), view_run(0.01)]


def test_a_run_without_builds_writes_nothing(tmp_path: Path) -> None:
    """The log is empty before the first."""
    append_view_runs(tmp_path, [])
    assert not (tmp_path / view_log.FILE).exists()
    assert read_view_log(tmp_path).schema == SCHEMA


def test_a_damaged_log_is_reported_and_replaced(tmp_path: Path) -> None:
    """The next build begins a new one."""
    (tmp_path / view_log.FILE).write_bytes(b"PAR1 not")
    with pytest.raises(StorageError, match=r"view_runs\.parquet cannot be read"):
        recent_view_runs(tmp_path, 1)
    append_view_runs(tmp_path, [view_run(0)])
    assert recent_view_runs(tmp_path, 10) == [view_run(0)]
