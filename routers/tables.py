"""Open the statistics' tables of one snapshot."""

from functools import lru_cache

import polars as pl

from calculations.analytics import Tables
from readmodel.store import visits
from readmodel.store.snapshot import Snapshot


def tables(snapshot: Snapshot) -> Tables:
    """The statistics' tables of one snapshot; the same each time, and so their plans.

    But which tables have visits that can be read is found anew each time: they are no
    more than copies, and may go without harm. And plain files are opened anew: they
    can be replaced, and a scan remembers what its file was like.
    """
    if snapshot.manifest is None:
        return _opened(snapshot)
    return _kept(snapshot, *(bool(snapshot.visits_files(t)) for t in visits.COLUMNS))


@lru_cache(maxsize=2)  # the current snapshot, and the one before
def _kept(snapshot: Snapshot, *_copied: bool) -> Tables:
    return _opened(snapshot)


def _opened(snapshot: Snapshot) -> Tables:
    return Tables(
        page_views=snapshot.scan("fpp_page_views"),
        viewed=snapshot.visits("fpp_page_views"),
        estimations=snapshot.scan("fpp_estimations"),
        estimated=snapshot.visits("fpp_estimations"),
        votes=snapshot.scan("fpp_votes"),
        users=snapshot.scan("fpp_users"),
        events=_dated(snapshot.scan("fpp_events")),
        rooms=snapshot.scan("fpp_rooms"),
    )


def _dated(events: pl.LazyFrame) -> pl.LazyFrame:
    """Events whose source does not say when they happened are in no range of days."""
    if isinstance(events.collect_schema().get("event_at"), pl.Datetime):
        return events
    return events.with_columns(event_at=pl.lit(None, pl.Datetime("us", "UTC")))
