"""Append to the run log and the view log, and drop what is older than their retention."""

import io
from collections.abc import Sequence
from dataclasses import astuple
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import polars as pl

from readmodel.store import view_log
from readmodel.store.damage import PARSE_ERRORS
from readmodel.store.run_log import COUNTS, FILE, RETENTION, SCHEMA, Run, read_log
from readmodel.store.seal import seal
from readmodel.store.view_log import ViewRun, read_view_log
from readmodel.sync.disk import replacing, write_synced
from util.errors import StorageError

MAX_RUNS: Final = 20_000
"""A run a minute for a fortnight: the log stays small whatever the interval is."""

MAX_VIEW_RUNS: Final = 200_000
"""Some fifteen builds per run, for 90 days at the default interval."""

AHEAD: Final = timedelta(days=1)
"""Runs that ended later than this after the last one are of a clock that was wrong."""


def append_run(data_dir: Path, run: Run) -> None:
    """Append *run* to the log of *data_dir*, replacing the file atomically.

    A log that cannot be read is replaced by a new one. Raises StorageError when the
    disk refuses; the log is then as it was.
    """
    try:
        earlier = read_log(data_dir)
    except StorageError:
        earlier = pl.DataFrame(schema=SCHEMA)
    recent = _recent(earlier, run.ended_at, RETENTION)
    _replace_log(data_dir / FILE, pl.concat([recent, run_frame(run)]).tail(MAX_RUNS))


def append_view_runs(data_dir: Path, runs: Sequence[ViewRun]) -> None:
    """Append builds of derived tables to the view log, likewise."""
    if not runs:
        return
    try:
        earlier = read_view_log(data_dir)
    except StorageError:
        earlier = pl.DataFrame(schema=view_log.SCHEMA)
    recent = _recent(earlier, max(run.ended_at for run in runs), view_log.RETENTION)
    added = pl.DataFrame(
        [astuple(run) for run in runs], schema=view_log.SCHEMA, orient="row"
    )
    log = pl.concat([recent, added]).tail(MAX_VIEW_RUNS)
    _replace_log(data_dir / view_log.FILE, log)


def _recent(log: pl.DataFrame, now: datetime, retention: timedelta) -> pl.DataFrame:
    """The rows of *log* that ended within *retention* before *now*, or a day after it."""
    return log.filter(
        pl.col("ended_at").is_between(now - retention, now + AHEAD, closed="right")
    )


def run_frame(run: Run) -> pl.DataFrame:
    """One row of run_log.SCHEMA for *run*."""
    row = {
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "milliseconds": round(run.took / timedelta(milliseconds=1)),
        "success": run.success,
        "message": run.message,
        "tables": [
            {"table": name, **{count: getattr(table, count) for count in COUNTS}}
            for name, table in run.tables.items()
        ],
    }
    return pl.DataFrame([row], schema=SCHEMA)


def _replace_log(file: Path, log: pl.DataFrame) -> None:
    # In memory first: Polars reports a full disk as an error like any other of its own.
    content = io.BytesIO()
    try:
        log.write_parquet(content, compression="zstd")
        with replacing(file) as unfinished:
            write_synced(unfinished, seal(content.getvalue()))
    except (OSError, *PARSE_ERRORS) as error:
        reason = getattr(error, "strerror", None) or error
        raise StorageError(
            f"The run log {file.name} cannot be written: {reason}"
        ) from error
