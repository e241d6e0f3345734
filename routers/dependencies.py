"""Dependencies of the handlers: settings, clock, snapshot, plan cache, capacity."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Final, NamedTuple

from fastapi import Depends, HTTPException, Path, Request

from calculations.period import Period
from config import Settings
from readmodel.store import snapshot
from readmodel.store.intact import IntactFiles
from readmodel.store.snapshot import Snapshot
from readmodel.tables import TABLES
from routers import responses
from routers.computations import Computations
from routers.formats.answer import Exports
from routers.formats.media import TableFormat, accepted_format
from routers.outside_calls import OutsideCalls
from routers.plan_cache import PlanCache
from routers.readings import Reading
from routers.views.answers import Reports, until_disconnect
from routers.views.source import ViewsSource

NO_STATISTICS: Final = (
    "Free Planning Poker's statistics are not served here, since the setting TABLES "
    "does not mirror all tables that they need; missing"
)

# All of them are async functions: FastAPI runs others, and classes, on a thread, and
# waiting for one takes longer than these functions.


async def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


CurrentSettings = Annotated[Settings, Depends(_settings)]


async def now() -> datetime:
    """The only clock; tests override it."""
    return datetime.now(UTC)


Now = Annotated[datetime, Depends(now)]


async def _snapshot(request: Request, settings: CurrentSettings) -> Snapshot:
    current = snapshot.current(settings.data_dir)
    request.state.snapshot = current.id  # for the request's log line
    return current


CurrentSnapshot = Annotated[Snapshot, Depends(_snapshot)]


async def _require_statistics(current: CurrentSnapshot) -> None:
    if not current.serves_statistics:
        missing = [name for name in TABLES if name not in current.configured]
        raise HTTPException(404, f"{NO_STATISTICS}: {', '.join(missing)}")


RequireStatistics = Depends(_require_statistics)
"""Dependency of the routes that need all tables of the statistics; 404 without them."""


async def _plan_cache(request: Request) -> PlanCache:
    plans: PlanCache = request.app.state.plans
    return plans


Plans = Annotated[PlanCache, Depends(_plan_cache)]


async def _computations(request: Request) -> Computations:
    computations: Computations = request.app.state.computations
    return computations


CurrentComputations = Annotated[Computations, Depends(_computations)]
"""Runs whatever reads rows.

Answers that read most of the tables run one at a time: each takes all cores and the
memory of its tables, so two at once gain nothing, and eight would keep the interpreter
from requests for /health.
"""


async def _intact(request: Request) -> IntactFiles:
    intact: IntactFiles = request.app.state.intact
    return intact


Intact = Annotated[IntactFiles, Depends(_intact)]


async def _exports(request: Request) -> Exports:
    exports: Exports = request.app.state.exports
    return exports


CurrentExports = Annotated[Exports, Depends(_exports)]


class RequestContext(NamedTuple):
    """What a handler of tables needs besides its parameters."""

    request: Request
    settings: Settings
    snapshot: Snapshot
    now: datetime
    plans: PlanCache
    computations: Computations
    exports: Exports
    deliveries: OutsideCalls
    intact: IntactFiles
    views: ViewsSource
    reports: Reports

    async def compute[**P, T](
        self,
        reading: Reading,
        function: Callable[P, T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """See `Computations.run`; a client that hangs up leaves the queue.

        Raises ClientDisconnected.
        """
        work = self.computations.run(reading, self.snapshot, function, *args, **kwargs)
        return await until_disconnect(self.request, work)

    def etag_by_day(self, period: Period, table_format: TableFormat) -> str:
        """See `responses.etag_by_day`; each format has its own."""
        return responses.etag_by_day(
            self.request, self.snapshot, self.settings, period, table_format
        )


async def _context(
    request: Request,
    settings: CurrentSettings,
    current: CurrentSnapshot,
    moment: Now,
    plans: Plans,
    computations: CurrentComputations,
    exports: CurrentExports,
) -> RequestContext:
    state = request.app.state
    return RequestContext(
        request,
        settings,
        current,
        moment,
        plans,
        computations,
        exports,
        state.deliveries,
        state.intact,
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
