"""Append a run to the run log, and drop the runs older than its retention."""

import io
from datetime import timedelta
from pathlib import Path
from typing import Final

import polars as pl

from readmodel.store.run_log import COUNTS, FILE, RETENTION, SCHEMA, Run, read_log
from readmodel.sync.disk import replacing, write_synced
from util.errors import StorageError

MAX_RUNS: Final = 20_000
"""A run a minute for a fortnight: the log stays small whatever the interval is."""


def append_run(data_dir: Path, run: Run) -> None:
    """Append *run* to the log of *data_dir*, replacing the file atomically.

    A log that cannot be read is replaced by a new one. Raises StorageError when the
    disk refuses; the log is then as it was.
    """
    try:
        earlier = read_log(data_dir)
    except StorageError:
        earlier = pl.DataFrame(schema=SCHEMA)
    recent = earlier.filter(pl.col("ended_at") > run.ended_at - RETENTION)
    _replace_log(data_dir / FILE, pl.concat([recent, run_frame(run)]).tail(MAX_RUNS))


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
    log.write_parquet(content, compression="zstd")
    try:
        with replacing(file) as unfinished:
            write_synced(unfinished, content.getbuffer())
    except OSError as error:
        raise StorageError(
            f"The run log {file.name} cannot be written: {error.strerror or error}"
        ) from error
