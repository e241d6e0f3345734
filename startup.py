"""Start-up of every program: secrets to redact, logs and Sentry, from the settings."""

import config
from config import Settings
from util import logs, sentry_wrapper
from util.errors import SettingsError
from util.redaction import register_secrets


def load_settings() -> Settings:
    """Read the settings and register their secrets. Raises SettingsError."""
    settings = config.load()
    register_secrets(settings.secrets)
    return settings


def start(service: str, settings: Settings) -> None:
    """Register the secrets and set up logs and Sentry for *service*.

    Raises SettingsError if SENTRY_DSN is malformed.
    """
    register_secrets(settings.secrets)
    logs.configure(service, settings.log_level, settings.log_format)
    sentry_wrapper.init(
        settings.dsn,
        settings.sentry_environment,
        service=service,
        release=config.VERSION,
    )


def configure_logs_early(service: str) -> None:
    """Configure the logs before uvicorn writes its first lines.

    Malformed settings are not reported here: the application refuses to start for them.
    """
    try:
        settings = config.load()
    except SettingsError:
        logs.configure(service)
    else:
        logs.configure(service, settings.log_level, settings.log_format)
