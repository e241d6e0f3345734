"""The collector: `uvicorn collect_events:app --port 5200`. It only writes SPOOL_DIR."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic.json_schema import models_json_schema

import config
import startup
from collector.app_state import Intake
from collector.bodies import MalformedBody
from collector.callers import Callers, NotAllowed, NotAuthenticated
from collector.direct_posts import DirectPosts, Refusal, SuccessfulPosts
from collector.metrics import EventMetrics
from collector.offered_spool import OfferedSpool
from collector.rates import RateLimited, RateLimiter
from collector.receiving import ForeignUser
from collector.routes import health, ingest, spool
from collector.spool import SpoolUnavailable, SpoolWriter
from config import Settings
from events.privacy import Pseudonyms
from events.verdicts import Judge
from startup import LoadSettings
from util import logs, sentry_wrapper, telemetry
from util.access_log import AccessLog
from util.application import create_application
from util.connections import limit_connections
from util.cross_origin import CrossOrigin
from util.errors import SettingsError
from util.garbage import collect_rarely
from util.json_types import JsonObject
from util.path_prefix import PathPrefix
from util.problems import error_response, handle_errors
from util.sentry_wrapper import ErrorContext, Severity, capture_error
from util.workers import require_one_worker

SERVICE: Final = "fpp-analytics-collector"

COMPONENT: Final = "collector"
"""Of the log lines of requests."""

RETRY_AFTER_SECONDS: Final = 5
"""Retry-After while the spool takes no events."""

DESCRIPTION: Final = """\
Takes events and stores each accepted one exactly once.

