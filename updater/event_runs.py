"""Runs that changed stored events, in the log and in the run log."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from readmodel.store.event_tables import EVENTS, REJECTED
from readmodel.store.run_log import Run, TableRun
from readmodel.sync.append_run import append_run
from readmodel.sync.retention import RetentionReport
from util.errors import StorageError
from util.logs import get_logger

_log = get_logger("events")


def record_run(
    data_dir: Path,
    began: datetime,
    ended: datetime,
    message: str,
    tables: Mapping[str, TableRun],
) -> None:
    """Log *message*, and add the run to the run log."""
    _log.info(message, action="change")
    try:
        append_run(data_dir, Run(began, ended, True, message, tables))
    except StorageError as error:
        # Not a failure of the run: its row in the audit log is there.
        _log.warning(str(error), action="record")


def record_retention(
    data_dir: Path, began: datetime, ended: datetime, report: RetentionReport
) -> None:
    """Record what the retention removed."""
    counts = removed_rows(report.events, report.rejected)
    record_run(data_dir, began, ended, retention_line(report), counts)


def retention_line(report: RetentionReport) -> str:
    """What the retention did, in one sentence."""
    return (
        f"Removed {report.events:,} events and {report.rejected:,} dead letters that "
        f"arrived before {report.before:%Y-%m-%d}"
    )


def removed_rows(events: int, rejected: int) -> Mapping[str, TableRun]:
    """Counts of rows removed from the tables of events."""
    return {
        EVENTS: TableRun(rows_removed=events),
        REJECTED: TableRun(rows_removed=rejected),
    }
