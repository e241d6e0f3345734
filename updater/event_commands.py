"""The commands that change stored events: `replay`, `retention` and `forget`."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from prometheus_client import CollectorRegistry

from config import Settings
from events import fields
from events.privacy import Pseudonyms
from readmodel.spool.folder import folder_spools
from readmodel.spool.protocol import Spool
from readmodel.store.event_tables import EVENTS, REJECTED
from readmodel.store.run_log import TableRun
from readmodel.sync.drain import drain_spools
from readmodel.sync.forget import ForgetReport, UserForms, first_arrival, forget
from readmodel.sync.replay import ReplayReport, replay
from readmodel.sync.retention import apply_retention
from readmodel.sync.snapshot_retention import KEEP_NEWEST, KEEP_YOUNGER
from updater.command_line import ForgetCommand, ReplayCommand, RetentionCommand
from updater.dead_letters import DeadLetterCheck
from updater.event_runs import (
    record_retention,
    record_run,
    removed_rows,
    retention_line,
)
from util.errors import SpoolError

PATIENCE_SECONDS: Final = 60
"""How long a command waits for a sync or drain in progress."""

DRY_RUN: Final = "Dry run, nothing was changed."


def now_utc() -> datetime:
    """The instant."""
    return datetime.now(UTC)


def run_replay(
    settings: Settings, command: ReplayCommand, now: Callable[[], datetime] = now_utc
) -> Iterator[str]:
    """Replay dead letters; yield lines that say what was done.

    Raises SettingsError, SyncRunning and StorageError.
    """
    began = now()
    report = replay(
        settings.data_dir,
        command.codes,
        DeadLetterCheck(settings),
        began,
        command.dry_run,
        PATIENCE_SECONDS,
    )
    yield replay_line(report)
    if command.dry_run:
        yield DRY_RUN
    elif report.snapshot:
        removed = report.accepted + report.repeated
        counts = {
            EVENTS: TableRun(rows_added=report.accepted),
            REJECTED: TableRun(rows_removed=removed),
        }
        record_run(settings.data_dir, began, now(), replay_line(report), counts)


def replay_line(report: ReplayReport) -> str:
    """What a replay did, in one sentence."""
    kept = ", ".join(f"{code} {n:,}" for code, n in sorted(report.rejected.items()))
    return (
        f"Replayed dead letters: {report.accepted:,} became events, "
        f"{report.repeated:,} were events already, "
        f"{sum(report.rejected.values()):,} stay{f' ({kept})' if kept else ''}"
    )


def run_retention(
    settings: Settings, command: RetentionCommand, now: Callable[[], datetime] = now_utc
) -> Iterator[str]:
    """Remove what is too old; yield lines that say what was done.

    Raises SyncRunning and StorageError.
    """
    days = settings.event_retention_days
    if not days:
        yield "EVENT_RETENTION_DAYS is 0: events are kept for ever."
        return
    began = now()
    report = apply_retention(
        settings.data_dir, days, began, command.dry_run, PATIENCE_SECONDS
    )
    yield retention_line(report)
    if command.dry_run:
        yield DRY_RUN
    elif report.snapshot:
        record_retention(settings.data_dir, began, now(), report)


def run_forget(
    settings: Settings, command: ForgetCommand, now: Callable[[], datetime] = now_utc
) -> Iterator[str]:
    """Remove all rows of a user; yield lines that say what was done, and what is left.

    Events that wait in the spools are taken first. Raises SyncRunning, SpoolError and
    StorageError.
    """
    began = now()
    not_pulled = [] if command.dry_run else _take_events(settings, now)
    user = _forms(settings, command.user_id, now())
    report = forget(settings.data_dir, user, now(), command.dry_run, PATIENCE_SECONDS)
    yield forget_line(report)
    if command.dry_run:
        yield DRY_RUN
        return
    if report.snapshot:
        counts = removed_rows(report.events, report.rejected)
        record_run(settings.data_dir, began, now(), forget_line(report), counts)
        yield from _bounds(settings, now())
    yield from _spool_bound(settings, not_pulled)


def forget_line(report: ForgetReport) -> str:
    """What was forgotten, in one sentence without the user's id."""
    return (
        f"Forgot a user: removed {report.events:,} events and {report.rejected:,} dead "
        f"letters, and its name from {report.senders:,} rows of the audit log"
    )


def _forms(settings: Settings, user_id: str, now: datetime) -> UserForms:
    first = first_arrival(settings.data_dir, PATIENCE_SECONDS) or now
    texts = Pseudonyms.of(settings).all_of_user(user_id, min(first, now), now)
    return UserForms(texts, fields.USER_ID)


def _bounds(settings: Settings, now: datetime) -> Iterator[str]:
    """Until when the rows are still somewhere in DATA_DIR."""
    until = now + max(KEEP_YOUNGER, settings.snapshot_retention)
    yield (
        "Earlier snapshots still have these rows, for readers and for `as_of`. They go "
        f"with the first sync after {until:%Y-%m-%d %H:%M} UTC, if there are "
        f"{KEEP_NEWEST - 1} newer snapshots than that of now."
    )
    yield "Derived tables that were computed from them are built again by the next sync."


def _take_events(settings: Settings, now: Callable[[], datetime]) -> list[str]:
    """Take what waits in the spools; say which collectors could not be reached."""
    folders: list[Spool] = []
    if settings.spool_dir is not None:
        folders += folder_spools(settings.spool_dir)
    if not settings.collector_addresses:
        _drain(settings, folders, now)
        return []
    from updater.collector_pulls import CollectorPulls  # Nobody else needs it.

    pulls = CollectorPulls(settings, CollectorRegistry())
    try:
        pulls.run_to_end(lambda: _drain(settings, [*folders, *pulls.spools], now))
        return pulls.problems
    finally:
        pulls.close()


def _drain(
    settings: Settings, spools: Sequence[Spool], now: Callable[[], datetime]
) -> bool:
    if spools:
        report = drain_spools(settings.data_dir, spools, now)
        for failure in report.failures.values():
            raise SpoolError(failure)
    return True


def _spool_bound(settings: Settings, not_pulled: list[str]) -> Iterator[str]:
    if settings.spool_dir is None and not settings.collector_addresses:
        yield "SPOOL_DIR is not set: events that wait in the spool were not looked at."
    for problem in not_pulled:
        yield f"Events that wait at a collector were not looked at: {problem}."
    yield "Copies of DATA_DIR, and events that arrive from now on, are not affected."