When a request is answered with 2xx, its events are on the disk. Repeat a request that was
not answered, under the same ids: what is stored already is not stored again.
"""


REQUEST_MODELS: Final = (*ingest.REQUEST_MODELS, *spool.REQUEST_MODELS)

TAGS: Final = {
    "events": "Take events.",
    "spool": "Take the spool away, for an updater on another host.",
    "health": "State of the collector, for monitors.",
}


def create_app(settings: Settings | None = None) -> FastAPI:
    """Create the application. Without *settings* it loads them when the server starts."""
    app = create_application(
        "FPP Analytics: events", config.VERSION, DESCRIPTION, _lifespan
    )
    app.state.settings = settings
    app.state.metrics = EventMetrics()
    app.router.routes.extend(ingest.router.routes)
    app.router.routes.extend(spool.reading.routes)
    app.router.routes.extend(spool.writing.routes)
    app.include_router(health.router)
    handle_errors(app)
    for error, respond in REFUSALS.items():
        app.add_exception_handler(error, respond)
    # The middleware added last is the outermost.
    app.add_middleware(
        DirectPosts,
        routes=ingest.router.routes,
        endpoints=ingest.ENDPOINTS,
        refusals=REFUSALS,
    )
    app.add_middleware(
        CrossOrigin,
        methods=["POST"],
        request_headers=["Authorization", "Content-Type", "Idempotency-Key"],
        response_headers=["Retry-After"],
    )
    app.add_middleware(
        AccessLog,
        on_error=_respond_unexpected,
        component=COMPONENT,
        quiet=(*health.QUIET, *ingest.QUIET, *spool.QUIET),
    )
    app.add_middleware(PathPrefix)
    app.add_middleware(LoadSettings, prepare=_prepare)
    _document(app)
    app.middleware_stack = SuccessfulPosts(
        app.build_middleware_stack(),
        routes=ingest.router.routes,
        endpoints=ingest.ENDPOINTS,
        component=COMPONENT,
        quiet=ingest.QUIET,
    )
    return app


def _prepare(app: FastAPI) -> None:
    """Set up settings, logs, Sentry and the intake. Raises SettingsError."""
    settings: Settings = app.state.settings or config.load()
    if settings.spool_dir is None:
        raise SettingsError(
            "SPOOL_DIR is missing: set it to the folder that the updater reads, too"
        )
    require_one_worker()
    startup.start(SERVICE, settings)
    limit_connections(settings.max_connections)
    app.state.settings = settings
    app.state.metrics.registry.further_names = settings.further_metric_names
    app.state.intake = Intake(
        callers=Callers.of(settings),
        judge=Judge.of(settings),
        pseudonyms=Pseudonyms.of(settings),
        rates=RateLimiter(settings.rate_limit_per_minute),
        spool=SpoolWriter(
            settings.spool_dir,
            max_bytes=settings.spool_max_mb * 2**20,
            max_age=timedelta(seconds=settings.spool_max_age_seconds),
            metrics=app.state.metrics,
        ),
        offered=OfferedSpool(settings.spool_dir),
        metrics=app.state.metrics,
        max_batch_size=settings.max_batch_size,
    )
    app.state.intake.spool.prepare()


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    intake: Intake = app.state.intake
    await intake.spool.start()
    collect_rarely()
    yield
    await intake.spool.close()
    telemetry.shutdown()
    sentry_wrapper.flush()


def _respond_not_authenticated(request: Request, error: Exception) -> JSONResponse:
    request.app.state.metrics.failed_logins.inc()
    return _refusal(request, error, 401, {"WWW-Authenticate": "Bearer"})


def _respond_forbidden(request: Request, error: Exception) -> JSONResponse:
    return _refusal(request, error, 403)


def _respond_rate_limited(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RateLimited)
    request.app.state.metrics.rate_limited.inc()
    return _refusal(request, error, 429, {"Retry-After": str(error.retry_after)})


def _respond_malformed(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, MalformedBody)
    return _refusal(request, error, error.status)


def _respond_unavailable(request: Request, error: Exception) -> JSONResponse:
    return _refusal(request, error, 503, {"Retry-After": str(RETRY_AFTER_SECONDS)})


def _refusal(
    request: Request,
    error: Exception,
    status: int,
    headers: dict[str, str] | None = None,
) -> JSONResponse:
    return error_response(request.scope, status, str(error), headers)


REFUSALS: Final[Mapping[type[Exception], Refusal]] = {
    NotAuthenticated: _respond_not_authenticated,
    NotAllowed: _respond_forbidden,
    ForeignUser: _respond_forbidden,
    RateLimited: _respond_rate_limited,
    MalformedBody: _respond_malformed,
    SpoolUnavailable: _respond_unavailable,
}
"""Responses to errors of clients, and of the disk."""


def _respond_unexpected(request: Request, error: Exception) -> JSONResponse:
    route = getattr(request.scope.get("route"), "path", "unknown")
    context = ErrorContext(COMPONENT, f"{request.method} {route}")
    capture_error(error, context, Severity.HIGH)
    return error_response(request.scope, 500, "Internal server error")


def _document(app: FastAPI) -> None:
    """Add what FastAPI cannot derive: the forms of bodies, and the token."""
    generate = app.openapi

    def document() -> JsonObject:
        if app.openapi_schema is None:
            found = generate()
            found["info"]["license"] = {"name": "MIT", "identifier": "MIT"}
            found["servers"] = [{"url": "/"}]
            found["tags"] = [{"name": n, "description": t} for n, t in TAGS.items()]
            for methods in found["paths"].values():
                for operation in methods.values():
                    operation.setdefault("security", [])  # none is needed
            components = found.setdefault("components", {})
            _, schemas = models_json_schema(
                [(model, "validation") for model in REQUEST_MODELS],
                ref_template="#/components/schemas/{model}",
            )
            components.setdefault("schemas", {}).update(schemas["$defs"])
            components["securitySchemes"] = {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "One of INGEST_TOKENS, or a JWT. SPOOL_TOKEN to "
                    "take the spool.",
                }
            }
        return generate()

    app.openapi = document  # type: ignore[method-assign]


app = create_app()
if logs.configured_by_uvicorn():
    startup.configure_logs_early(SERVICE)
