"""The API: `uvicorn main:app --port 5100`. It reads snapshots, and nothing else."""

import util.allocator  # noqa: F401 - before anything that imports Polars

# isort: split
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from anyio import CapacityLimiter
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from fastapi_offline import FastAPIOffline
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette_compress import CompressMiddleware

import config
from config import Settings
from readmodel.store import metrics as read_model_metrics
from routers.middleware.access_log import Observe
from routers.middleware.limits import Guard
from routers.routes import (
    analytics,
    dashboard,
    downloads,
    health,
    metrics,
    room,
    sync_runs,
)
from util import logs, sentry_wrapper
from util.errors import DeliveryError, ReadModelMissing, SettingsError
from util.metrics import ApiMetrics, Sources
from util.redaction import hide
from util.sentry_wrapper import ErrorContext, Severity, capture_error
from util.stopping import force_exit_after

SERVICE = "fpp-analytics-api"
ZSTD_LEVEL = 3
"""The whole answer, 279 kB of JSON, becomes 41 kB in 1.2 ms; level 6 needs 4.3 ms."""

PATIENCE = timedelta(seconds=7)
"""Between SIGTERM and the end, for answers that are being made; then Sentry's flush."""

RETRY_AFTER_SECONDS = 30
"""When a caller may ask again while there is no read model: a first sync is short."""

DESCRIPTION = """\
Free Planning Poker's statistics, computed on demand from an exact copy of its database.

Days are cut in the time zone TIMEZONE; timestamps are UTC. Statistics want the token:
**Authorize** with it, or send `Authorization: Bearer <token>`.
"""


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application; without *settings* it reads them when the server starts."""
    app: FastAPI = FastAPIOffline(
        title="FPP Analytics",
        version=config.VERSION,
        description=DESCRIPTION,
        docs_url="/docs",
        redoc_url=None,
        static_url="/docs/assets",
        lifespan=_lifespan,
    )
    app.state.settings = settings
    app.state.metrics = ApiMetrics(_figures(app))
    for module in (
        analytics,
        room,
        downloads,
        health,
        sync_runs,
        metrics,
        dashboard,
    ):
        app.include_router(module.router)
    app.add_exception_handler(ReadModelMissing, _no_read_model)
    app.add_exception_handler(DeliveryError, _not_delivered)
    # The last one is the outermost.
    app.add_middleware(CompressMiddleware, zstd_level=ZSTD_LEVEL)
    app.add_middleware(Guard)
    app.add_middleware(Observe, on_error=_unexpected)
    app.add_middleware(_Start)
    return app


def _figures(app: FastAPI) -> Sources:
    """Where the metrics look; the settings are known once the server has started."""
    return Sources(
        snapshot=lambda: read_model_metrics.current_manifest(
            app.state.settings.data_dir
        ),
        sync=lambda: read_model_metrics.run_summary(app.state.settings.data_dir),
    )


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.whole_answers = CapacityLimiter(1)
    # It only reads, so an answer that takes too long may be cut off.
    force_exit_after(PATIENCE, last=sentry_wrapper.flush)
    yield
    sentry_wrapper.flush()


class _Start:
    """Reads the settings when the server starts, and refuses to where they are wrong.

    It says so in one line, where an error in the lifespan would show a traceback.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            try:
                _prepare(scope["app"])
            except SettingsError as error:
                await receive()
                await send({"type": "lifespan.startup.failed", "message": str(error)})
                return
        await self._app(scope, receive, send)


def _prepare(app: FastAPI) -> None:
    """Settings, logs and Sentry. Raises SettingsError."""
    settings: Settings = app.state.settings or config.load()
    settings.require_tokens()
    app.state.settings = settings
    hide(settings.secrets)
    logs.configure(SERVICE, settings.log_level, settings.log_format)
    sentry_wrapper.init(
        settings.dsn,
        settings.sentry_environment,
        service=SERVICE,
        release=config.VERSION,
    )


def _early_logs() -> None:
    try:
        settings = config.load()
    except SettingsError:  # said when the application starts, which then fails
        logs.configure(SERVICE)
    else:
        logs.configure(SERVICE, settings.log_level, settings.log_format)


def _no_read_model(_: Request, error: Exception) -> JSONResponse:
    return JSONResponse(
        {"detail": str(error)}, 503, {"Retry-After": str(RETRY_AFTER_SECONDS)}
    )


def _not_delivered(request: Request, error: Exception) -> JSONResponse:
    capture_error(error, _where(request), Severity.MEDIUM)
    return JSONResponse({"detail": str(error)}, 502)


def _unexpected(request: Request, error: Exception) -> JSONResponse:
    capture_error(error, _where(request), Severity.HIGH)
    return JSONResponse({"detail": "Internal server error"}, 500)


def _where(request: Request) -> ErrorContext:
    route = getattr(request.scope.get("route"), "path", "unknown")
    return ErrorContext("api", f"{request.method} {route}")


app = create_app()
if logs.is_served():
    # Uvicorn says its first lines before the application starts, and they too are to
    # come in our form.
    _early_logs()
