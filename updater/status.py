"""`update_readmodel.py status`: what the read model holds, and how the runs went."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from config import Settings
from readmodel import figures, runs
from readmodel.manifest import Manifest
from readmodel.runs import Run

LATE_INTERVALS: Final = 3
"""Data older than this many sync intervals is stale, as /health has it."""


def lines(settings: Settings, now: datetime, last: int) -> Iterator[str]:
    """The snapshot, its tables, and the *last* runs, newest first.

    Raises StorageError when the run log cannot be read.
    """
    held = figures.served(settings.data_dir)
    yield _age(held, now) if held else "There is no read model yet."
    for name, table in sorted(held.tables.items()) if held else ():
        yield (
            f"  {name:<16} {table.rows:>12,} rows {len(table.parts):>4} parts "
            f"{table.bytes / 2**20:9.2f} MB  verified {_at(table.checked_at)}"
        )
    newest = runs.recent(settings.data_dir, last)
    yield f"Last {len(newest)} runs, newest first:" if newest else "No run yet."
    yield from map(_run, newest)


def is_fresh(settings: Settings, now: datetime) -> bool:
    """Whether there is a complete read model that is not stale."""
    held = figures.served(settings.data_dir)
    late = timedelta(seconds=settings.sync_interval_seconds) * LATE_INTERVALS
    return held is not None and now - held.taken_at <= late


def _age(held: Manifest, now: datetime) -> str:
    age = timedelta(seconds=round((now - held.taken_at).total_seconds()))
    return f"The read model is of {_at(held.taken_at)}, {age} old."


def _at(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _run(run: Run) -> str:
    result = "ok    " if run.success else "FAILED"
    seconds = run.took.total_seconds()
    return f"  {_at(run.started_at)}  {result} {seconds:7.2f} s  {run.message}"
