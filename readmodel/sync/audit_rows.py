"""Rows of the audit log for changes of the stored events."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

import polars as pl

from readmodel.store.audit import EMPTY, AuditAction, AuditEntry, ChainEnd, chained
from readmodel.store.event_tables import AUDIT, EVENTS, REJECTED
from readmodel.sync.carry_over import LastSnapshot
from readmodel.sync.event_rows import NewRows
from readmodel.sync.spool_reader import SpooledEvents


def audit_rows(
    last: LastSnapshot | None, at: datetime, entries: Iterable[AuditEntry]
) -> pl.DataFrame:
    """*entries* as the rows that continue the log of *last*.

    The log of a read model that has events without one begins with their numbers.
    """
    return chained([*_beginning(last), *entries], at, chain_end(last))


def _beginning(last: LastSnapshot | None) -> Iterator[AuditEntry]:
    events = last.table(EVENTS) if last else None
    rejected = last.table(REJECTED) if last else None
    if last is None or last.table(AUDIT) or not (events and rejected):
        return
    if events.rows or rejected.rows:
        yield AuditEntry(
            AuditAction.BEGIN, accepted=events.rows, rejected=rejected.rows
        )


def chain_end(last: LastSnapshot | None) -> ChainEnd:
    """The last row of the stored log."""
    for file in reversed(last.files(AUDIT) if last else []):
        rows = pl.read_parquet(file, columns=["number", "row_hash"], glob=False)
        if len(rows):
            return ChainEnd(*rows.row(-1))
    return EMPTY


def drained_rows(
    last: LastSnapshot | None,
    at: datetime,
    spooled: SpooledEvents,
    found: NewRows,
    rejected: pl.DataFrame,
) -> pl.DataFrame:
    """A row per sender whose events a drain took; *rejected* are the new dead letters."""
    frames = (
        *(spooled.accepted, spooled.rejected),
        *(found.new, found.conflicts, rejected),
    )
    entries = (
        AuditEntry(
            AuditAction.BATCHES,
            sender,
            batches=batches,
            accepted=new,
            repeated=sent - new - conflicts,
            rejected=letters,
        )
        for sender, batches, sent, new, conflicts, letters in _by_sender(frames)
    )
    return audit_rows(last, at, entries)


def _by_sender(frames: Sequence[pl.DataFrame]) -> Iterator[tuple[Any, ...]]:
    """Sender, batches in the first two of *frames*, and rows in all but the second."""
    frame = pl.col("frame")
    counts = ((frame == number).sum().alias(f"{number}") for number in (0, 2, 3, 4))
    batches = pl.col("batch").filter(frame < 2).n_unique()
    rows = pl.concat(
        each.lazy().select("sender", "batch", frame=pl.lit(number))
        for number, each in enumerate(frames)
    )
    by_sender = rows.group_by("sender", maintain_order=True).agg(batches, *counts)
    return by_sender.collect().iter_rows()
