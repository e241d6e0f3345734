"""Open the tables of one snapshot for the statistics."""

from dataclasses import replace
from typing import Final

import polars as pl

from calculations.activity import SortedActivity
from calculations.analytics import collect
from calculations.tables import Tables
from readmodel.store import quarters, visits
from readmodel.store.side_files import QUARTERS, TALLIES, SideFileKind
from readmodel.store.snapshot import Snapshot
from readmodel.store.sorted_activity import open_activity
from readmodel.store.votes import open_votes

MOST_KEPT_BYTES: Final = 2**20
"""Tallies or quarters of a table that are larger are read for each request."""


def open_tables(snapshot: Snapshot) -> Tables:
    """The tables of *snapshot* as lazy frames; reads no rows.

    Visits that cannot be read are derived from their table. Raises KeyError if the
    snapshot lacks a table of the statistics.
    """
    return Tables(
        viewed=snapshot.visits("fpp_page_views"),
        estimations=with_visitor(snapshot.scan("fpp_estimations"), "user_id"),
        estimated=snapshot.visits("fpp_estimations"),
        votes=open_votes(snapshot),
        users=with_visitor(snapshot.scan("fpp_users"), "id"),
        events=with_visitor(_with_event_at(snapshot.scan("fpp_events")), "user_id"),
        rooms=snapshot.scan("fpp_rooms"),
        page_view_tally=snapshot.tally("fpp_page_views"),
        event_tally=snapshot.tally("fpp_events"),
        user_tally=snapshot.tally("fpp_users"),
        estimation_tally=snapshot.tally("fpp_estimations"),
        vote_tally=snapshot.tally("fpp_votes"),
        quarters=_quarters(snapshot),
        sorted_activity=_sorted_activity(snapshot),
    )


def read_counts(tables: Tables, snapshot: Snapshot) -> Tables:
    """*tables* of *snapshot* with their tallies and quarters in memory, if these are small.

    Raises OSError and PolarsError if a file cannot be read.
    """

    def small(rows: pl.LazyFrame, table: str, kind: SideFileKind) -> pl.LazyFrame:
        is_small = snapshot.side_bytes(table, kind) <= MOST_KEPT_BYTES
        return collect(rows).lazy() if is_small else rows

    def tally(rows: pl.LazyFrame | None, table: str) -> pl.LazyFrame | None:
        return rows if rows is None else small(rows, table, TALLIES)

    return replace(
        tables,
        page_view_tally=tally(tables.page_view_tally, "fpp_page_views"),
        event_tally=tally(tables.event_tally, "fpp_events"),
        user_tally=tally(tables.user_tally, "fpp_users"),
        estimation_tally=tally(tables.estimation_tally, "fpp_estimations"),
        vote_tally=tally(tables.vote_tally, "fpp_votes"),
        quarters={
            name: small(rows, f"fpp_{name}", QUARTERS)
            for name, rows in tables.quarters.items()
        },
    )


def _sorted_activity(snapshot: Snapshot) -> SortedActivity | None:
    found = open_activity(snapshot)
    return SortedActivity(*found) if found else None


def _quarters(snapshot: Snapshot) -> dict[str, pl.LazyFrame]:
    found = {
        table.removeprefix("fpp_"): snapshot.quarters(table)
        for table in quarters.COLUMNS
    }
    return {name: rows for name, rows in found.items() if rows is not None}


def with_visitor(rows: pl.LazyFrame, user: str) -> pl.LazyFrame:
    """Add ``visitor``, the hash of the column *user*, if there is such a column.

    It is computed only in plans that use it.
    """
    if user not in rows.collect_schema():
        return rows
    return rows.with_columns(visits.visitor(user))


def _with_event_at(events: pl.LazyFrame) -> pl.LazyFrame:
    """Add a null ``event_at`` (Datetime us, UTC) if the source has no such timestamp.

    Such events are in no range of days.
    """
    if isinstance(events.collect_schema().get("event_at"), pl.Datetime):
        return events
    return events.with_columns(event_at=pl.lit(None, pl.Datetime("us", "UTC")))
