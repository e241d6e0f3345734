"""Settings: typed, frozen, read once from the environment (and `.env` in development)."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any, NamedTuple
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from util.errors import SettingsError

VERSION = "0.1.0"
"""Of this program, as in pyproject.toml."""


class EmailService(NamedTuple):
    """Where the daily figures are delivered, and the key that is sent along."""

    base_url: str
    key: str


def _zone(name: Any) -> Any:
    if isinstance(name, str):
        try:
            return ZoneInfo(name)
        except (KeyError, ValueError, OSError):
            raise ValueError(f"unknown time zone {name!r}, use an IANA name") from None
    return name


def _level(name: str) -> str:
    levels = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
    if name.upper() not in levels:
        raise ValueError(f"use one of {', '.join(levels)}")
    return name.upper()


class Settings(BaseSettings):
    """Every setting; its variable has the field's name in capitals.

    What only one of the two programs needs may be absent for the other: the API
    starts without a database, the updater without a token.
    """

    model_config = SettingsConfigDict(
        frozen=True, env_ignore_empty=True, extra="ignore", arbitrary_types_allowed=True
    )

    analytics_secret_token: SecretStr | None = None
    data_dir: Path = Path("data")

    db_host: str | None = None
    db_port: int = Field(default=3306, ge=1, le=65535)
    db_username: str | None = None
    db_password: SecretStr | None = None
    db_name: str = "free-planning-poker"
    source_url: SecretStr | None = None

    sync_interval_seconds: int = Field(default=600, ge=1)
    start_date: date = date(2024, 6, 3)
    timezone: Annotated[ZoneInfo, BeforeValidator(_zone)] = ZoneInfo("UTC")

    uptimekuma_push_url: SecretStr | None = None
    sentry_dsn: SecretStr | None = None
    fpp_analytics_sentry_dsn: SecretStr | None = None
    sentry_environment: str = "development"
    bea_base_url: str | None = None
    bea_secret_key: SecretStr | None = None
    log_level: Annotated[str, AfterValidator(_level)] = "INFO"

    def require_token(self) -> str:
        """The token that callers send. Raises SettingsError without one."""
        secret = self.analytics_secret_token
        if secret is None or not secret.get_secret_value().strip():
            raise SettingsError(
                "ANALYTICS_SECRET_TOKEN is missing: set it to the token that callers send"
            )
        return secret.get_secret_value()

    @property
    def dsn(self) -> str | None:
        """Sentry's address, under either of its names."""
        dsn = self.sentry_dsn or self.fpp_analytics_sentry_dsn
        return dsn.get_secret_value() if dsn else None

    @property
    def email_service(self) -> EmailService | None:
        """The e-mail service, when both its address and its key are set."""
        if self.bea_base_url is None or self.bea_secret_key is None:
            return None
        return EmailService(self.bea_base_url, self.bea_secret_key.get_secret_value())


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Read settings from *environ*, or from `.env` and the process's environment.

    Raises SettingsError, one line naming each variable, never its value.
    """
    try:
        if environ is None:
            return Settings(_env_file=".env")
        given = {name.lower(): value for name, value in environ.items() if value}
        return Settings.model_validate(given)
    except ValidationError as error:
        raise SettingsError("; ".join(map(_problem, error.errors()))) from None


def _problem(error: Any) -> str:
    name = str(error["loc"][0]).upper() if error["loc"] else "settings"
    return f"{name} is malformed: {error['msg'].removeprefix('Value error, ')}"
