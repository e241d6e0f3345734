"""What waits at collectors on other hosts, for `status` and `doctor`: they are asked."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import urlsplit

from config import Settings
from readmodel.source.addresses import is_local
from util.errors import SpoolError
from util.json_types import JsonObject


class CollectorState(NamedTuple):
    """A collector; what waits in its spool, or why it cannot be asked.

    `oldest_at` is when the oldest file was written, None if nothing waits.
    """

    url: str
    files: int | None
    bytes: int | None
    oldest_at: datetime | None
    error: str | None


def collector_states(settings: Settings) -> list[CollectorState]:
    """Ask all collectors at once. Raises SettingsError without SPOOL_TOKEN."""
    urls = settings.collector_addresses
    if not urls:
        return []
    token = settings.require_spool_token()
    with ThreadPoolExecutor(len(urls)) as pool:
        return list(pool.map(lambda url: _state(url, token), urls))


def _state(url: str, token: str) -> CollectorState:
    # Imported here, since a deployment without collectors elsewhere needs none of it.
    from readmodel.spool.collector_client import CollectorClient
    from readmodel.spool.pulled import waiting_in

    client = CollectorClient(url, token)
    try:
        found = waiting_in(client.page(most=0))
    except SpoolError as error:
        return CollectorState(url, None, None, None, str(error))
    finally:
        client.close()
    oldest = found.oldest_at
    at = None if oldest is None else datetime.fromtimestamp(oldest, UTC)
    return CollectorState(url, found.files, found.bytes, at, None)


def describe(state: CollectorState, now: datetime) -> str:
    """Say in one sentence what waits."""
    if state.error is not None:
        return state.error
    if state.oldest_at is None:
        return f"{state.url}: no file waits"
    seconds = max((now - state.oldest_at).total_seconds(), 0)
    return (
        f"{state.url}: {state.files or 0:,} files with "
        f"{(state.bytes or 0) / 2**20:,.2f} MB wait, the oldest for {seconds:,.0f} s"
    )


def as_json(settings: Settings) -> JsonObject:
    """The same as ``collectors``; nothing without any. Raises SettingsError."""
    states = collector_states(settings)
    return {"collectors": [state._asdict() for state in states]} if states else {}


def is_late(state: CollectorState, now: datetime, seconds: float) -> bool:
    """True if events have waited for longer than *seconds*, or nobody knows."""
    oldest = state.oldest_at
    return state.error is not None or (
        oldest is not None and (now - oldest).total_seconds() > seconds
    )


def unsafe_addresses(settings: Settings) -> Iterator[str]:
    """Collectors on other hosts whose events and token travel in clear text."""
    for url in settings.collector_addresses:
        parts = urlsplit(url)
        if parts.scheme == "http" and not is_local(parts.hostname or ""):
            yield url
