"""The run log: every run of the last 90 days, whatever its end."""

import os
from datetime import UTC, datetime, timedelta
from functools import reduce
from pathlib import Path

import polars as pl
import pytest

from readmodel.store.run_log import (
    FILE,
    KEPT,
    SCHEMA,
    Run,
    TableRun,
    after,
    recent,
    row,
    summary,
)
from readmodel.sync.append_run import MOST_RUNS, record
from util.errors import StorageError

AT = datetime(2026, 11, 21, 23, 10, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def run(minutes: float, success: bool = True, message: str = "done") -> Run:
    """A run of one second that began *minutes* after AT."""
    began = AT + timedelta(minutes=minutes)
    tables = {"fpp_votes": TableRun(5, 3, 2, 1, 4)} if success else {}
    return Run(began, began + SECOND, success, message, tables)


def test_runs_are_told_as_they_were_the_newest_first(tmp_path: Path) -> None:
    """Every figure of every table comes back."""
    runs = [run(0), run(10, success=False, message="no database é"), run(20)]
    for each in runs:
        record(tmp_path, each)
    assert recent(tmp_path, 10) == runs[::-1]
    assert recent(tmp_path, 2) == runs[:0:-1]


def test_any_tool_can_read_the_log(tmp_path: Path) -> None:
    """It is a plain Parquet file with a row per run."""
    record(tmp_path, run(0))
    log = pl.read_parquet(tmp_path / FILE)
    assert log.schema == SCHEMA
    assert log["milliseconds"].to_list() == [1000]


def test_before_the_first_run_there_is_nothing(tmp_path: Path) -> None:
    """And that is no error."""
    assert recent(tmp_path, 5) == []
    assert summary(tmp_path) is None


def test_runs_are_kept_for_90_days(tmp_path: Path) -> None:
    """A run that ended exactly 90 days earlier goes, a later one stays."""
    days = KEPT / timedelta(minutes=1)
    record(tmp_path, run(0))
    record(tmp_path, run(1))
    record(tmp_path, run(days))
    assert recent(tmp_path, 5) == [run(days), run(1)]


def test_the_log_does_not_grow_without_end(tmp_path: Path) -> None:
    """Whatever the interval, at most MOST_RUNS stay."""
    many = pl.concat([row(run(0))] * MOST_RUNS)
    many.write_parquet(tmp_path / FILE)
    record(tmp_path, run(1))
    assert pl.read_parquet(tmp_path / FILE).height == MOST_RUNS
    assert recent(tmp_path, 1) == [run(1)]


@pytest.mark.parametrize(
    ("successes", "failures"),
    [("+", 0), ("-", 1), ("+-", 1), ("-+", 0), ("+-+--", 2), ("---", 3)],
)
def test_the_summary_counts_failures_since_the_last_success(
    tmp_path: Path, successes: str, failures: int
) -> None:
    """What alerts and health look at."""
    runs = [run(n, sign == "+") for n, sign in enumerate(successes)]
    for each in runs:
        record(tmp_path, each)
    told = summary(tmp_path)
    assert told == reduce(after, runs, None)
    good = [each.ended_at for each in runs if each.success]
    assert told is not None
    assert told.last == runs[-1]
    assert told.failures_in_a_row == failures
    assert told.last_success_at == (good[-1] if good else None)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1 damaged PAR1"])
def test_a_damaged_log_is_named_and_begun_anew(tmp_path: Path, content: bytes) -> None:
    """Readers are told; the next run does not fail for it."""
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(StorageError, match=FILE):
        recent(tmp_path, 5)
    record(tmp_path, run(0))
    assert recent(tmp_path, 5) == [run(0)]


def test_a_log_with_other_columns_is_begun_anew(tmp_path: Path) -> None:
    """Another version's log does not stop this one."""
    pl.DataFrame({"x": [1]}).write_parquet(tmp_path / FILE)
    record(tmp_path, run(0))
    assert recent(tmp_path, 5) == [run(0)]


def test_a_disk_that_refuses_leaves_the_log_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing half-written beside it."""
    record(tmp_path, run(0))

    def full(_: int) -> None:
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(StorageError, match="No space left"):
            record(tmp_path, run(1))
    assert recent(tmp_path, 5) == [run(0)]
    assert [file.name for file in tmp_path.iterdir()] == [FILE]
