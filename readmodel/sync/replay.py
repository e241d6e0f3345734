"""Put dead letters through the checks again; those that pass become events.

A letter that passes is removed and its event added in one snapshot, under the id that
the event would have had. So replaying twice, or a client that repeats the event, adds
nothing.
"""

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import polars as pl

from events.codes import RejectionCode
from events.ids import id_hash
from events.lines import AcceptedLine, RejectedLine
from readmodel.store.audit import AuditAction, AuditEntry
from readmodel.store.event_tables import EVENT_SCHEMA, EVENTS, REJECTED
from readmodel.sync.carry_over import LastSnapshot
from readmodel.sync.event_changes import (
    find_rows,
    publish_change,
    scan,
    use_events,
)
from readmodel.sync.event_ids import NewRows, new_events
from readmodel.sync.event_publish import append_rows
from readmodel.sync.snapshot_writer import SnapshotWriter
from util.json_types import JsonMapping, JsonObject

CUT_OFF: Final = "cut_off"
"""Counted instead of a code: the stored text of the event is not complete."""

INSTANTS: Final = ("at", "received_at", "sent_at")


class StoredLetter(NamedTuple):
    """A stored dead letter whose event is complete."""

    rejection_id: str
    event_id: str | None
    event: Any
    sender: str | None
    received_at: datetime
    batch: str | None

    @property
    def id(self) -> str:
        """The id of its event: the client's, or one that no other event has."""
        return self.event_id or self.rejection_id


type Check = Callable[[StoredLetter], AcceptedLine | RejectedLine]
"""The checks of the collector."""


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """Events that were added, letters whose event is stored already, and those that stay.

    `rejected` counts the latter by why: a code, or CUT_OFF. `snapshot` is the one that
    was published, or None if nothing was.
    """

    accepted: int = 0
    repeated: int = 0
    rejected: Mapping[str, int] = field(default_factory=dict)
    snapshot: str | None = None


def replay(
    data_dir: Path,
    codes: Collection[str],
    check: Check,
    now: datetime,
    dry_run: bool = False,
    patience_seconds: float = 0,
) -> ReplayReport:
    """Put all dead letters with one of *codes* through *check* again.

    With *dry_run* the outcome is only computed. Raises SyncRunning and StorageError.
    """
    change = partial(_replay, codes=codes, check=check, now=now, dry_run=dry_run)
    return use_events(data_dir, patience_seconds, ReplayReport(), change)


def _replay(
    last: LastSnapshot,
    codes: Collection[str],
    check: Check,
    now: datetime,
    dry_run: bool,
) -> ReplayReport:
    passed = _Passed()
    for row in _rows(last, codes):
        passed.add(row, check)
    found = new_events(passed.frame(), last.files(EVENTS))
    removed = passed.without(found.conflicts)
    accepted, repeated = found.new.height, len(removed) - found.new.height
    if dry_run or not removed:
        return ReplayReport(accepted, repeated, passed.rejected)
    entry = AuditEntry(
        AuditAction.REPLAY,
        accepted=accepted,
        repeated=repeated,
        removed_rejected=len(removed),
        details={"codes": sorted(codes)},
    )
    letters = find_rows(last, REJECTED, pl.col("rejection_id").is_in(removed))

    def write(writer: SnapshotWriter) -> None:
        append_rows(writer, last, EVENTS, _stored(found))
        letters.write(last, writer)

    published = publish_change(last, now, entry, write)
    return ReplayReport(accepted, repeated, passed.rejected, published)


def _stored(found: NewRows) -> pl.DataFrame:
    return found.new.select(EVENT_SCHEMA.names())


def _rows(last: LastSnapshot, codes: Collection[str]) -> Iterator[JsonObject]:
    """The dead letters with one of *codes*, one part after the other."""
    for file in last.files(REJECTED):
        is_chosen = pl.col("code").is_in(sorted(codes))
        yield from scan(file).filter(is_chosen).collect().iter_rows(named=True)


@dataclass(slots=True)
class _Passed:
    """Letters that passed the checks, as lines of events, and why others did not."""

    lines: list[AcceptedLine] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    rejected: Counter[str] = field(default_factory=Counter)

    def add(self, row: JsonMapping, check: Check) -> None:
        """Check the letter *row*, of REJECTED_SCHEMA."""
        verdict = _verdict(row, check)
        if isinstance(verdict, str):
            self.rejected[verdict] += 1
        else:
            self.lines.append(verdict)
            self.ids.append(row["rejection_id"])

    def frame(self) -> pl.DataFrame:
        """The events as rows of EVENT_SCHEMA."""
        raw = {
            name: pl.Int64() if name in INSTANTS else dtype
            for name, dtype in EVENT_SCHEMA.items()
        }
        rows = [{**line, "id_hash": id_hash(line["event_id"])} for line in self.lines]
        return pl.DataFrame(rows, schema=raw).cast(EVENT_SCHEMA)

    def without(self, conflicts: pl.DataFrame) -> list[str]:
        """The letters to remove: those whose event is not one of *conflicts*."""
        pairs = set(conflicts.select("event_id", "content_hash").iter_rows())
        removed = []
        for line, rejection_id in zip(self.lines, self.ids, strict=True):
            if (line["event_id"], line["content_hash"]) in pairs:
                self.rejected[RejectionCode.CONFLICT] += 1
            else:
                removed.append(rejection_id)
        return removed


def _verdict(row: JsonMapping, check: Check) -> AcceptedLine | str:
    """The event, or why it is none: a code, or CUT_OFF."""
    if row["code"] == RejectionCode.UNREADABLE:
        return str(RejectionCode.UNREADABLE)
    try:
        event = json.loads(row["raw"])
    except (ValueError, RecursionError):
        return CUT_OFF
    if row["code"] == RejectionCode.CONFLICT:
        return _line_of_conflict(event)
    letter = StoredLetter(
        row["rejection_id"],
        row["event_id"],
        event,
        row["sender"],
        row["received_at"],
        row["batch"],
    )
    verdict = check(letter)
    return str(verdict["code"]) if "code" in verdict else verdict


def _line_of_conflict(event: JsonMapping) -> AcceptedLine:
    """The event of a `conflict`, which passed the checks and is stored as it would be."""
    line: Any = dict(event)
    for name in INSTANTS:
        if line[name] is not None:
            line[name] = _microseconds(datetime.fromisoformat(line[name]))
    found: AcceptedLine = line
    return found


def _microseconds(at: datetime) -> int:
    return int(pl.Series([at]).dt.epoch("us").item())
