"""Open the tables of one snapshot for the statistics."""

from typing import Final

import polars as pl

from calculations.tables import Tables
from readmodel.store import visits
from readmodel.store.snapshot import Snapshot

SUMMABLE_DIGITS: Final = 28
"""Digits of decimals of which 10 billion have a sum within a decimal's 38."""


def open_tables(snapshot: Snapshot) -> Tables:
    """The tables of *snapshot* as lazy frames; reads no rows.

    Visits that cannot be read are derived from their table. Raises KeyError if the
    snapshot lacks a table of the statistics.
    """
    return Tables(
        page_views=with_visitor(snapshot.scan("fpp_page_views"), "user_id"),
        viewed=snapshot.visits("fpp_page_views"),
        estimations=with_visitor(snapshot.scan("fpp_estimations"), "user_id"),
        estimated=snapshot.visits("fpp_estimations"),
        votes=open_votes(snapshot),
        users=with_visitor(snapshot.scan("fpp_users"), "id"),
        events=with_visitor(_with_event_at(snapshot.scan("fpp_events")), "user_id"),
        rooms=snapshot.scan("fpp_rooms"),
    )


def with_visitor(rows: pl.LazyFrame, user: str) -> pl.LazyFrame:
    """Add ``visitor``, the hash of the column *user*, if there is such a column.

    It is computed only in plans that use it.
    """
    if user not in rows.collect_schema():
        return rows
    return rows.with_columns(visits.visitor(user))


def open_votes(snapshot: Snapshot) -> pl.LazyFrame:
    """The votes of *snapshot* as a lazy frame; reads no rows.

    A column of decimals is Float64 if their sum may have more digits than a decimal.
    """
    votes = snapshot.scan("fpp_votes")
    wide = [
        name
        for name, dtype in votes.collect_schema().items()
        if isinstance(dtype, pl.Decimal) and dtype.precision > SUMMABLE_DIGITS
    ]
    return votes.with_columns(pl.col(wide).cast(pl.Float64)) if wide else votes


def _with_event_at(events: pl.LazyFrame) -> pl.LazyFrame:
    """Add a null ``event_at`` (Datetime us, UTC) if the source has no such timestamp.

    Such events are in no range of days.
    """
    if isinstance(events.collect_schema().get("event_at"), pl.Datetime):
        return events
    return events.with_columns(event_at=pl.lit(None, pl.Datetime("us", "UTC")))
