"""Output of `status` and `verify`, as text for people or JSON for programs."""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime, timedelta

import polars as pl
from pydantic_core import to_json

from config import Settings
from readmodel.store import metrics, run_log, snapshot, view_log
from readmodel.store.manifest import Manifest
from readmodel.store.run_log import Run
from readmodel.sync.verify import TableComparison
from updater import kafka_status


def lines(settings: Settings, now: datetime, last: int) -> Iterator[str]:
    """Describe the snapshot, its tables and the *last* runs, newest first.

    Raises StorageError if the run log cannot be read.
    """
    manifest = metrics.current_manifest(settings.data_dir)
    yield _age(manifest, now) if manifest else "There is no read model yet."
    for name, table in sorted(manifest.tables.items()) if manifest else ():
        yield (
            f"  {name:<16} {table.rows:>12,} rows {len(table.parts):>4} parts "
            f"{table.bytes / 2**20:9.2f} MB  newest {_time(newest_row(settings, name))}"
            f"  changed {_time(table.changed_at)}  verified {_time(table.checked_at)}"
        )
    yield from _failures(manifest)
    yield from view_lines(manifest)
    yield from kafka_status.lines(settings)
    runs = run_log.recent_runs(settings.data_dir, last)
    yield f"Last {len(runs)} runs, newest first:" if runs else "No run yet."
    yield from map(_run_line, runs)


def _failures(manifest: Manifest | None) -> Iterator[str]:
    """A line for each table that could not be read, and for each that is not there."""
    if manifest is None:
        return
    for name, failure in sorted(manifest.failed.items()):
        yield f"  {failure.describe(name)}"
    for name in manifest.configured or ():
        if name not in manifest.tables and name not in manifest.failed:
            yield f"  {name} is not in the read model yet"


def view_lines(manifest: Manifest | None) -> Iterator[str]:
    """Name the derived tables whose last build failed, and why."""
    for name, state in sorted(manifest.derived.items()) if manifest else ():
        if state.is_stale:
            kept = f"that of {_time(state.built_at)} is served"
            what = kept if state.built_at else "it was never built"
            yield (
                f"  {name} ({state.file}) is stale since {_time(state.stale_since)}, "
                f"{what}: {state.failed_because}"
            )


def as_json(settings: Settings, now: datetime, last: int) -> str:
    """Return the same as one JSON object, timestamps in ISO 8601.

    Raises StorageError if the run log cannot be read.
    """
    manifest = metrics.current_manifest(settings.data_dir)
    age = now - manifest.taken_at if manifest else None
    status = {
        "taken_at": manifest.taken_at if manifest else None,
        "age_seconds": round(age.total_seconds()) if age is not None else None,
        "tables": {
            name: {
                "rows": table.rows,
                "parts": len(table.parts),
                "bytes": table.bytes,
                "newest_row": newest_row(settings, name),
                "changed_at": table.changed_at,
                "verified_at": table.checked_at,
            }
            for name, table in (manifest.tables.items() if manifest else ())
        },
        "failed": manifest.failed if manifest else {},
        "views": dict(manifest.derived) if manifest else {},
        **kafka_status.as_json(settings),
        "runs": run_log.recent_runs(settings.data_dir, last),
        "view_runs": view_log.recent_view_runs(settings.data_dir, last),
    }
    return to_json(status).decode()


def newest_row(settings: Settings, table: str) -> datetime | None:
    """Return the latest timestamp in *table*'s first timestamp column, None without."""
    rows = snapshot.latest(settings.data_dir).scan(table)
    schema = rows.collect_schema()
    columns = [name for name, dtype in schema.items() if isinstance(dtype, pl.Datetime)]
    if not columns:
        return None
    newest = rows.select(pl.col(columns[0]).max()).collect().item()
    return newest if isinstance(newest, datetime) else None


def verdict_lines(verdict: TableComparison) -> Iterator[str]:
    """Describe what `verify` found in one table, a further line per difference."""
    result = "differs" if verdict.differences else "equals the database"
    yield f"{verdict.table:<16} {verdict.rows:>12,} rows {verdict.parts:>4} parts  {result}"
    for difference in verdict.differences:
        yield f"  {difference}"


def verdict_json(verdict: TableComparison) -> Iterator[str]:
    """Yield the same as one line of JSON."""
    yield to_json(asdict(verdict)).decode()


def is_fresh(settings: Settings, now: datetime) -> bool:
    """Return True if there is a complete snapshot that is not stale."""
    manifest = metrics.current_manifest(settings.data_dir)
    return manifest is not None and now - manifest.taken_at <= settings.stale_after


def _age(manifest: Manifest, now: datetime) -> str:
    age = timedelta(seconds=round((now - manifest.taken_at).total_seconds()))
    return f"The read model is of {_time(manifest.taken_at)}, {age} old."


def _time(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment else "never"


def _run_line(run: Run) -> str:
    result = "ok    " if run.success else "FAILED"
    seconds = run.took.total_seconds()
    return f"  {_time(run.started_at)}  {result} {seconds:7.2f} s  {run.message}"
