"""The API: `uvicorn main:app --port 5100`. It only reads snapshots."""

import os

from util import allocator

# Before anything that imports Polars.
os.environ.setdefault(allocator.VARIABLE, allocator.FOR_ANSWERS)
from util import quick_imports  # before FastAPI

# isort: split
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from datetime import timedelta
from functools import partial
from typing import Final

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette_compress import CompressMiddleware

import config
import startup
from config import Settings
from readmodel.store import metrics as read_model_metrics
from readmodel.store.intact import IntactFiles
from readmodel.store.metrics import ReadModelCollector
from readmodel.tables import select_tables
from routers.auth import require_usable_keys
from routers.computations import RETRY_AFTER_SECONDS as RETRY_OVERLOAD_SECONDS
from routers.computations import Computations
from routers.dependencies import utc_now
from routers.formats.answer import Exports
from routers.middleware.limits import RequestLimits
from routers.middleware.methods import SafeMethods
from routers.middleware.sharing import SharedAnswers
from routers.outside_calls import OutsideCalls
from routers.plan_cache import PlanCache
from routers.queries.running import Queries
from routers.routes import (
    analytics,
    breakdowns,
    daily_reports,
    dashboard,
    declared,
    downloads,
    events,
    health,
    metrics,
    queries,
    retention,
    room,
    rooms,
    session,
    snapshots,
    sync_runs,
    v1,
    views,
)
from routers.routes.openapi import OPENAPI_ROUTE
from routers.views.answers import ClientDisconnected, ReportFailed, Reports
from routers.views.source import ViewsSource
from routers.worker.client import Worker
from startup import LoadSettings
from util import logs, sentry_wrapper, telemetry
from util.access_log import AccessLog
from util.application import create_application
from util.connections import limit_connections
from util.cross_origin import CrossOrigin
from util.errors import (
    DeliveryError,
    Overloaded,
    ReadModelDamaged,
    ReadModelMissing,
    SnapshotNotKept,
    StorageError,
)
from util.memory import available_bytes
from util.metrics import ApiMetrics
from util.path_prefix import PathPrefix
from util.problems import error_response, handle_errors
from util.sentry_wrapper import ErrorContext, Severity, capture_error
from util.stopping import force_exit_after
from util.workers import require_one_worker

SERVICE: Final = "fpp-analytics-api"

ZSTD_LEVEL: Final = 3
"""279 kB of JSON, a whole answer, become 41 kB in 1.2 ms; level 6 takes 4.3 ms."""

SHUTDOWN_GRACE: Final = timedelta(seconds=7)
"""Time from SIGTERM to the forced exit, for requests in progress; then Sentry's flush."""

REQUEST_HEADERS: Final = (
    "Authorization",
    "If-None-Match",
    "X-API-Key",
    "X-Request-ID",
)
"""Headers that pages of other origins may send."""

RESPONSE_HEADERS: Final = (
    "Content-Disposition",
    "ETag",
    "Link",
    "Retry-After",
    "X-RateLimit-Limit",
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
    "X-Data-Updated-At",
    "X-Request-ID",
    "X-Stale-Since",
    "X-Truncated",
)
"""Headers that pages of other origins may read."""

MOST_REPORTED: Final = 1_000
"""Remembered reports of damage."""

RETRY_AFTER_SECONDS: Final = 30
"""Retry-After while there is no read model: a first sync is short."""

DESCRIPTION: Final = """\
Free Planning Poker's statistics, computed on demand from an exact copy of its database.

Days begin at midnight in the time zone TIMEZONE; timestamps are UTC. All routes except
`/health` and `/v1/health` require the token: use **Authorize**, or send
`Authorization: Bearer <token>`.
"""


def create_app(settings: Settings | None = None) -> FastAPI:
    """Create the application. Without *settings* it loads them when the server starts."""
    app = create_application(
        "FPP Analytics", config.VERSION, DESCRIPTION, _lifespan, [OPENAPI_ROUTE]
    )
    app.state.settings = settings
    _set_state(app)
    for module in _ROUTES:
        app.router.routes.extend(module.router.routes)
    _handle_errors(app)
    _add_middleware(app)
    return app


_ROUTES: Final = (
    analytics,
    room,
    rooms,
    v1,
    downloads,
    breakdowns,
    retention,
    daily_reports,
    health,
    snapshots,
    sync_runs,
    metrics,
    dashboard,
    session,
    events,
    views,
    queries,
)
"""The modules with routes, in the order of the API's document."""


def _set_state(app: FastAPI) -> None:
    """What requests share, none of which needs the settings."""
    app.state.metrics = ApiMetrics(_read_model_collector(app))
    app.state.clock = utc_now
    app.state.plans = PlanCache()
    app.state.intact = IntactFiles()
    app.state.reported_damage = set()
    app.state.worker = Worker()
    app.state.exports = Exports(app.state.worker)
    app.state.views = ViewsSource(app.state.worker)
    app.state.reports = Reports(app.state.worker)
    app.state.queries = Queries(app.state.worker)
    app.state.cluster = None


def _handle_errors(app: FastAPI) -> None:
    handle_errors(app)
    app.add_exception_handler(ReadModelMissing, _respond_read_model_missing)
    app.add_exception_handler(StorageError, _respond_read_model_missing)
    app.add_exception_handler(Overloaded, _respond_overloaded)
    app.add_exception_handler(SnapshotNotKept, _respond_snapshot_not_kept)
    app.add_exception_handler(DeliveryError, _respond_delivery_failed)
    app.add_exception_handler(ReportFailed, _respond_report_failed)
    app.add_exception_handler(ClientDisconnected, _respond_to_nobody)


