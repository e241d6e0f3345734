"""Output of `status` and `verify`, as text for people or JSON for programs.

Text fits 80 columns: ages instead of times, and a mark for what is late or failed.
"""

import textwrap
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Final

import polars as pl
from pydantic_core import to_json

from config import Settings
from readmodel.store import metrics, run_log, snapshot, view_log
from readmodel.store.damage import READ_ERRORS, VALUE_ERRORS
from readmodel.store.event_tables import REJECTED
from readmodel.store.history import kept_snapshots
from readmodel.store.manifest import Manifest, StoredTable
from readmodel.store.run_log import Run
from readmodel.sync.snapshot_retention import KEEP_YOUNGER
from readmodel.sync.verify import TableComparison
from updater import collector_status, kafka_status
from util.errors import ReadModelDamaged, ReadModelMissing
from util.json_types import JsonObject

CLOCK_TOLERANCE: Final = timedelta(minutes=5)
"""How far the clocks of database and updater may be apart."""


LATE_EVENTS: Final = timedelta(minutes=5)
"""How long events wait at most while an updater with `--every` takes them."""


def lines(settings: Settings, now: datetime, last: int) -> Iterator[str]:
    """Describe the snapshot, its tables and the *last* runs, newest first.

    Raises StorageError if the run log cannot be read, and SettingsError.
    """
    manifest = metrics.current_manifest(settings.data_dir)
    yield from _age(manifest, now, settings)
    if manifest:
        yield from _table_lines(manifest, settings, now)
    for text in (*_failures(manifest), *view_lines(manifest)):
        yield from _wrapped(f"{LATE} ", text)
    yield from _dead_letter_lines(settings)
    yield from _collector_lines(settings, now)
    yield from kafka_status.lines(settings)
    yield from _replica_lines(settings, now)
    yield from _snapshot_lines(settings)
    runs = run_log.recent_runs(settings.data_dir, last)
    yield f"Last {len(runs)} runs, newest first:" if runs else "No run yet."
    for run in runs:
        yield from _run_lines(run, now)


COLUMNS: Final = 80

GOOD: Final = "\N{CHECK MARK}"
LATE: Final = "!"
FAILED: Final = "\N{BALLOT X}"

_HEADER: Final = (
    f"  {'':<18} {'rows':>13} {'size':>8} {'newest':>11} {'changed':>11} "
    f"{'verified':>11}"
)


def _table_lines(
    manifest: Manifest, settings: Settings, now: datetime
) -> Iterator[str]:
    if manifest.tables:
        yield _HEADER
    for name, table in sorted(manifest.tables.items()):
        try:
            newest = _ago(newest_row(settings, name), now)
        except (*READ_ERRORS, *VALUE_ERRORS, ReadModelMissing):
            newest = "damaged"  # the next sync replaces the file
        late = name in manifest.failed or newest == "damaged"
        yield _table_line(name, table, newest, now, late=late)


def _table_line(
    name: str, table: StoredTable, newest: str, now: datetime, *, late: bool
) -> str:
    ages = (newest, _ago(table.changed_at, now), _ago(table.checked_at, now))
    columns = " ".join(f"{age:>11}" for age in ages)
    short = name if len(name) <= 18 else f"{name[:17]}\N{HORIZONTAL ELLIPSIS}"
    mark = LATE if late else GOOD
    return f"{mark} {short:<18} {table.rows:>13,} {_size(table.bytes):>8} {columns}"


def _size(size: int) -> str:
    return f"{size / 2**20:.1f} MB" if size < 1000 * 2**20 else f"{size / 2**30:.1f} GB"


_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def _ago(moment: datetime | None, now: datetime) -> str:
    """``3 min ago``; "never" for None, "now" for the last second and the future."""
    if moment is None:
        return "never"
    seconds = (now - moment).total_seconds()
    for length, unit in _UNITS:
        if seconds >= length:
            return f"{seconds // length:.0f} {unit} ago"
    return "now"


def _wrapped(beginning: str, text: str) -> Iterator[str]:
    """Lines of *text* after *beginning*, under which further lines are indented."""
    indent = " " * len(beginning)
    yield from textwrap.wrap(
        text, COLUMNS, initial_indent=beginning, subsequent_indent=indent
    )


def _without_read_model(settings: Settings) -> str:
    """Say why there is nothing to show: no sync yet, or which file is damaged."""
    try:
        snapshot.current(settings.data_dir)
    except ReadModelMissing as error:
        return f"{error}."
    return "There is no read model yet."


def _failures(manifest: Manifest | None) -> Iterator[str]:
    """Each table that could not be read, and each that is not there."""
    if manifest is None:
        return
    for name, failure in sorted(manifest.failed.items()):
        yield failure.describe(name)
    for name in manifest.configured or ():
        if name not in manifest.tables and name not in manifest.failed:
            yield f"{name} is not in the read model yet"


def _snapshot_lines(settings: Settings) -> Iterator[str]:
    """Say what the earlier snapshots cost, if they are kept for long."""
    if settings.snapshot_retention <= KEEP_YOUNGER:
        return
    if found := kept_snapshots(settings.data_dir):
        megabytes = sum(one.own_bytes for one in found) / 2**20
        yield (
            f"  {len(found)} snapshots since {_time(found[0].instant)}, "
            f"{megabytes:.2f} MB that only one of them has"
        )


