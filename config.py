"""Settings: typed, frozen, read from the environment and, in development, from `.env`."""

from collections.abc import Mapping
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple
from urllib.parse import SplitResult, urlsplit
from zoneinfo import ZoneInfo, available_timezones

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from util.errors import SettingsError

VERSION: Final = "0.1.0"
"""As in pyproject.toml."""

STALE_INTERVALS: Final = 3
"""Sync intervals after which a snapshot is stale."""


class EmailService(NamedTuple):
    """The service that receives the daily figures, and the key it expects."""

    base_url: str
    key: str


def _revealed(secret: SecretStr | None) -> str:
    return secret.get_secret_value() if secret else ""


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:  # reported, with the variable's name, where the URL is used
        return urlsplit("")


def parse_zone(name: Any) -> Any:
    """Parse an IANA zone name. Non-string values pass through unchanged.

    Raises ValueError for an unknown name. "localtime" and "Factory" count as unknown:
    zoneinfo reads them, Polars does not.
    """
    if isinstance(name, str):
        if name not in _zone_names():
            hint = ""
            if name.replace(" ", "+", 1) in _zone_names():
                hint = ", and write + as %2B in an address"
            raise ValueError(f"unknown time zone {name!r}, use an IANA name{hint}")
        return ZoneInfo(name)
    return name


@cache
def _zone_names() -> frozenset[str]:
    return frozenset(available_timezones() - {"Factory", "localtime"})


def _level(name: str) -> str:
    levels = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
    if name.upper() not in levels:
        raise ValueError(f"use one of {', '.join(levels)}")
    return name.upper()


class Settings(BaseSettings):
    """All settings. The environment variable is the field's name in capitals.

    Settings that only one program needs are optional: the API starts without a
    database, the updater without a token.
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
    db_ssl_ca: Path | None = None
    source_url: SecretStr | None = None
    sync_tables: str | None = None
    digest_budget_seconds: float = Field(default=30, ge=0)

    views_dir: Path = Path("views")
    views_memory_mb: int = Field(default=512, ge=64)
    views_disk_mb: int = Field(default=4096, ge=0)
    views_seconds: float = Field(default=60, gt=0)
    report_memory_mb: int = Field(default=512, ge=64)
    report_seconds: float = Field(default=10, gt=0)

    sync_interval_seconds: int = Field(default=600, ge=1)
    start_date: date = date(2024, 6, 3)
    timezone: Annotated[ZoneInfo, BeforeValidator(parse_zone)] = ZoneInfo("UTC")

    uptimekuma_push_url: SecretStr | None = None
    sentry_dsn: SecretStr | None = None
    fpp_analytics_sentry_dsn: SecretStr | None = None
    sentry_environment: str = "development"
    bea_base_url: str | None = None
    bea_secret_key: SecretStr | None = None
    log_level: Annotated[str, AfterValidator(_level)] = "INFO"
    log_format: Literal["auto", "json", "text"] = "auto"

    cors_origins: str | None = None
    rate_limit_per_minute: int = Field(default=0, ge=0)
    metrics_host: str = "127.0.0.1"
    metrics_port: int | None = Field(default=None, ge=1, le=65535)

    def require_tokens(self) -> tuple[str, ...]:
        """Return the tokens that callers may send, comma-separated in the variable.

        Raises SettingsError if there is none.
        """
        parts = _revealed(self.analytics_secret_token).split(",")
        tokens = tuple(token.strip() for token in parts if token.strip())
        if not tokens:
            raise SettingsError(
                "ANALYTICS_SECRET_TOKEN is missing: set it to the token that callers send"
            )
        return tokens

    @property
    def allowed_origins(self) -> tuple[str, ...]:
        """Origins whose pages may call the API, separated by commas in the variable."""
        return tuple(
            origin.strip()
            for origin in (self.cors_origins or "").split(",")
            if origin.strip()
        )

    @property
    def secrets(self) -> tuple[str, ...]:
        """Secret values to redact from logs: of URLs only the credentials in them."""
        in_urls = (
            _split(_revealed(self.source_url)).password,
            _split(self.dsn or "").username,
            # UptimeKuma's token is the last segment of the path.
            _split(_revealed(self.uptimekuma_push_url)).path.rpartition("/")[2],
        )
        tokens = _revealed(self.analytics_secret_token).split(",")
        whole = (_revealed(self.db_password), _revealed(self.bea_secret_key))
        found = (secret.strip() for secret in (*tokens, *whole, *in_urls) if secret)
        return tuple(secret for secret in found if secret)

    @property
    def dsn(self) -> str | None:
        """Sentry's DSN, from SENTRY_DSN or else FPP_ANALYTICS_SENTRY_DSN."""
        dsn = self.sentry_dsn or self.fpp_analytics_sentry_dsn
        return dsn.get_secret_value() if dsn else None

    @property
    def email_service(self) -> EmailService | None:
        """The e-mail service; None unless both its URL and its key are set."""
        if self.bea_base_url is None or self.bea_secret_key is None:
            return None
        return EmailService(self.bea_base_url, self.bea_secret_key.get_secret_value())

    @property
    def stale_after(self) -> timedelta:
        """Age above which a snapshot is stale."""
        return timedelta(seconds=self.sync_interval_seconds) * STALE_INTERVALS


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Read settings from *environ* or, by default, from `.env` and the environment.

    Raises SettingsError, one line that names each malformed variable, never its value.
    """
    try:
        if environ is None:
            return Settings(_env_file=".env")
        values = {name.lower(): value for name, value in environ.items() if value}
        return Settings.model_validate(values)
    except ValidationError as error:
        raise SettingsError("; ".join(map(_problem, error.errors()))) from None


def _problem(error: Any) -> str:
    name = str(error["loc"][0]).upper() if error["loc"] else "settings"
    return f"{name} is malformed: {error['msg'].removeprefix('Value error, ')}"
