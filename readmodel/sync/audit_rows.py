"""Rows of the audit log for changes of the stored events."""

from collections.abc import Iterable, Iterator
from datetime import datetime

import polars as pl

from readmodel.store.audit import EMPTY, AuditAction, AuditEntry, ChainEnd, chained
from readmodel.store.event_tables import AUDIT, EVENTS, REJECTED
from readmodel.sync.carry_over import LastSnapshot
from readmodel.sync.event_ids import NewRows
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
    taken = spooled.accepted.select("sender", "batch").vstack(
        spooled.rejected.select("sender", "batch")
    )
    batches = taken.group_by("sender", maintain_order=True).agg(
        pl.col("batch").n_unique()
    )
    sent = _by_sender(spooled.accepted)
    is_all_new = found.new.height == spooled.accepted.height
    new = sent if is_all_new else _by_sender(found.new)
    conflicts, letters = _by_sender(found.conflicts), _by_sender(rejected)
    entries = (
        AuditEntry(
            AuditAction.BATCHES,
            sender,
            batches=count,
            accepted=new.get(sender, 0),
            repeated=sent.get(sender, 0)
            - new.get(sender, 0)
            - conflicts.get(sender, 0),
            rejected=letters.get(sender, 0),
        )
        for sender, count in batches.iter_rows()
    )
    return audit_rows(last, at, entries)


def _by_sender(rows: pl.DataFrame) -> dict[str | None, int]:
    if rows.is_empty():
        return {}
    return dict(rows.group_by("sender").len().iter_rows())
