"""Writing the run log: one more run, and those older than 90 days gone."""

import io
import os
from pathlib import Path

import polars as pl

from readmodel.store.run_log import FILE, KEPT, SCHEMA, Run, load, row
from util.errors import StorageError

# A run a minute for a fortnight: the log stays small whatever the interval is.
MOST_RUNS = 20_000


def record(data_dir: Path, run: Run) -> None:
    """Add *run* to the log of *data_dir*, replacing the file in one step.

    A log that cannot be read is begun anew. Raises StorageError when the disk refuses;
    the log is then as it was.
    """
    try:
        earlier = load(data_dir)
    except StorageError:
        earlier = pl.DataFrame(schema=SCHEMA)
    kept = earlier.filter(pl.col("ended_at") > run.ended_at - KEPT)
    _replace(data_dir / FILE, pl.concat([kept, row(run)]).tail(MOST_RUNS))


def _replace(file: Path, log: pl.DataFrame) -> None:
    aside = file.with_name(f".{file.name}.part")
    # In memory first: a disk that refuses Polars is not told apart from a bug.
    content = io.BytesIO()
    log.write_parquet(content, compression="zstd")
    try:
        with aside.open("wb") as stream:
            stream.write(content.getbuffer())
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(aside, file)
    except OSError as error:
        raise StorageError(
            f"The run log {file.name} cannot be written: {error.strerror or error}"
        ) from error
    finally:
        aside.unlink(missing_ok=True)
