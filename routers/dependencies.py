"""What handlers ask for, as named types: settings, clock, period, snapshot, caller."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Request

from config import Settings
from readmodel.store import snapshot
from readmodel.store.snapshot import Snapshot


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
