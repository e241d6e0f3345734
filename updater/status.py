"""`update_readmodel.py status`: what the read model holds, and how the runs went."""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Final

import polars as pl
from pydantic_core import to_json

from config import Settings
from readmodel.store import metrics, run_log, snapshot
from readmodel.store.manifest import Manifest
from readmodel.store.run_log import Run
from readmodel.sync.verify import Verdict

LATE_INTERVALS: Final = 3
"""Data older than this many sync intervals is stale, as /health has it."""


def lines(settings: Settings, now: datetime, last: int) -> Iterator[str]:
    """The snapshot, its tables, and the *last* runs, newest first.

    Raises StorageError when the run log cannot be read.
    """
    held = metrics.current_manifest(settings.data_dir)
    yield _age(held, now) if held else "There is no read model yet."
    for name, table in sorted(held.tables.items()) if held else ():
        yield (
            f"  {name:<16} {table.rows:>12,} rows {len(table.parts):>4} parts "
            f"{table.bytes / 2**20:9.2f} MB  newest {_at(newest_row(settings, name))}"
            f"  changed {_at(table.changed_at)}  verified {_at(table.checked_at)}"
        )
    newest = run_log.recent(settings.data_dir, last)
    yield f"Last {len(newest)} runs, newest first:" if newest else "No run yet."
    yield from map(_run, newest)


def as_json(settings: Settings, now: datetime, last: int) -> str:
    """The same for programs: one JSON object, instants in ISO 8601.

    Raises StorageError when the run log cannot be read.
    """
    held = metrics.current_manifest(settings.data_dir)
    told = {
        "taken_at": held.taken_at if held else None,
        "age_seconds": round((now - held.taken_at).total_seconds()) if held else None,
        "tables": {
            name: {
                "rows": table.rows,
                "parts": len(table.parts),
                "bytes": table.bytes,
                "newest_row": newest_row(settings, name),
                "changed_at": table.changed_at,
                "verified_at": table.checked_at,
            }
            for name, table in (held.tables.items() if held else ())
        },
        "runs": run_log.recent(settings.data_dir, last),
    }
    return to_json(told).decode()


def newest_row(settings: Settings, table: str) -> datetime | None:
    """The latest timestamp in the first column of *table* that holds any."""
    rows = snapshot.latest(settings.data_dir).scan(table)
    instants = rows.collect_schema()
    names = [name for name, dtype in instants.items() if isinstance(dtype, pl.Datetime)]
    if not names:
        return None
    newest = rows.select(pl.col(names[0]).max()).collect().item()
    return newest if isinstance(newest, datetime) else None


def verdict_lines(verdict: Verdict) -> Iterator[str]:
    """What `verify` found about one table."""
    result = "differs" if verdict.differences else "equals the database"
    yield f"{verdict.table:<16} {verdict.rows:>12,} rows {verdict.parts:>4} parts  {result}"
    for difference in verdict.differences:
        yield f"  {difference}"


def verdict_json(verdict: Verdict) -> Iterator[str]:
    """The same as a line of JSON."""
    yield to_json(asdict(verdict)).decode()


def is_fresh(settings: Settings, now: datetime) -> bool:
    """Whether there is a complete read model that is not stale."""
    held = metrics.current_manifest(settings.data_dir)
    late = timedelta(seconds=settings.sync_interval_seconds) * LATE_INTERVALS
    return held is not None and now - held.taken_at <= late


def _age(held: Manifest, now: datetime) -> str:
    age = timedelta(seconds=round((now - held.taken_at).total_seconds()))
    return f"The read model is of {_at(held.taken_at)}, {age} old."


def _at(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment else "never"


def _run(run: Run) -> str:
    result = "ok    " if run.success else "FAILED"
    seconds = run.took.total_seconds()
    return f"  {_at(run.started_at)}  {result} {seconds:7.2f} s  {run.message}"
