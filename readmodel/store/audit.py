"""The audit log, audit.parquet in DATA_DIR: every change of the stored events.

It is a table of the snapshot like the events themselves, so a change and its record
become visible by one rename. Each row has the hash of the row before: whoever changes,
removes or inserts a row must compute all later hashes again. The sums of its counts are
the numbers of stored rows, so removing the last rows shows, too.

A sender may be a user. The hash covers only a salted hash of the sender, so that the
sender can be forgotten without breaking the chain: `salt` and `sender` become null.
"""

import hashlib
import json
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, NamedTuple

import polars as pl

from readmodel.store.event_tables import AUDIT_SCHEMA
from util.json_types import JsonMapping, JsonObject

FIRST_HASH: Final = ""
"""The `previous_hash` of the first row."""

_HASHED: Final = (
    *("number", "at", "action", "sender_hash", "batches", "accepted", "repeated"),
    *("rejected", "removed_events", "removed_rejected", "details", "previous_hash"),
)
"""Columns that `row_hash` covers."""


class AuditAction(StrEnum):
    """What changed the stored events."""

    BEGIN = "begin"
    BATCHES = "batches"
    REPLAY = "replay"
    RETENTION = "retention"
    FORGET = "forget"


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One change, before it has a place in the log.

    Counts: events added, repetitions left out, dead letters added, rows removed.
    """

    action: AuditAction
    sender: str | None = None
    batches: int = 0
    accepted: int = 0
    repeated: int = 0
    rejected: int = 0
    removed_events: int = 0
    removed_rejected: int = 0
    details: JsonMapping = field(default_factory=dict)


class ChainEnd(NamedTuple):
    """The last row of a log, by which the next one is chained."""

    number: int
    row_hash: str


EMPTY: Final = ChainEnd(0, FIRST_HASH)


def chained(entries: Iterable[AuditEntry], at: datetime, end: ChainEnd) -> pl.DataFrame:
    """Rows of AUDIT_SCHEMA for *entries* of the instant *at*, after *end*."""
    rows = []
    for entry in entries:
        row = _row(entry, at, end)
        end = ChainEnd(row["number"], row["row_hash"])
        rows.append(row)
    return pl.DataFrame(rows, schema=AUDIT_SCHEMA)


def _row(entry: AuditEntry, at: datetime, end: ChainEnd) -> JsonObject:
    salt = None if entry.sender is None else secrets.token_hex(16)
    row = {
        "number": end.number + 1,
        "at": at,
        "action": str(entry.action),
        "sender": entry.sender,
        "salt": salt,
        "sender_hash": _sender_hash(salt, entry.sender),
        "batches": entry.batches,
        "accepted": entry.accepted,
        "repeated": entry.repeated,
        "rejected": entry.rejected,
        "removed_events": entry.removed_events,
        "removed_rejected": entry.removed_rejected,
        "details": json.dumps(entry.details, ensure_ascii=False, sort_keys=True),
        "previous_hash": end.row_hash,
    }
    return {**row, "row_hash": row_hash(row)}


def _sender_hash(salt: str | None, sender: str | None) -> str | None:
    if salt is None or sender is None:
        return None
    return hashlib.sha256(f"{salt}{sender}".encode()).hexdigest()


def row_hash(row: JsonMapping) -> str:
    """SHA-256, in hexadecimal digits, of a row of AUDIT_SCHEMA."""
    values = [row[name] for name in _HASHED]
    values[1] = row["at"].astimezone(UTC).isoformat(timespec="microseconds")
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()


def chain_faults(log: pl.DataFrame) -> Iterator[str]:
    """What is wrong with the chain of *log*, rows of AUDIT_SCHEMA, as sentences.

    Later rows are compared with what the log says, so one change is one sentence.
    """
    end = EMPTY
    for row in log.sort("number").iter_rows(named=True):
        if row["number"] <= end.number:
            yield f"row {row['number']} is there twice"
        elif row["number"] > end.number + 1:
            yield f"rows between {end.number} and {row['number']} are missing"
        elif row["previous_hash"] != end.row_hash:
            yield f"row {row['number']} does not continue row {end.number}"
        if row["row_hash"] != row_hash(row) or _is_other_sender(row):
            yield f"row {row['number']} was changed"
        end = ChainEnd(row["number"], row["row_hash"])


def _is_other_sender(row: JsonMapping) -> bool:
    """True if the sender is not the one that was recorded; False if it was forgotten."""
    return row["sender"] is not None and (
        _sender_hash(row["salt"], row["sender"]) != row["sender_hash"]
    )


def balance(log: pl.DataFrame) -> tuple[int, int]:
    """How many events and dead letters there must be by *log*."""
    events, rejected = log.select(
        pl.col("accepted").sum() - pl.col("removed_events").sum(),
        pl.col("rejected").sum() - pl.col("removed_rejected").sum(),
    ).row(0)
    return events, rejected
