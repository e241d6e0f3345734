"""Dependencies of the handlers: settings, clock, snapshot, plan cache, capacity."""

from datetime import UTC, datetime
from typing import Annotated, Final, NamedTuple

from anyio import CapacityLimiter
from fastapi import Depends, HTTPException, Path, Request
from starlette.requests import HTTPConnection

from calculations.period import Period
from config import Settings
from readmodel.store import snapshot
from readmodel.store.snapshot import Snapshot
from readmodel.tables import TABLES
from routers import responses
from routers.formats.answer import Exports
from routers.formats.media import TableFormat, accepted_format
from routers.plan_cache import PlanCache
from routers.views.answers import Reports
from routers.views.source import ViewsSource

NO_STATISTICS: Final = (
    "Free Planning Poker's statistics are not served here, since the setting TABLES "
    "does not mirror all tables that they need; missing"
)

# FastAPI spends about as long on each dependency of a request as a 304 may take in all.
# So a handler has one, which reads the application's state, and not one per member. It
# is an async function: FastAPI runs others, and classes, on a thread.


def utc_now() -> datetime:
    """The only clock; in the application's state as `clock`, so tests replace it there."""
    return datetime.now(UTC)


def settings_of(request: HTTPConnection) -> Settings:
    """The settings of the application."""
    settings: Settings = request.app.state.settings
    return settings


def now_of(request: Request) -> datetime:
    """The time of the application's clock."""
    now: datetime = request.app.state.clock()
    return now


def snapshot_of(request: Request) -> Snapshot:
    """The current snapshot, the same one for all of a request.

    Raises ReadModelMissing.
    """
    opened: Snapshot | None = getattr(request.state, "opened_snapshot", None)
    if opened is None:
        opened = snapshot.current(settings_of(request).data_dir)
        request.state.opened_snapshot = opened
        request.state.snapshot = opened.id  # for the request's log line
    return opened


async def _settings(request: Request) -> Settings:
    return settings_of(request)


CurrentSettings = Annotated[Settings, Depends(_settings)]


async def _require_statistics(request: Request) -> None:
    current = snapshot_of(request)
    if not current.serves_statistics:
        missing = [name for name in TABLES if name not in current.configured]
        raise HTTPException(404, f"{NO_STATISTICS}: {', '.join(missing)}")


RequireStatistics = Depends(_require_statistics)
"""Dependency of the routes that need all tables of the statistics; 404 without them."""


async def _exports(request: Request) -> Exports:
    exports: Exports = request.app.state.exports
    return exports


CurrentExports = Annotated[Exports, Depends(_exports)]


class RequestContext(NamedTuple):
    """What a handler needs besides its parameters.

    `whole_answers` is the capacity for answers that read most of the tables: one at a
    time. Each takes all cores and the memory of its tables, so two at once gain nothing,
    and eight would keep the interpreter from requests for /health. They wait as
    coroutines, without occupying a thread.
    """

    request: Request
    settings: Settings
    snapshot: Snapshot
    now: datetime
    plans: PlanCache
    whole_answers: CapacityLimiter
    exports: Exports
    views: ViewsSource
    reports: Reports

    def etag_by_day(self, period: Period, table_format: TableFormat | str = "") -> str:
        """See `responses.etag_by_day`; each format has its own."""
        return responses.etag_by_day(
            self.request, self.snapshot, self.settings, period, table_format
        )


async def _context(request: Request) -> RequestContext:
    state = request.app.state
    return RequestContext(
        request,
        settings_of(request),
        snapshot_of(request),
        now_of(request),
        state.plans,
        state.whole_answers,
        state.exports,
        state.views,
        state.reports,
    )


Context = Annotated[RequestContext, Depends(_context)]


async def _accepted(request: Request) -> TableFormat:
    return accepted_format(request.headers.getlist("accept"))


AcceptedFormat = Annotated[TableFormat, Depends(_accepted)]
"""The format by the Accept header. Such an answer names Accept in Vary."""

FormatExtension = Annotated[TableFormat, Path(description="The format of the answer.")]
"""The format by the extension of the path, whatever Accept says."""
