"""Open the tables of one snapshot for the statistics."""

import polars as pl

from calculations.activity import SortedActivity
from calculations.tables import Tables
from readmodel.store import quarters, visits
from readmodel.store.activity import open_activity
from readmodel.store.snapshot import Snapshot
from readmodel.store.votes import open_votes


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
