"""The API: `uvicorn main:app --port 5100`. It only reads snapshots."""

import os

from util import allocator

# Before anything that imports Polars.
os.environ.setdefault(allocator.VARIABLE, allocator.FOR_ANSWERS)
from util import quick_imports  # before FastAPI

# isort: split
import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from datetime import timedelta
from functools import partial
from types import ModuleType
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
from routers.errors import ClientDisconnected, ReportFailed
from routers.middleware.completion import AwaitRoutes
from routers.middleware.limits import RequestLimits
from routers.middleware.methods import SafeMethods
from routers.middleware.sharing import SharedAnswers
from routers.request_state import utc_now
from routers.routes import dashboard, health
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

RETRY_OVERLOAD_SECONDS: Final = 5
"""Retry-After while too many computations wait."""

EARLY_PATHS: Final = frozenset({"/health", "/v1/health"})
"""Answered before all routes are added."""

LISTENING_SECONDS: Final = 0.03
"""How long the server has the interpreter alone, to listen and to answer `/health` first."""

DESCRIPTION: Final = """\
Free Planning Poker's statistics, computed on demand from an exact copy of its database.

Days begin at midnight in the time zone TIMEZONE; timestamps are UTC. All routes except
`/health` and `/v1/health` require the token: use **Authorize**, or send
`Authorization: Bearer <token>`.
"""


def create_app(settings: Settings | None = None, *, is_early: bool = False) -> FastAPI:
    """Create the application. Without *settings* it loads them when the server starts.

    If it *is_early*, it has the routes of `/health`, and adds the others once the server
    has started; requests for them wait.
    """
    app = create_application("FPP Analytics", config.VERSION, DESCRIPTION, _lifespan)
    app.state.settings = settings
    app.state.metrics = ApiMetrics(_read_model_collector(app))
    app.state.clock = utc_now
    app.state.intact = IntactFiles()
    app.state.reported_damage = set()
    app.state.cluster = None
    app.state.all_routes = asyncio.Event()
    app.router.routes.extend(health.router.routes)
    if not is_early:
        _load_routes().add_to(app)
        app.state.all_routes.set()
    _handle_errors(app)
    _add_middleware(app)
    return app


def _load_routes() -> ModuleType:
    """The module of all routes; its imports take a quarter of the start."""
    from routers import all_routes

    return all_routes


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
    app.add_middleware(AwaitRoutes, at_once=EARLY_PATHS)
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
    # The API only reads, so a request that takes too long may be aborted.
    force_exit_after(SHUTDOWN_GRACE, last=sentry_wrapper.flush)
    with _cluster(app) if app.state.settings.engine_url else nullcontext():
        async with _routes(app):
            yield
    telemetry.shutdown()
    sentry_wrapper.flush()


@asynccontextmanager
async def _routes(app: FastAPI) -> AsyncIterator[None]:
    """All routes; those that are not there yet are added in the background."""
    if app.state.all_routes.is_set():
        _load_routes().start(app)
        yield
    else:
        added = asyncio.create_task(_add_routes(app))
        added.add_done_callback(_exit_if_failed)
        yield
        await added
    app.state.worker.close()


async def _add_routes(app: FastAPI) -> None:
    await asyncio.sleep(LISTENING_SECONDS)
    with quick_imports.in_background():
        routes = await asyncio.to_thread(_load_routes)
        routes.add_to(app)
        routes.start(app)
    app.state.all_routes.set()


def _exit_if_failed(added: "asyncio.Task[None]") -> None:
    """Exit with status 1, as if an import had failed before the server listened."""
    if not added.cancelled() and (error := added.exception()):
        capture_error(error, ErrorContext("api", "add routes"), Severity.CRITICAL)
        sentry_wrapper.flush()
        os._exit(1)


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


app = create_app(is_early=logs.configured_by_uvicorn())
quick_imports.finish()
if logs.configured_by_uvicorn():
    app.state.settings = startup.configure_logs_early(SERVICE)
