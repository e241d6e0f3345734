"""The run log, sync_runs.parquet in DATA_DIR: every run of the last 90 days.

It is not part of a snapshot, since a failed run publishes none. This module reads it;
`sync.append_run` writes it.
"""

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import polars as pl

from readmodel.dtypes import INSTANT
from readmodel.store.damage import READ_ERRORS, VALUE_ERRORS, read_file
from readmodel.store.event_tables import EVENT_TABLES
from readmodel.store.seal import require_intact
from util.errors import StorageError
from util.json_types import JsonMapping

FILE: Final = "sync_runs.parquet"
MOST_BYTES: Final = 64 * 2**20
"""More than any log has: rows beyond a number are dropped."""
RETENTION: Final = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class TableRun:
    """What a run did to one table: counts of rows, and of Parquet files rewritten."""

    rows_fetched: int = 0
    rows_added: int = 0
    rows_changed: int = 0
    rows_removed: int = 0
    parts_rewritten: int = 0


COUNTS: Final = tuple(count.name for count in fields(TableRun))
SCHEMA: Final = pl.Schema(
    {
        "started_at": INSTANT,
        "ended_at": INSTANT,
        "milliseconds": pl.Int64(),
        "success": pl.Boolean(),
        "message": pl.String(),
        "tables": pl.List(
            pl.Struct({"table": pl.String(), **dict.fromkeys(COUNTS, pl.Int64())})
        ),
    }
)
"""The columns of the log; one row per run."""


_TABLE_NAMES: Final = pl.col("tables").list.eval(pl.element().struct.field("table"))
_CHANGED_EVENTS: Final = (pl.col("tables").list.len() > 0) & (
    _TABLE_NAMES.list.set_difference(list(EVENT_TABLES)).list.len() == 0
)
"""True for runs that changed nothing but stored events: they are no syncs."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the updater. Instants are UTC; `tables` is empty after a failure."""

    started_at: datetime
    ended_at: datetime
    success: bool
    message: str
    tables: Mapping[str, TableRun] = field(default_factory=dict)

    @property
    def took(self) -> timedelta:
        """Time from start to end; zero if the clock was set back meanwhile."""
        return max(self.ended_at - self.started_at, timedelta())

    @property
    def rows_fetched(self) -> int:
        """Rows read from the database, over all tables."""
        return sum(table.rows_fetched for table in self.tables.values())


@dataclass(frozen=True, slots=True)
class RunSummary:
    """The last run, the last success, and the number of failures since."""

    last: Run
    last_success_at: datetime | None
    failures_in_a_row: int


def updated_summary(summary: RunSummary | None, run: Run) -> RunSummary:
    """The summary after *run*; *summary* is None before the first run."""
    if run.success:
        return RunSummary(run, run.ended_at, 0)
    if summary is None:
        return RunSummary(run, None, 1)
    return RunSummary(run, summary.last_success_at, summary.failures_in_a_row + 1)


def read_summary(data_dir: Path) -> RunSummary | None:
    """Summarise the runs that synced; None before the first one.

    Raises StorageError when the log cannot be read.
    """
    log = read_log(data_dir).filter(~_CHANGED_EVENTS)
    if log.is_empty():
        return None
    successes = log.filter("success")
    failures = log["success"].reverse().arg_max() if len(successes) else len(log)
    with _readable():
        return RunSummary(
            last=_run(log.row(-1, named=True)),
            last_success_at=successes["ended_at"][-1] if len(successes) else None,
            failures_in_a_row=failures or 0,
        )


def recent_runs(data_dir: Path, limit: int) -> list[Run]:
    """The last *limit* runs, newest first; empty before the first run.

    Raises StorageError when the log cannot be read.
    """
    return runs_of(read_log(data_dir).tail(limit).reverse())


def runs_of(rows: pl.DataFrame) -> list[Run]:
    """The runs of rows of the log, in their order. Raises StorageError."""
    with _readable():
        return [_run(row) for row in rows.to_dicts()]


def read_log(data_dir: Path) -> pl.DataFrame:
    """The whole log with the columns of SCHEMA, oldest run first.

    Empty before the first run. Raises StorageError when the log cannot be read.
    """
    try:
        # All bytes at once, since the updater may replace the file between two reads.
        content = read_file(data_dir / FILE, MOST_BYTES)
    except FileNotFoundError:
        return pl.DataFrame(schema=SCHEMA)
    except OSError as error:
        raise _unreadable() from error
    with _readable():
        require_intact(content)
        log = pl.read_parquet(io.BytesIO(content)).match_to_schema(SCHEMA)
        return log.drop_nulls(log.columns)


@contextmanager
def _readable() -> Iterator[None]:
    """Raise StorageError for content that no log has, whatever is wrong with it."""
    try:
        yield
    except (*READ_ERRORS, *VALUE_ERRORS) as error:
        raise _unreadable() from error


def _unreadable() -> StorageError:
    return StorageError(
        f"The run log {FILE} cannot be read; the next run begins a new one"
    )


def _run(row: JsonMapping) -> Run:
    return Run(
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        success=row["success"],
        message=row["message"],
        tables={
            table["table"]: TableRun(**{count: table[count] for count in COUNTS})
            for table in row["tables"]
        },
    )
