"""The API: `uvicorn main:app --port 5100`. It only reads snapshots."""

import util.allocator  # noqa: F401 - before anything that imports Polars

# isort: split
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Final

from anyio import CapacityLimiter
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from fastapi_offline import FastAPIOffline
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette_compress import CompressMiddleware

import config
import startup
from config import Settings
from readmodel.store import metrics as read_model_metrics
from readmodel.store import snapshot
from readmodel.store.metrics import ReadModelCollector
from readmodel.store.snapshot import Snapshot
from routers.formats.answer import Exports
from routers.middleware.access_log import AccessLog
from routers.middleware.cross_origin import CrossOrigin
from routers.middleware.limits import RequestLimits
from routers.middleware.methods import SafeMethods
from routers.plan_cache import PlanCache
from routers.routes import (
    analytics,
    breakdowns,
    dashboard,
    downloads,
    health,
    metrics,
    retention,
    room,
    rooms,
    sync_runs,
    views,
)
from routers.views import documents
from routers.views.answers import ClientDisconnected, ReportFailed, Reports
from routers.views.loaded import LoadedViews
from routers.views.source import ViewsSource
from routers.worker.client import Worker
from routers.worker.refusals import JobCrashed, JobTimeout
from util import logs, sentry_wrapper
from util.errors import DeliveryError, ReadModelMissing, SettingsError
from util.metrics import ApiMetrics
from util.sentry_wrapper import ErrorContext, Severity, capture_error
from util.stopping import force_exit_after

SERVICE: Final = "fpp-analytics-api"

ZSTD_LEVEL: Final = 3
"""279 kB of JSON, a whole answer, become 41 kB in 1.2 ms; level 6 takes 4.3 ms."""

SHUTDOWN_GRACE: Final = timedelta(seconds=7)
"""Time from SIGTERM to the forced exit, for requests in progress; then Sentry's flush."""

RETRY_AFTER_SECONDS: Final = 30
"""Retry-After while there is no read model: a first sync is short."""

DESCRIPTION: Final = """\
Free Planning Poker's statistics, computed on demand from an exact copy of its database.

Days begin at midnight in the time zone TIMEZONE; timestamps are UTC. All routes except
`/health` require the token: use **Authorize**, or send `Authorization: Bearer <token>`.
"""


def create_app(settings: Settings | None = None) -> FastAPI:
    """Create the application. Without *settings* it loads them when the server starts."""
    app: FastAPI = FastAPIOffline(
        title="FPP Analytics",
        version=config.VERSION,
        description=DESCRIPTION,
        docs_url="/docs",
        redoc_url=None,
        static_url="/docs/assets",
        lifespan=_lifespan,
        generate_unique_id_function=operation_id,
    )
    app.state.settings = settings
    app.state.metrics = ApiMetrics(_read_model_collector(app))
    app.state.plans = PlanCache()
    app.state.worker = Worker()
    app.state.exports = Exports(app.state.worker)
    app.state.views = ViewsSource(app.state.worker)
    app.state.reports = Reports(app.state.worker)
    for module in (
        analytics,
        room,
        rooms,
        downloads,
        breakdowns,
        retention,
        health,
        sync_runs,
        metrics,
        dashboard,
        views,
    ):
        app.include_router(module.router)
    app.add_exception_handler(ReadModelMissing, _respond_read_model_missing)
    app.add_exception_handler(DeliveryError, _respond_delivery_failed)
    app.add_exception_handler(ReportFailed, _respond_report_failed)
    app.add_exception_handler(ClientDisconnected, _respond_to_nobody)
    # The middleware added last is the outermost.
    app.add_middleware(CompressMiddleware, zstd_level=ZSTD_LEVEL)
    app.add_middleware(SafeMethods)
    app.add_middleware(CrossOrigin)
    app.add_middleware(RequestLimits)
    app.add_middleware(dashboard.RedirectBrowsers)
    app.add_middleware(AccessLog, on_error=_respond_unexpected)
    app.add_middleware(LoadSettings)
    return app


def operation_id(route: APIRoute) -> str:
    """The handler's name, of which generated clients make the name of a method."""
    return route.name


def _read_model_collector(app: FastAPI) -> ReadModelCollector:
    """Metrics of the read model. The settings are known once the server has started."""
    return ReadModelCollector(
        manifest=lambda: read_model_metrics.current_manifest(
            app.state.settings.data_dir
        ),
        runs=lambda: read_model_metrics.run_summary(app.state.settings.data_dir),
    )


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.whole_answers = CapacityLimiter(1)
    await _add_views(app)
    # The API only reads, so a request that takes too long may be aborted.
    force_exit_after(SHUTDOWN_GRACE, last=sentry_wrapper.flush)
    yield
    app.state.worker.close()
    sentry_wrapper.flush()


async def _add_views(app: FastAPI) -> None:
    """Add the routes of the SQL files, and their operations to the document."""
    loaded = await _load_views(app)
    views.add_routes(app, loaded)
    generate = app.openapi

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            documents.document_views(generate(), loaded)
        return generate()

    app.openapi = document  # type: ignore[method-assign]


async def _load_views(app: FastAPI) -> LoadedViews:
    """Load the SQL files; without them if that fails, since the statistics do not."""
    settings: Settings = app.state.settings
    source: ViewsSource = app.state.views
    try:
        current: Snapshot | None = snapshot.latest(settings.data_dir)
    except ReadModelMissing:
        current = None
    try:
        return await source.current(settings, current)
    except (OSError, JobCrashed, JobTimeout) as error:
        capture_error(error, ErrorContext("api", "load views"), Severity.HIGH)
        return LoadedViews()


class LoadSettings:
    """Middleware that loads the settings at start-up, and fails if they are invalid.

    The failure is one line; an error in the lifespan would print a traceback.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Process one ASGI connection."""
        if scope["type"] == "lifespan":
            try:
                _prepare(scope["app"])
            except SettingsError as error:
                await receive()
                await send({"type": "lifespan.startup.failed", "message": str(error)})
                return
        await self._app(scope, receive, send)


def _prepare(app: FastAPI) -> None:
    """Set up settings, logs and Sentry. Raises SettingsError."""
    settings: Settings = app.state.settings or config.load()
    settings.require_tokens()
    app.state.settings = settings
    startup.start(SERVICE, settings)


def _respond_read_model_missing(_: Request, error: Exception) -> JSONResponse:
    return JSONResponse(
        {"detail": str(error)}, 503, {"Retry-After": str(RETRY_AFTER_SECONDS)}
    )


def _respond_delivery_failed(request: Request, error: Exception) -> JSONResponse:
    capture_error(error, error_context(request), Severity.MEDIUM)
    return JSONResponse({"detail": str(error)}, 502)


def _respond_report_failed(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ReportFailed)
    capture_error(error, error_context(request), Severity.MEDIUM)
    return JSONResponse({"detail": error.detail}, 500)


def _respond_to_nobody(_: Request, _error: Exception) -> JSONResponse:
    return JSONResponse({"detail": "The client has disconnected"}, 499)


def _respond_unexpected(request: Request, error: Exception) -> JSONResponse:
    capture_error(error, error_context(request), Severity.HIGH)
    return JSONResponse({"detail": "Internal server error"}, 500)


def error_context(request: Request) -> ErrorContext:
    """Method and route template of a request, for an error report."""
    route = getattr(request.scope.get("route"), "path", "unknown")
    return ErrorContext("api", f"{request.method} {route}")


app = create_app()
if logs.configured_by_uvicorn():
    startup.configure_logs_early(SERVICE)
