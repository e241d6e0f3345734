"""Remove everything that the tables of events say about one user."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

import polars as pl

from readmodel.store.audit import AuditAction, AuditEntry
from readmodel.store.event_tables import AUDIT, EVENTS, REJECTED
from readmodel.sync.audit_rows import audit_rows
from readmodel.sync.carry_over import LastSnapshot
from readmodel.sync.event_changes import (
    Removal,
    find_rows,
    publish_change,
    rewrite_parts,
    scan,
    use_events,
)
from readmodel.sync.snapshot_writer import SnapshotWriter
from util.json_types import JsonObject


@dataclass(frozen=True, slots=True)
class UserForms:
    """How a user may be stored: as sent, and by pseudonyms.

    `fields` are the fields of a dead letter's raw event that hold a user's id.
    """

    texts: Collection[str]
    fields: Sequence[str]


@dataclass(frozen=True, slots=True)
class ForgetReport:
    """Events and dead letters of the user, and rows of the audit log that named it.

    `snapshot` is the one that was published, or None if nothing was.
    """

    events: int = 0
    rejected: int = 0
    senders: int = 0
    snapshot: str | None = None


def first_arrival(data_dir: Path, patience_seconds: float = 0) -> datetime | None:
    """When the oldest stored event, dead letter or audited batch arrived."""
    return use_events(data_dir, patience_seconds, None, _first_arrival)


def _first_arrival(last: LastSnapshot) -> datetime | None:
    columns = ((EVENTS, "received_at"), (REJECTED, "received_at"), (AUDIT, "at"))
    found = [
        scan(file).select(pl.col(column).min()).collect().item()
        for name, column in columns
        for file in last.files(name)
    ]
    return min((at for at in found if at is not None), default=None)


def forget(
    data_dir: Path,
    user: UserForms,
    now: datetime,
    dry_run: bool = False,
    patience_seconds: float = 0,
) -> ForgetReport:
    """Remove the rows of *user*, and its name from the audit log.

    With *dry_run* they are only counted. Raises SyncRunning and StorageError.
    """
    change = partial(_forget, user=user, now=now, dry_run=dry_run)
    return use_events(data_dir, patience_seconds, ForgetReport(), change)


def _forget(
    last: LastSnapshot, user: UserForms, now: datetime, dry_run: bool
) -> ForgetReport:
    texts = sorted(user.texts)
    events = find_rows(last, EVENTS, pl.col("user_id").is_in(texts))
    rejected = find_rows(last, REJECTED, _is_one_of(_dead_letters(last, user)))
    senders = find_rows(last, AUDIT, pl.col("sender").is_in(texts))
    counts = events.rows, rejected.rows, senders.rows
    if dry_run or not any(counts):
        return ForgetReport(*counts)
    entry = AuditEntry(
        AuditAction.FORGET, removed_events=events.rows, removed_rejected=rejected.rows
    )

    def write(writer: SnapshotWriter) -> None:
        events.write(last, writer)
        rejected.write(last, writer)
        if senders.rows:
            _write_audit(senders, last, writer, entry)

    return ForgetReport(*counts, publish_change(last, now, entry, write))


def _write_audit(
    senders: Removal, last: LastSnapshot, writer: SnapshotWriter, entry: AuditEntry
) -> None:
    """The audit log without these senders; its chain does not need them."""
    hidden = [
        pl.when(senders.condition).then(None).otherwise(pl.col(name)).alias(name)
        for name in ("sender", "salt")
    ]
    rewrite_parts(
        last,
        writer,
        AUDIT,
        senders.counts,
        lambda rows: rows.with_columns(hidden),
        audit_rows(last, writer.created_at, [entry]),
    )


def _is_one_of(ids: Collection[str]) -> pl.Expr:
    return pl.col("rejection_id").is_in(sorted(ids))


def _dead_letters(last: LastSnapshot, user: UserForms) -> set[str]:
    """The ids of the dead letters that are of *user*."""
    texts = sorted(user.texts)
    escaped = {json.dumps(text, ensure_ascii=False)[1:-1] for text in texts}
    may_be = pl.col("raw").str.contains_any(sorted({*texts, *escaped})) | pl.col(
        "sender"
    ).is_in(texts)
    columns = ("rejection_id", "raw", "sender")
    return {
        rejection_id
        for file in last.files(REJECTED)
        for rejection_id, raw, sender in scan(file)
        .filter(may_be)
        .select(columns)
        .collect()
        .iter_rows()
        if _is_of(user, raw, sender)
    }


def _is_of(user: UserForms, raw: str, sender: str | None) -> bool:
    """True if the event *raw* names the user, or names nobody and was sent by it.

    A raw text that cannot be parsed, since it was cut off, counts if it has the id.
    """
    event = _parsed(raw)
    if event is None:
        return True
    named = [event[name] for name in user.fields if event.get(name) is not None]
    if not named:
        return sender in user.texts
    return any(str(value) in user.texts for value in named)


def _parsed(raw: str) -> JsonObject | None:
    """The event; empty for JSON that is no object, None for what is no JSON."""
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else {}
