"""Read models with stored events for tests, and what is in them."""

import itertools
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from readmodel.store import snapshot
from readmodel.store.audit import balance, chain_faults
from readmodel.store.event_tables import AUDIT, EVENTS, REJECTED
from readmodel.sync.drain import drain
from tests.support.events import write_spool

_numbers = itertools.count(1)

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
"""Four days after the events of `line` arrive."""


def rows(data_dir: Path, table: str) -> pl.DataFrame:
    """All rows of a table of the current snapshot."""
    return snapshot.latest(data_dir).scan(table).collect()


def event_ids(data_dir: Path) -> list[str]:
    """The ids of the stored events, sorted."""
    return sorted(rows(data_dir, EVENTS)["event_id"].to_list())


def letter_ids(data_dir: Path) -> list[str]:
    """The ids of the stored dead letters, sorted."""
    return sorted(rows(data_dir, REJECTED)["rejection_id"].to_list())


def part_rows(data_dir: Path, table: str = EVENTS) -> list[int]:
    """Rows of each part of a table."""
    manifest = snapshot.latest(data_dir).manifest
    assert manifest
    return [part.rows for part in manifest.tables[table].parts]


def actions(data_dir: Path) -> list[str]:
    """What the audit log has recorded, after checking that nothing is wrong with it."""
    log = rows(data_dir, AUDIT)
    assert list(chain_faults(log)) == []
    stored = rows(data_dir, EVENTS).height, rows(data_dir, REJECTED).height
    assert balance(log) == stored
    return log["action"].to_list()


def store(
    data_dir: Path, *drains: Iterable[Mapping[str, Any]], now: datetime = NOW
) -> None:
    """Drain a spool file for each of *drains*, one after the other."""
    spool = data_dir.parent / "spool"
    for lines in drains:
        write_spool(spool, lines, next(_numbers))
        drain(data_dir, spool, lambda: now)
