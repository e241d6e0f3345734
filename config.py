"""Settings: typed, frozen, read from the environment and, in development, from `.env`."""

import io
import os
import re
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    WrapValidator,
)

from util.access import AccessSettings
from util.access_tokens import parse_token
from util.errors import SettingsError
from util.rights import ROLE_RIGHTS, TOKEN_RIGHTS
from util.setting_values import (
    NO_TABLES,
    TableKey,
    at_least_an_hour,
    calendar_day,
    listed,
    parse_addresses,
    parse_duration,
    parse_metric_names,
    parse_tables,
    split_url,
    valid_addresses,
    valid_engine_url,
    valid_installation,
    valid_level,
    valid_metric_names,
    valid_path_prefix,
    valid_replica_url,
    valid_table_choice,
    valid_tables,
)
from util.time_zones import parse_zone

ENV_FILE: Final = ".env"
"""In the working directory."""

VERSION: Final = "0.1.0"
"""As in pyproject.toml."""

STALE_INTERVALS: Final = 3
"""Sync intervals after which a snapshot is stale."""


type KafkaProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]


class EmailService(NamedTuple):
    """The service that receives the daily figures, and the key it expects."""

    base_url: str
    key: str


def _revealed(secret: SecretStr | None) -> str:
    return secret.get_secret_value() if secret else ""


