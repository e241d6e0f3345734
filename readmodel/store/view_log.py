"""The builds of derived tables, view_runs.parquet in DATA_DIR, of the last 90 days.

It is beside the snapshots, like the run log. Tables that were linked unchanged were not
built, so they are not in it.
"""

import io
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import polars as pl

from readmodel.dtypes import INSTANT
from util.errors import StorageError

FILE: Final = "view_runs.parquet"
RETENTION: Final = timedelta(days=90)

SCHEMA: Final = pl.Schema(
    {
        "name": pl.String(),
        "type": pl.String(),
        "object": pl.String(),
        "file": pl.String(),
        "started_at": INSTANT,
        "ended_at": INSTANT,
        "milliseconds": pl.Int64(),
        "rows": pl.Int64(),
        "outcome": pl.String(),
        "message": pl.String(),
        "sql_sha256": pl.String(),
    }
)


@dataclass(frozen=True, slots=True)
class ViewRun:
    """One build of a derived table, or one finding about a file. Instants are UTC.

    `outcome` is "built", or what failed; then `rows` is 0 and `message` says why.
    """

    name: str
    type: str
    object: str
    file: str
    started_at: datetime
    ended_at: datetime
    milliseconds: int
    rows: int
    outcome: str
    message: str
    sql_sha256: str

    @property
    def success(self) -> bool:
        """True if the table was built."""
        return self.outcome == "built"


def recent_view_runs(data_dir: Path, limit: int) -> list[ViewRun]:
    """Return the newest *limit* builds, newest first.

    Raises StorageError if the log cannot be read.
    """
    newest = read_view_log(data_dir).tail(limit).reverse()
    return [ViewRun(*row) for row in newest.iter_rows()]


def read_view_log(data_dir: Path) -> pl.DataFrame:
    """Read the whole log as SCHEMA, oldest first; empty before the first build.

    Raises StorageError if it cannot be read.
    """
    try:
        # At once, since the updater may replace the file between two reads of it.
        content = (data_dir / FILE).read_bytes()
        return pl.read_parquet(io.BytesIO(content)).match_to_schema(SCHEMA)
    except FileNotFoundError:
        return pl.DataFrame(schema=SCHEMA)
    except (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise StorageError(
            f"The log {FILE} cannot be read; the next run begins a new one"
        ) from error
