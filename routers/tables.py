"""Open the tables of one snapshot for the statistics."""

import polars as pl

from calculations.analytics import Tables
from readmodel.store.snapshot import Snapshot


def open_tables(snapshot: Snapshot) -> Tables:
    """The tables of *snapshot* as lazy frames; reads no rows.

    Visits that cannot be read are derived from their table. Raises KeyError if the
    snapshot lacks a table of the statistics.
    """
    return Tables(
        page_views=snapshot.scan("fpp_page_views"),
        viewed=snapshot.visits("fpp_page_views"),
        estimations=snapshot.scan("fpp_estimations"),
        estimated=snapshot.visits("fpp_estimations"),
        votes=snapshot.scan("fpp_votes"),
        users=snapshot.scan("fpp_users"),
        events=_with_event_at(snapshot.scan("fpp_events")),
        rooms=snapshot.scan("fpp_rooms"),
    )


def _with_event_at(events: pl.LazyFrame) -> pl.LazyFrame:
    """Add a null ``event_at`` (Datetime us, UTC) if the source has no such timestamp.

    Such events are in no range of days.
    """
    if isinstance(events.collect_schema().get("event_at"), pl.Datetime):
        return events
    return events.with_columns(event_at=pl.lit(None, pl.Datetime("us", "UTC")))
