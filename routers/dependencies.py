"""What handlers ask for, as named types: settings, clock, period, snapshot, caller."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated

import polars as pl
from fastapi import Depends, HTTPException, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from calculations.analytics import Tables
from config import Settings
from readmodel import snapshot, visits
from readmodel.snapshot import Snapshot
from routers.callers import bearer


async def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


CurrentSettings = Annotated[Settings, Depends(_settings)]


async def now() -> datetime:
    """The only clock; tests put another in its place."""
    return datetime.now(UTC)


Now = Annotated[datetime, Depends(now)]


async def _snapshot(request: Request, settings: CurrentSettings) -> Snapshot:
    # Not on a thread: it looks at a few files, and would wait for a thread longer.
    current = snapshot.current(settings.data_dir)
    request.state.snapshot = current.id  # for the request's log line
    return current


CurrentSnapshot = Annotated[Snapshot, Depends(_snapshot)]


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


_scheme = HTTPBearer(
    auto_error=False,
    description="ANALYTICS_SECRET_TOKEN, as a bearer token or bare in the header.",
)


async def _token(
    request: Request,
    settings: CurrentSettings,
    _documented: Annotated[HTTPAuthorizationCredentials | None, Security(_scheme)],
) -> None:
    """Let the bearer of a token pass; else 401."""
    if bearer(request.scope["headers"], settings.require_tokens()) is None:
        raise HTTPException(
            401,
            "Missing or wrong token",
            headers={"WWW-Authenticate": "Bearer"},
        )


RequireToken = Depends(_token)
