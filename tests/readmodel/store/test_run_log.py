"""Reading the run log: every run of the last 90 days, whatever its end."""

from functools import reduce
from pathlib import Path

import pytest

from readmodel.store.run_log import (
    SCHEMA,
    read_log,
    read_summary,
    recent_runs,
    updated_summary,
)
from readmodel.sync.append_run import append_run
from tests.support.runs import run


def test_runs_are_read_as_they_were_the_newest_first(tmp_path: Path) -> None:
    """Every figure of every table comes back."""
    runs = [run(0), run(10, success=False, message="no database é"), run(20)]
    for each in runs:
        append_run(tmp_path, each)
    assert recent_runs(tmp_path, 10) == runs[::-1]
    assert recent_runs(tmp_path, 2) == runs[:0:-1]


def test_before_the_first_run_the_log_is_empty(tmp_path: Path) -> None:
    """And that is no error."""
    assert recent_runs(tmp_path, 5) == []
    assert read_summary(tmp_path) is None
    assert read_log(tmp_path).schema == SCHEMA


@pytest.mark.parametrize(
    ("successes", "failures"),
    [("+", 0), ("-", 1), ("+-", 1), ("-+", 0), ("+-+--", 2), ("---", 3)],
)
def test_the_summary_counts_failures_since_the_last_success(
    tmp_path: Path, successes: str, failures: int
) -> None:
    """Alerts and health look at it."""
    runs = [run(n, sign == "+") for n, sign in enumerate(successes)]
    for each in runs:
        append_run(tmp_path, each)
    summary = read_summary(tmp_path)
    assert summary == reduce(updated_summary, runs, None)
    good = [each.ended_at for each in runs if each.success]
    assert summary is not None
    assert summary.last == runs[-1]
    assert summary.failures_in_a_row == failures
    assert summary.last_success_at == (good[-1] if good else None)