def _add_middleware(app: FastAPI) -> None:
    """The middleware added last is the outermost."""
    app.add_middleware(CompressMiddleware, zstd_level=ZSTD_LEVEL)
    app.add_middleware(SafeMethods)
    app.add_middleware(
        CrossOrigin,
        methods=["GET", "HEAD"],
        request_headers=REQUEST_HEADERS,
        response_headers=RESPONSE_HEADERS,
    )
    app.add_middleware(SharedAnswers)
    app.add_middleware(RequestLimits)
    app.add_middleware(dashboard.RedirectBrowsers)
    app.add_middleware(AccessLog, on_error=_respond_unexpected)
    app.add_middleware(PathPrefix)
    app.add_middleware(LoadSettings, prepare=_prepare)


def _read_model_collector(app: FastAPI) -> ReadModelCollector:
    """Metrics of the read model. The settings are known once the server has started."""
    return ReadModelCollector(
        manifest=lambda: read_model_metrics.current_manifest(
            app.state.settings.data_dir
        ),
        runs=lambda: read_model_metrics.run_summary(app.state.settings.data_dir),
        interval=lambda: app.state.settings.sync_interval_seconds,
        replica=lambda: read_model_metrics.replica_figures(app.state.settings.data_dir),
    )


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: Settings = app.state.settings
    budget = settings.answer_memory_mb * 2**20 or available_bytes() // 2
    app.state.computations = Computations(budget, app.state.intact)
    app.state.deliveries = OutsideCalls()
    _add_view_routes(app)
    # The API only reads, so a request that takes too long may be aborted.
    force_exit_after(SHUTDOWN_GRACE, last=sentry_wrapper.flush)
    with _cluster(app) if settings.engine_url else nullcontext():
        yield
    app.state.worker.close()
    telemetry.shutdown()
    sentry_wrapper.flush()


@contextmanager
def _cluster(app: FastAPI) -> Iterator[None]:
    """Answers by a cluster, which is connected in the background."""
    from cluster.address import cluster_address
    from cluster.connection import ClusterConnection
    from cluster.metrics import ClusterMetrics
    from readmodel.store.content import current_content
    from routers.cluster_answers import ClusterAnswers

    settings: Settings = app.state.settings
    cluster = ClusterConnection(
        cluster_address(settings),
        partial(current_content, settings.data_dir),
        ClusterMetrics(app.state.metrics.registry),
        settings.engine_seconds,
    )
    app.state.cluster = ClusterAnswers(cluster, settings.engine_min_rows)
    cluster.start()
    try:
        yield
    finally:
        cluster.close()


def _add_view_routes(app: FastAPI) -> None:
    """Add the routes of the SQL files, which are loaded when they are first needed."""
    settings: Settings = app.state.settings
    try:
        app.state.view_routes = declared.add_routes(app, settings.views_dir)
    except OSError as error:
        capture_error(error, ErrorContext("api", "list views"), Severity.HIGH)
        app.state.view_routes = []


def _prepare(app: FastAPI) -> None:
    """Set up settings, logs and Sentry. Raises SettingsError."""
    settings: Settings = app.state.settings or config.load()
    settings.require_tokens()
    require_usable_keys(settings)
    require_one_worker()
    if settings.engine_url:
        from cluster.address import cluster_address

        cluster_address(settings)
    limit_connections(settings.max_connections)
    select_tables(settings.table_keys, settings.further_table_keys)
    app.state.settings = settings
    app.state.metrics.registry.further_names = settings.further_metric_names
    startup.start(SERVICE, settings)


def _respond_read_model_missing(request: Request, error: Exception) -> JSONResponse:
    reported: set[str] = request.app.state.reported_damage
    if isinstance(error, ReadModelDamaged) and str(error) not in reported:
        # Once: it stays until the next sync, and every request meets it.
        if len(reported) > MOST_REPORTED:
            reported.clear()
        reported.add(str(error))
        capture_error(error, error_context(request), Severity.HIGH)
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
    return error_response(request.scope, 503, str(error), headers)


def _respond_overloaded(request: Request, error: Exception) -> JSONResponse:
    headers = {"Retry-After": str(RETRY_OVERLOAD_SECONDS)}
    return error_response(request.scope, 503, str(error), headers)


def _respond_snapshot_not_kept(request: Request, error: Exception) -> JSONResponse:
    return error_response(request.scope, 404, str(error))


def _respond_delivery_failed(request: Request, error: Exception) -> JSONResponse:
    capture_error(error, error_context(request), Severity.MEDIUM)
    return error_response(request.scope, 502, str(error))


def _respond_report_failed(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ReportFailed)
    capture_error(error, error_context(request), Severity.MEDIUM)
    return error_response(request.scope, 500, error.detail)


def _respond_to_nobody(request: Request, _error: Exception) -> JSONResponse:
    return error_response(request.scope, 499, "The client has disconnected")


def _respond_unexpected(request: Request, error: Exception) -> JSONResponse:
    capture_error(error, error_context(request), Severity.HIGH)
    return error_response(request.scope, 500, "Internal server error")


def error_context(request: Request) -> ErrorContext:
    """Method and route template of a request, for an error report."""
    route = getattr(request.scope.get("route"), "path", "unknown")
    return ErrorContext("api", f"{request.method} {route}")


app = create_app()
quick_imports.finish()
if logs.configured_by_uvicorn():
    startup.configure_logs_early(SERVICE)
