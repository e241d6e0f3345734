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
from readmodel.store.damage import READ_ERRORS, VALUE_ERRORS, read_file
from readmodel.store.seal import require_intact
from util.errors import StorageError

FILE: Final = "view_runs.parquet"
MOST_BYTES: Final = 256 * 2**20
"""More than any log has: rows beyond a number are dropped."""
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
    try:
        return [ViewRun(*row) for row in newest.iter_rows()]
    except (*READ_ERRORS, *VALUE_ERRORS) as error:
        raise _unreadable() from error


def read_view_log(data_dir: Path) -> pl.DataFrame:
    """Read the whole log as SCHEMA, oldest first; empty before the first build.

    Raises StorageError if it cannot be read.
    """
    try:
        # At once, since the updater may replace the file between two reads of it.
        content = read_file(data_dir / FILE, MOST_BYTES)
        require_intact(content)
        log = pl.read_parquet(io.BytesIO(content)).match_to_schema(SCHEMA)
        return log.drop_nulls(log.columns)
    except FileNotFoundError:
        return pl.DataFrame(schema=SCHEMA)
    except (*READ_ERRORS, *VALUE_ERRORS) as error:
        raise _unreadable() from error


def _unreadable() -> StorageError:
    return StorageError(f"The log {FILE} cannot be read; the next run begins a new one")
