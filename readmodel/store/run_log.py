"""The run log, sync_runs.parquet in DATA_DIR: how every run of the last 90 days went.

It stands beside the snapshots and not in them, since a failed run publishes none.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import polars as pl

from util.errors import StorageError

FILE: Final = "sync_runs.parquet"
KEPT: Final = timedelta(days=90)

_INSTANT = pl.Datetime("us", "UTC")
_COUNTS: Final = (
    "rows_fetched",
    "rows_added",
    "rows_changed",
    "rows_removed",
    "parts_rewritten",
)
SCHEMA: Final = pl.Schema(
    {
        "started_at": _INSTANT,
        "ended_at": _INSTANT,
        "milliseconds": pl.Int64(),
        "success": pl.Boolean(),
        "message": pl.String(),
        "tables": pl.List(
            pl.Struct({"table": pl.String(), **dict.fromkeys(_COUNTS, pl.Int64())})
        ),
    }
)


@dataclass(frozen=True, slots=True)
class TableRun:
    """What a run did to one table, in rows; a rewritten part is one Parquet file."""

    rows_fetched: int = 0
    rows_added: int = 0
    rows_changed: int = 0
    rows_removed: int = 0
    parts_rewritten: int = 0


@dataclass(frozen=True, slots=True)
class Run:
    """One run: when, whether it succeeded, and what it did. Instants are UTC."""

    started_at: datetime
    ended_at: datetime
    success: bool
    message: str
    tables: Mapping[str, TableRun] = field(default_factory=dict)

    @property
    def took(self) -> timedelta:
        """From start to end."""
        return self.ended_at - self.started_at

    @property
    def rows_fetched(self) -> int:
        """Of all tables."""
        return sum(table.rows_fetched for table in self.tables.values())


@dataclass(frozen=True, slots=True)
class Summary:
    """The runs so far in a few figures."""

    last: Run
    last_success_at: datetime | None
    failures_in_a_row: int


def after(summary: Summary | None, run: Run) -> Summary:
    """The summary once *run* has ended."""
    if run.success:
        return Summary(run, run.ended_at, 0)
    if summary is None:
        return Summary(run, None, 1)
    return Summary(run, summary.last_success_at, summary.failures_in_a_row + 1)


def recent(data_dir: Path, limit: int) -> list[Run]:
    """The newest *limit* runs, the newest first; none before the first run.

    Raises StorageError when the log cannot be read.
    """
    return [_run(row) for row in load(data_dir).tail(limit).reverse().to_dicts()]


def summary(data_dir: Path) -> Summary | None:
    """How the runs went, or None before the first. Raises StorageError."""
    log = load(data_dir)
    if log.is_empty():
        return None
    good = log.filter("success")
    since = log["success"].reverse().arg_max() if len(good) else len(log)
    return Summary(
        last=_run(log.row(-1, named=True)),
        last_success_at=good["ended_at"][-1] if len(good) else None,
        failures_in_a_row=since or 0,
    )


def load(data_dir: Path) -> pl.DataFrame:
    """The whole log as SCHEMA, oldest first; empty before the first run.

    Raises StorageError when it cannot be read.
    """
    try:
        # At once, since the updater may replace the file between two reads of it.
        content = (data_dir / FILE).read_bytes()
        return pl.read_parquet(io.BytesIO(content)).match_to_schema(SCHEMA)
    except FileNotFoundError:
        return pl.DataFrame(schema=SCHEMA)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise StorageError(
            f"The run log {FILE} cannot be read; the next run begins a new one"
        ) from error


def row(run: Run) -> pl.DataFrame:
    """*run* as the one row of SCHEMA that tells it."""
    told = {
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "milliseconds": round(run.took / timedelta(milliseconds=1)),
        "success": run.success,
        "message": run.message,
        "tables": [
            {"table": name, **{count: getattr(table, count) for count in _COUNTS}}
            for name, table in run.tables.items()
        ],
    }
    return pl.DataFrame([told], schema=SCHEMA)


def _run(told: Mapping[str, object]) -> Run:
    tables = told["tables"]
    assert isinstance(tables, list)
    return Run(
        started_at=_instant(told["started_at"]),
        ended_at=_instant(told["ended_at"]),
        success=bool(told["success"]),
        message=str(told["message"]),
        tables={t["table"]: TableRun(*(t[count] for count in _COUNTS)) for t in tables},
    )


def _instant(value: object) -> datetime:
    assert isinstance(value, datetime)
    return value
