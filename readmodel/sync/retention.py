"""Remove events and dead letters that arrived too long ago."""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import polars as pl

from readmodel.store.audit import AuditAction, AuditEntry
from readmodel.store.event_tables import EVENTS, REJECTED
from readmodel.sync.carry_over import LastSnapshot
from readmodel.sync.event_changes import find_rows, publish_change, use_events
from readmodel.sync.snapshot_writer import SnapshotWriter


@dataclass(frozen=True, slots=True)
class RetentionReport:
    """What arrived before the instant `before` and was removed.

    `snapshot` is the one that was published, or None if nothing was.
    """

    before: datetime
    events: int = 0
    rejected: int = 0
    snapshot: str | None = None


def first_kept(days: int, now: datetime) -> datetime:
    """The beginning of the first day (UTC) that is kept: today and *days* before it."""
    today = now.astimezone(UTC).date()
    return datetime.combine(today - timedelta(days=days), time(), UTC)


def apply_retention(
    data_dir: Path,
    days: int,
    now: datetime,
    dry_run: bool = False,
    patience_seconds: float = 0,
) -> RetentionReport:
    """Remove what arrived more than *days* days before today; 0 keeps everything.

    With *dry_run* it is only counted. Raises SyncRunning and StorageError.
    """
    before = first_kept(days, now)
    if not days:
        return RetentionReport(before)
    return use_events(
        data_dir,
        patience_seconds,
        RetentionReport(before),
        lambda last: _apply(last, before, now, dry_run),
    )


def _apply(
    last: LastSnapshot, before: datetime, now: datetime, dry_run: bool
) -> RetentionReport:
    is_old = pl.col("received_at") < before
    removals = [find_rows(last, name, is_old) for name in (EVENTS, REJECTED)]
    events, rejected = (removal.rows for removal in removals)
    if dry_run or not (events or rejected):
        return RetentionReport(before, events, rejected)
    entry = AuditEntry(
        AuditAction.RETENTION,
        removed_events=events,
        removed_rejected=rejected,
        details={"before": before.date().isoformat()},
    )

    def write(writer: SnapshotWriter) -> None:
        for removal in removals:
            removal.write(last, writer)

    published = publish_change(last, now, entry, write)
    return RetentionReport(before, events, rejected, published)
