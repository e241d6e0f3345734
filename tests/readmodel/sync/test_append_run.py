"""Appending to the run log: bounded in age and size, replaced whole."""

import os
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from readmodel.store.run_log import FILE, RETENTION, SCHEMA, read_log, recent_runs
from readmodel.sync.append_run import MAX_RUNS, append_run, run_frame
from tests.support.runs import run
from util.errors import StorageError


def test_any_tool_can_read_the_log(tmp_path: Path) -> None:
    """It is a plain Parquet file with a row per run."""
    append_run(tmp_path, run(0))
    log = pl.read_parquet(tmp_path / FILE)
    assert log.schema == SCHEMA
    assert log["milliseconds"].to_list() == [1000]


def test_runs_are_kept_for_90_days(tmp_path: Path) -> None:
    """A run that ended exactly 90 days earlier goes, a later one stays."""
    minutes = RETENTION / timedelta(minutes=1)
    append_run(tmp_path, run(0))
    append_run(tmp_path, run(1))
    append_run(tmp_path, run(minutes))
    assert recent_runs(tmp_path, 5) == [run(minutes), run(1)]


def test_the_log_does_not_grow_without_end(tmp_path: Path) -> None:
    """Whatever the interval, at most MAX_RUNS stay."""
    many = pl.concat([run_frame(run(0))] * MAX_RUNS)
    many.write_parquet(tmp_path / FILE)
    append_run(tmp_path, run(1))
    assert pl.read_parquet(tmp_path / FILE).height == MAX_RUNS
    assert recent_runs(tmp_path, 1) == [run(1)]


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1 damaged PAR1"])
def test_a_damaged_log_is_named_and_replaced(tmp_path: Path, content: bytes) -> None:
    """Readers get an error; the next run does not fail for it."""
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(StorageError, match=FILE):
        recent_runs(tmp_path, 5)
    append_run(tmp_path, run(0))
    assert recent_runs(tmp_path, 5) == [run(0)]


def test_a_log_with_other_columns_is_replaced(tmp_path: Path) -> None:
    """Another version's log does not stop this one."""
    pl.DataFrame({"x": [1]}).write_parquet(tmp_path / FILE)
    append_run(tmp_path, run(0))
    assert recent_runs(tmp_path, 5) == [run(0)]


def test_a_disk_that_refuses_leaves_the_log_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing half-written beside it."""
    append_run(tmp_path, run(0))

    def fail(_: int) -> None:
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail)
        with pytest.raises(StorageError, match="No space left"):
            append_run(tmp_path, run(1))
    assert recent_runs(tmp_path, 5) == [run(0)]
    assert [file.name for file in tmp_path.iterdir()] == [FILE]


def test_the_log_is_read_oldest_first(tmp_path: Path) -> None:
    """In the order of the appends."""
    for minutes in (0, 10):
        append_run(tmp_path, run(minutes))
    assert read_log(tmp_path)["started_at"].to_list() == [
        run(0).started_at,
        run(10).started_at,
    ]