def _replica_lines(settings: Settings, now: datetime) -> Iterator[str]:
    """Say how far the replica is; nothing without one."""
    found = metrics.replica_figures(settings.data_dir)
    if found is None:
        return
    if found.snapshot_at is None:
        text = f"the replica {found.url} has no snapshot of this one yet"
    else:
        text = (
            f"the replica {found.url} is {found.lag_seconds:,.0f} s behind; "
            f"{found.bytes / 2**20:,.2f} MB were transferred in {found.seconds:.1f} s, "
            f"{_ago(found.at, now)}"
        )
    if found.failed_because:
        text += f"; failing since {_time(found.failing_since)}: {found.failed_because}"
    mark = LATE if found.failed_because or not found.snapshot_at else GOOD
    yield from _wrapped(f"{mark} ", text)


def _collector_lines(settings: Settings, now: datetime) -> Iterator[str]:
    """Say what waits at each collector on another host. Raises SettingsError."""
    for state in collector_status.collector_states(settings):
        late = collector_status.is_late(state, now, LATE_EVENTS.total_seconds())
        mark = LATE if late else GOOD
        yield from _wrapped(f"{mark} ", collector_status.describe(state, now))


def _replica_json(settings: Settings) -> JsonObject:
    """The same as ``replica``; nothing without one."""
    found = metrics.replica_figures(settings.data_dir)
    return {"replica": found._asdict()} if found else {}


def view_lines(manifest: Manifest | None) -> Iterator[str]:
    """Name the derived tables whose last build failed, and why."""
    for name, state in sorted(manifest.derived.items()) if manifest else ():
        if state.is_stale:
            kept = f"that of {_time(state.built_at)} is served"
            what = kept if state.built_at else "it was never built"
            yield (
                f"{name} ({state.file}) is stale since {_time(state.stale_since)}, "
                f"{what}: {state.failed_because}"
            )


def as_json(settings: Settings, now: datetime, last: int) -> str:
    """Return the same as one JSON object, timestamps in ISO 8601.

    Raises StorageError if the run log cannot be read, and SettingsError.
    """
    manifest = metrics.current_manifest(settings.data_dir)
    age = now - manifest.taken_at if manifest else None
    status: JsonObject = {
        "taken_at": manifest.taken_at if manifest else None,
        "age_seconds": round(age.total_seconds()) if age is not None else None,
        "tables": {
            name: {
                "rows": table.rows,
                "parts": len(table.parts),
                "bytes": table.bytes,
                "newest_row": _newest_or_none(settings, name),
                "changed_at": table.changed_at,
                "verified_at": table.checked_at,
            }
            for name, table in (manifest.tables.items() if manifest else ())
        },
        "failed": manifest.failed if manifest else {},
        "views": dict(manifest.derived) if manifest else {},
        **collector_status.as_json(settings),
        **kafka_status.as_json(settings),
        **_replica_json(settings),
        "snapshots": kept_snapshots(settings.data_dir),
        "runs": run_log.recent_runs(settings.data_dir, last),
        "view_runs": view_log.recent_view_runs(settings.data_dir, last),
    }
    if (counts := dead_letters(settings)) != {}:
        status["dead_letters"] = counts
    return to_json(status).decode()


def _dead_letter_lines(settings: Settings) -> Iterator[str]:
    counts = dead_letters(settings)
    if counts is None:
        yield f"{LATE} dead letters: a file of {REJECTED} is damaged"
    elif counts:
        listed = ", ".join(f"{code} {number:,}" for code, number in counts.items())
        yield from _wrapped("  ", f"dead letters: {listed}")


def dead_letters(settings: Settings) -> dict[str, int] | None:
    """The number of stored dead letters by code; None if a file is damaged.

    It is empty without events.
    """
    if REJECTED not in snapshot.table_files(settings.data_dir):
        return {}
    rows = snapshot.latest(settings.data_dir).scan(REJECTED)
    try:
        return dict(rows.group_by("code").len().sort("code").collect().iter_rows())
    except READ_ERRORS:
        return None


def newest_row(settings: Settings, table: str) -> datetime | None:
    """Return the latest timestamp in *table*'s first timestamp column, None without."""
    current = snapshot.latest(settings.data_dir)
    if not current.table_files()[table].complete:
        raise ReadModelDamaged(f"a file of {table} is damaged")
    rows = current.scan(table)
    schema = rows.collect_schema()
    columns = [name for name, dtype in schema.items() if isinstance(dtype, pl.Datetime)]
    if not columns:
        return None
    newest = rows.select(pl.col(columns[0]).max()).collect().item()
    return newest if isinstance(newest, datetime) else None


def _newest_or_none(settings: Settings, table: str) -> datetime | None:
    """The same, and None if a file is damaged."""
    try:
        return newest_row(settings, table)
    except (*READ_ERRORS, *VALUE_ERRORS, ReadModelMissing):
        return None


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
    if manifest is None:
        return False
    return -CLOCK_TOLERANCE <= now - manifest.taken_at <= settings.stale_after


def _age(manifest: Manifest | None, now: datetime, settings: Settings) -> Iterator[str]:
    if manifest is None:
        yield from _wrapped(f"{FAILED} ", _without_read_model(settings))
        return
    taken = manifest.taken_at
    if taken > now:
        ahead = timedelta(seconds=round((taken - now).total_seconds()))
        text = f"{ahead} in the future: check the clocks."
    else:
        text = f"{_ago(taken, now)}."
    mark = LATE if taken > now or now - taken > settings.stale_after else GOOD
    yield from _wrapped(f"{mark} ", f"The read model is of {_time(taken)}, {text}")


def _time(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment else "never"


def _run_lines(run: Run, now: datetime) -> Iterator[str]:
    mark = GOOD if run.success else FAILED
    seconds = run.took.total_seconds()
    beginning = f"{mark} {_ago(run.started_at, now):>11} {seconds:8.2f} s  "
    yield from _wrapped(beginning, run.message)