class Settings(BaseModel):
    """All settings. The environment variable is the field's name in capitals.

    Settings that only one program needs are optional: the API starts without a
    database, the updater without a token.
    """

    model_config = ConfigDict(
        frozen=True, extra="ignore", arbitrary_types_allowed=True, validate_default=True
    )

    analytics_secret_token: SecretStr | None = None
    analytics_viewer_tokens: SecretStr | None = None
    data_dir: Path = Path("data")

    db_host: str | None = None
    db_port: int = Field(default=3306, ge=1, le=65535)
    db_username: str | None = None
    db_password: SecretStr | None = None
    db_name: str = "free-planning-poker"
    db_ssl_ca: Path | None = None
    source_url: SecretStr | None = None
    tables: Annotated[str | None, AfterValidator(valid_table_choice)] = None
    sync_tables: Annotated[str | None, AfterValidator(valid_tables)] = None
    digest_budget_seconds: float = Field(default=30, ge=0)

    snapshot_retention: Annotated[timedelta, BeforeValidator(parse_duration)] = (
        timedelta(minutes=10)
    )

    delta_logs: bool = False

    replica_url: Annotated[str | None, AfterValidator(valid_replica_url)] = None
    replica_retention: Annotated[
        timedelta, BeforeValidator(parse_duration), AfterValidator(at_least_an_hour)
    ] = timedelta(days=7)

    engine_url: Annotated[str | None, AfterValidator(valid_engine_url)] = None
    engine_tls_ca: Path | None = None
    engine_tls_cert: Path | None = None
    engine_tls_key: Path | None = None
    engine_seconds: float = Field(default=10, gt=0)
    engine_min_rows: int = Field(default=0, ge=0)

    views_dir: Path = Path("views")
    views_memory_mb: int = Field(default=512, ge=64)
    views_disk_mb: int = Field(default=4096, ge=0)
    views_seconds: float = Field(default=60, gt=0)
    report_memory_mb: int = Field(default=512, ge=64)
    report_seconds: float = Field(default=10, gt=0)
    sql_tokens: SecretStr | None = None
    sql_memory_mb: int = Field(default=512, ge=256)
    sql_seconds: float = Field(default=5, gt=0, le=60)
    sql_answer: Literal["document", "rows"] = "document"

    sync_interval_seconds: int = Field(default=600, ge=1)
    start_date: Annotated[date, WrapValidator(calendar_day)] = date(2024, 6, 3)
    timezone: Annotated[ZoneInfo, BeforeValidator(parse_zone)] = ZoneInfo("UTC")

    uptimekuma_push_url: SecretStr | None = None
    sentry_dsn: SecretStr | None = None
    fpp_analytics_sentry_dsn: SecretStr | None = None
    sentry_environment: str = "development"
    bea_base_url: str | None = None
    bea_secret_key: SecretStr | None = None
    report_sender: Literal["api", "api-post", "updater"] = "api"
    installation: Annotated[str, AfterValidator(valid_installation)] = "fpp-analytics"
    log_level: Annotated[str, AfterValidator(valid_level)] = "INFO"
    log_format: Literal["auto", "json", "text"] = "auto"
    otel_exporter_otlp_endpoint: str | None = None

    answer_memory_mb: int = Field(default=0, ge=0)
    max_connections: int = Field(default=4096, ge=16)

    path_prefix: Annotated[str, AfterValidator(valid_path_prefix)] = ""
    cors_origins: str | None = None
    rate_limit_per_minute: int = Field(default=0, ge=0)
    metrics_host: str = "127.0.0.1"
    metrics_port: int | None = Field(default=None, ge=1, le=65535)
    metric_names: Annotated[str | None, AfterValidator(valid_metric_names)] = None
    service_name: str = Field(default="collector", min_length=1, max_length=100)

    spool_dir: Path | None = None
    collector_urls: Annotated[str | None, AfterValidator(valid_addresses)] = None
    spool_token: SecretStr | None = None
    events_interval_seconds: float = Field(default=5, gt=0)
    kafka_bootstrap_servers: str | None = None
    kafka_topic: str = Field(default="octane.events", min_length=1)
    kafka_group_id: str = Field(default="analytics-worker", min_length=1)
    kafka_security_protocol: KafkaProtocol | None = None
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    kafka_sasl_user: str | None = None
    kafka_sasl_pass: SecretStr | None = None
    kafka_ssl_ca: Path | None = None
    kafka_ssl_cert: Path | None = None
    kafka_ssl_key: Path | None = None
    batch_size: int = Field(default=1000, ge=1)
    flush_interval: float = Field(default=5, gt=0)
    jwt_secret_key: SecretStr | None = None
    jwt_jwks_file: Path | None = None
    jwt_audience: str | None = None
    jwt_issuer: str | None = None
    jwt_service_roles: str = "service"
    jwt_read_roles: str | None = None
    jwt_query_roles: str | None = None
    ingest_tokens: SecretStr | None = None
    event_retention_days: int = Field(default=90, ge=0, le=36_500)
    event_types: str | None = None
    event_schemas_dir: Path | None = None
    event_max_ahead_seconds: float = Field(default=600, ge=0)
    event_max_age_days: float = Field(default=30, gt=0)
    max_batch_size: int = Field(default=1000, ge=1)
    user_id_key: SecretStr | None = None
    user_id_epoch: Literal["never", "month", "day"] = "never"
    spool_max_mb: int = Field(default=1024, ge=1)
    spool_max_age_seconds: int = Field(default=86_400, ge=1)

    def require_tokens(self) -> tuple[str, ...]:
        """Return the tokens that callers may send, comma-separated in the variable.

        Raises SettingsError if there is none.
        """
        tokens = listed(_revealed(self.analytics_secret_token))
        if not tokens:
            raise SettingsError(
                "ANALYTICS_SECRET_TOKEN is missing: set it to the token that callers send"
            )
        return tokens

    @property
    def access(self) -> AccessSettings:
        """Who may do what: all tokens, the roles of JWTs and their keys."""
        return AccessSettings(
            tuple((name, self._tokens_of(name)) for name in TOKEN_RIGHTS),
            tuple((name, listed(getattr(self, name))) for name in ROLE_RIGHTS),
            _revealed(self.jwt_secret_key) or None,
            self.jwt_jwks_file,
            self.jwt_audience,
            self.jwt_issuer,
        )

    def _tokens_of(self, setting: str) -> tuple[str, ...]:
        return listed(_revealed(getattr(self, setting)))

    @property
    def tokens(self) -> tuple[str, ...]:
        """All tokens of callers, of the API and of the collector."""
        return tuple(entry for name in TOKEN_RIGHTS for entry in self._tokens_of(name))

    @property
    def collector_addresses(self) -> tuple[str, ...]:
        """The collectors of COLLECTOR_URLS, whose spools are pulled over HTTP."""
        return parse_addresses(self.collector_urls or "")

    def require_spool_token(self) -> str:
        """Return what the updater sends to collectors. Raises SettingsError."""
        tokens = self._tokens_of("spool_token")
        if not tokens:
            raise SettingsError(
                "SPOOL_TOKEN is missing: with COLLECTOR_URLS set it to that of the "
                "collectors"
            )
        return parse_token(tokens[0]).secret

    @property
    def takes_events(self) -> bool:
        """True if the updater is to take events from anywhere."""
        has_spool = bool(self.spool_dir or self.collector_addresses)
        return has_spool or bool(self.kafka_bootstrap_servers)

    @property
    def allowed_origins(self) -> tuple[str, ...]:
        """Origins whose pages may call the API and the collector."""
        return listed(self.cors_origins)

    @property
    def table_keys(self) -> tuple[TableKey, ...] | None:
        """The tables of TABLES; None without it, for the tables of the statistics."""
        if self.tables is None:
            return None
        return () if self.tables == NO_TABLES else parse_tables(self.tables)

    @property
    def further_metric_names(self) -> Mapping[str, str]:
        """Further names of metrics, by METRIC_NAMES."""
        return parse_metric_names(self.metric_names or "")

    @property
    def further_table_keys(self) -> tuple[TableKey, ...]:
        """The tables of SYNC_TABLES."""
        return parse_tables(self.sync_tables) if self.sync_tables else ()

    @property
    def secrets(self) -> tuple[str, ...]:
        """Secret values to redact from logs: of URLs only the credentials in them."""
        urls = (
            _revealed(self.source_url),
            self.dsn or "",
            _revealed(self.uptimekuma_push_url),
            self.bea_base_url or "",
        )
        in_urls = (
            *(split_url(url).password for url in urls),
            split_url(self.dsn or "").username,
            # UptimeKuma's token is the last segment of the path.
            split_url(_revealed(self.uptimekuma_push_url))
            .path.rstrip("/")
            .rpartition("/")[2],
        )
        whole = (
            _revealed(self.db_password),
            _revealed(self.bea_secret_key),
            _revealed(self.jwt_secret_key),
            _revealed(self.user_id_key),
            _revealed(self.kafka_sasl_pass),
        )
        named = (parse_token(entry).secret for entry in self.tokens)
        every = (*self.tokens, *named, *whole, *in_urls)
        found = (secret.strip() for secret in every if secret)
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

    def require_email_service(self) -> EmailService:
        """Return the e-mail service. Raises SettingsError without one."""
        if self.email_service is None:
            raise SettingsError(
                "BEA_BASE_URL or BEA_SECRET_KEY is missing: with REPORT_SENDER=updater "
                "the updater posts the daily report there"
            )
        return self.email_service

    def idempotency_key(self, what: str) -> str:
        """The key of a request to the e-mail service about *what*."""
        return f"{self.installation}/{what}"

    @property
    def stale_after(self) -> timedelta:
        """Age above which a snapshot is stale."""
        return timedelta(seconds=self.sync_interval_seconds) * STALE_INTERVALS


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Read settings from *environ* or, by default, from `.env` and the environment.

    Empty variables count as missing. Raises SettingsError, one line that names each
    malformed variable, never its value.
    """
    if environ is None:
        environ = _filled(_read_env_file(Path(ENV_FILE))) | _filled(os.environ)
    try:
        return from_values(_filled(environ))
    except ValidationError as error:
        raise SettingsError("; ".join(map(_problem, error.errors()))) from None


def from_values(values: Mapping[str, Any]) -> Settings:
    """Settings of *values* alone, by field; the environment is not read.

    Raises ValidationError.
    """
    return Settings.model_validate(values)


def _filled(variables: Mapping[str, str | None]) -> dict[str, str]:
    """The variables that are not empty, by their names in small letters."""
    return {name.lower(): value for name, value in variables.items() if value}


def _read_env_file(file: Path) -> Mapping[str, str | None]:
    """The variables in *file*; none without one. Raises SettingsError."""
    try:
        text = file.read_text(encoding="utf-8")
    except (FileNotFoundError, IsADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise SettingsError(f"{file} cannot be read: {reason}") from None
    from dotenv import dotenv_values  # only in development

    _require_readable(text, file)
    return dotenv_values(stream=io.StringIO(text))


def _require_readable(text: str, file: Path) -> None:
    """Raise SettingsError unless every line of *text* can be read.

    dotenv would leave such a line out, and its variable would have its default.
    """
    from dotenv.parser import parse_stream

    lines = parse_stream(io.StringIO(text))
    bad = next((line.original for line in lines if line.error), None)
    if bad is not None:
        name = re.match(r"\s*(?:export\s+)?(\w+)\s*=", bad.string)
        where = f"line {bad.line}" + (f", {name[1]}," if name else "")
        raise SettingsError(
            f"{where} of {file} cannot be read: write NAME=value, and single quotes "
            "around a value with quotes, # or line breaks"
        )


def _problem(error: Any) -> str:
    name = str(error["loc"][0]).upper() if error["loc"] else "settings"
    return f"{name} is malformed: {error['msg'].removeprefix('Value error, ')}"
