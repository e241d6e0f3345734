"""Reading one table through the source, as a sync does."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from readmodel.source.blocking import Block, Blocking, choose_blocking
from readmodel.source.postgres.source import PostgresView
from readmodel.source.wire import Column
from readmodel.tables import Table
from testbed.postgres import Database
from tests.support.postgres import postgres_source as source_of

__all__ = ["THINGS", "Reading", "blocking", "digests", "read", "read_from", "source_of"]

THINGS = Table("things", key="id")


@dataclass(frozen=True)
class Reading:
    """What one view holds of a table."""

    columns: Sequence[Column]
    blocks: Sequence[Block]
    frame: pl.DataFrame
    replaced: int


def blocking(view: PostgresView, table: Table = THINGS) -> Blocking:
    """How *table* is divided into blocks."""
    return choose_blocking(table, view.columns(table))


def digests(database: Database, table: Table = THINGS, **more: Any) -> Sequence[Block]:
    """The blocks of *table*."""
    with source_of(database, **more).view([table]) as view:
        return view.blocks(table, view.columns(table), blocking(view, table))


def read_from(view: PostgresView, table: Table = THINGS) -> Reading:
    """All of *table* at the instant of *view*."""
    columns, cut = view.columns(table), blocking(view, table)
    blocks = view.blocks(table, columns, cut)
    batches = list(view.rows(table, columns, cut, blocks))
    empty = pl.DataFrame(schema={column.name: column.dtype for column in columns})
    frame = pl.concat([empty, *(batch.frame for batch in batches)])
    return Reading(columns, blocks, frame, sum(batch.zero_dates for batch in batches))


def read(database: Database, table: Table = THINGS, **more: Any) -> Reading:
    """All of *table* now."""
    with source_of(database, **more).view([table]) as view:
        return read_from(view, table)


def assert_nobody_is_left(database: Database) -> None:
    """The reader has no session any more, so no statement of its own runs on."""
    deadline = time.monotonic() + 10
    sessions = (
        f"SELECT query FROM pg_stat_activity WHERE usename = '{database.reader.user}'"
    )
    while left := database.query(sessions):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def at_work_on(database: Database, word: str) -> int:
    """The process that serves the reader, once it works on a statement with *word*."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        found = database.query(
            f"SELECT pid FROM pg_stat_activity WHERE usename = '{database.reader.user}' "
            f"AND state = 'active' AND query LIKE '%{word}%'"
        )
        if found:
            return int(found[0][0])
    raise AssertionError(f"no statement with {word}")
