"""Start-up of every program: secrets to redact, logs and Sentry, from the settings."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import config
from config import Settings
from util import logs, sentry_wrapper, telemetry
from util.errors import SettingsError
from util.redaction import register_secrets

if TYPE_CHECKING:
    # The updater, which uses this module, too, imports neither.
    from fastapi import FastAPI
    from starlette.types import ASGIApp, Receive, Scope, Send


def load_settings() -> Settings:
    """Read the settings and register their secrets. Raises SettingsError."""
    settings = config.load()
    register_secrets(settings.secrets)
    return settings


def start(service: str, settings: Settings) -> None:
    """Register the secrets and set up logs and Sentry for *service*.

    Traces, too, if there is an endpoint for them. Raises SettingsError if SENTRY_DSN or
    that endpoint is malformed, or its packages are not installed.
    """
    register_secrets(settings.secrets)
    logs.configure(service, settings.log_level, settings.log_format)
    sentry_wrapper.init(
        settings.dsn,
        settings.sentry_environment,
        service=service,
        release=config.VERSION,
    )
    telemetry.configure(settings.otel_exporter_otlp_endpoint, service, config.VERSION)


def configure_logs_early(service: str) -> Settings | None:
    """Configure the logs before uvicorn writes its first lines; return the settings.

    None if they are malformed, for which the application refuses to start later.
    """
    try:
        settings = config.load()
    except SettingsError:
        logs.configure(service)
        return None
    logs.configure(service, settings.log_level, settings.log_format)
    return settings


class LoadSettings:
    """Middleware that prepares the application at start-up, and fails if it cannot.

    The failure is one line; an error in the lifespan would print a traceback.
    """

    def __init__(self, app: "ASGIApp", prepare: "Callable[[FastAPI], None]") -> None:
        """Call *prepare* with the FastAPI application; it raises SettingsError."""
        self._app = app
        self._prepare = prepare

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Process one ASGI connection."""
        if scope["type"] == "lifespan":
            try:
                self._prepare(scope["app"])
            except SettingsError as error:
                await receive()
                await send({"type": "lifespan.startup.failed", "message": str(error)})
                return
        await self._app(scope, receive, send)
