"""Derived tables for tests: SQL files, and snapshots that they are built into."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl

from readmodel.dtypes import dtype_name
from readmodel.store.manifest import DerivedState, TableFailure
from readmodel.store.snapshot import Snapshot, latest
from readmodel.sync import derived_client
from readmodel.sync.derived import DerivedOptions, DerivedReport, build_derived
from readmodel.sync.derived_messages import BuildOutcome
from readmodel.sync.lock import exclusive_lock
from readmodel.sync.snapshot_writer import SnapshotWriter
from tests.support import preloaded

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


def table_sql(name: str, sql: str, *keys: str) -> str:
    """A definition of the derived table *name*, with further *keys*."""
    header = [f"@name {name}", "@type materialized_view", f"@object {name}", *keys]
    return "".join(f"-- {line}\n" for line in header) + sql + "\n"


def write_views(folder: Path, **files: str) -> Path:
    """Write SQL files, by name without suffix, into *folder* and return it."""
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.sql").write_text(text)
    return folder


def run_derived(
    data_dir: Path,
    views_dir: Path,
    tables: Mapping[str, pl.DataFrame],
    at: datetime = NOON,
    zone: str = "UTC",
    memory_mb: int = 256,
    seconds: float = 60,
    part_rows: int = 1_000_000,
    failed: Collection[str] = (),
    configured: Collection[str] | None = None,
) -> dict[str, DerivedReport]:
    """Publish *tables* with all derived tables; return what was done, by name.

    Those *failed* could not be read: they are copies, or are missing in *tables*.
    """
    options = DerivedOptions(views_dir, ZoneInfo(zone), memory_mb, seconds=seconds)
    with exclusive_lock(data_dir), SnapshotWriter(data_dir, at) as writer:
        for name, frame in tables.items():
            columns = {column: dtype_name(t) for column, t in frame.schema.items()}
            table = writer.table(name, columns)
            for rows in frame.iter_slices(part_rows) if frame.height else [frame]:
                table.write(rows, {})
        if configured is not None:
            writer.configured = tuple(configured)
        for name in failed:
            writer.add_failure(name, TableFailure(at, f"{name} was dropped"))
        with preloaded.used_by(derived_client):
            reports = build_derived(writer, options)
        writer.publish()
    return {report.name: report for report in reports}


def outcomes(reports: Mapping[str, DerivedReport]) -> dict[str, BuildOutcome]:
    """The outcome of each definition."""
    return {name: report.outcome for name, report in reports.items()}


def state(data_dir: Path, name: str) -> DerivedState:
    """The state of the derived table *name* in the current snapshot."""
    manifest = latest(data_dir).manifest
    assert manifest is not None
    return manifest.derived[name]


def derived(data_dir: Path, name: str) -> pl.DataFrame:
    """The rows of the derived table *name* in the current snapshot."""
    return latest(data_dir).scan(name).collect()


def inodes(data_dir: Path, name: str) -> list[int]:
    """The inodes of the files of the table *name*: equal ones are hard links."""
    snapshot: Snapshot = latest(data_dir)
    return [Path(file).stat().st_ino for file in snapshot.files(name)]
