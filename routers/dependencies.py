"""Dependencies of the handlers: settings, clock, snapshot, plan cache, capacity."""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

from fastapi import Depends, HTTPException, Path, Request

from calculations.period import Period
from config import Settings
from readmodel.store import snapshot
from readmodel.store.history import snapshot_at
from readmodel.store.intact import IntactFiles
from readmodel.store.snapshot import Snapshot
from readmodel.tables import TABLES
from routers import responses
from routers.computations import Computations
from routers.formats.answer import Exports
from routers.formats.media import TableFormat, accepted_format
from routers.outside_calls import OutsideCalls
from routers.plan_cache import PlanCache
from routers.query import RangeParameters
from routers.readings import Reading
from routers.request_state import now_of, settings_of
from routers.strict_query import AS_OF
from routers.views.answers import Reports, until_disconnect
from routers.views.source import ViewsSource

if TYPE_CHECKING:
    from routers.cluster_answers import ClusterAnswers  # only with ENGINE_URL

NO_STATISTICS: Final = (
    "Free Planning Poker's statistics are not served here, since the setting TABLES "
    "does not mirror all tables that they need; missing"
)

# FastAPI spends about as long on each dependency of a request as a 304 may take in all.
# So a handler has one, which reads the application's state, and not one per member. It
# is an async function: FastAPI runs others, and classes, on a thread.


def snapshot_of(request: Request) -> Snapshot:
    """The current snapshot, or that of `as_of`; the same one for all of a request.

    Raises ReadModelMissing and SnapshotNotKept.
    """
    opened: Snapshot | None = getattr(request.state, "opened_snapshot", None)
    if opened is None:
        data_dir = settings_of(request).data_dir
        if AS_OF in request.query_params:
            earlier = snapshot_at(data_dir, now_of(request))
            opened = snapshot.require_complete(earlier)
        else:
            opened = snapshot.current(data_dir)
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

    `computations` runs whatever reads rows; answers that read most of the tables one at a
    time. Each takes all cores and the memory of its tables, so two at once gain nothing,
    and eight would keep the interpreter from requests for /health. They wait as
    coroutines, without occupying a thread.
    """

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
    cluster: "ClusterAnswers | None"

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

    def resolve(self, query: RangeParameters) -> Period:
        """The period of *query*. The request's log line will have it, too.

        Raises RequestValidationError (422).
        """
        period = query.resolve(self.settings, self.now)
        self.request.state.log_fields = {
            "range": "{} to {}".format(*period.range) if period.range else "all",
            "interval": str(period.interval),
            "tz": period.zone.key,
        }
        return period

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
        state.computations,
        state.exports,
        state.deliveries,
        state.intact,
        state.views,
        state.reports,
        state.cluster,
    )


Context = Annotated[RequestContext, Depends(_context)]


async def _accepted(request: Request) -> TableFormat:
    return accepted_format(request.headers.getlist("accept"))


AcceptedFormat = Annotated[TableFormat, Depends(_accepted)]
"""The format by the Accept header. Such an answer names Accept in Vary."""

FormatExtension = Annotated[TableFormat, Path(description="The format of the answer.")]
"""The format by the extension of the path, whatever Accept says."""
