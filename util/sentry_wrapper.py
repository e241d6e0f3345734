"""Error reports: always to the log, in production also to Sentry."""

import logging
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from types import ModuleType
from typing import TYPE_CHECKING, Final, Literal

from util.errors import FppError, SettingsError
from util.json_types import JsonMapping, JsonObject
from util.logs import get_logger, mark_logged
from util.redaction import redact_value, register_secrets
from util.telemetry import trace_ids

if TYPE_CHECKING:
    from sentry_sdk.types import Event, Hint

PRODUCTION: Final = "production"
FLUSH_TIMEOUT: Final = timedelta(seconds=3)

type _SentryLevel = Literal["fatal", "error", "warning", "info"]


class Severity(StrEnum):
    """Impact of an error on the users of the answers."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"

    @property
    def log_level(self) -> int:
        """Level of Python's logging."""
        return _LEVELS[self][0]

    @property
    def sentry_level(self) -> _SentryLevel:
        """Level of Sentry."""
        return _LEVELS[self][1]


_LEVELS: dict[Severity, tuple[int, _SentryLevel]] = {
    Severity.CRITICAL: (logging.CRITICAL, "fatal"),
    Severity.HIGH: (logging.ERROR, "error"),
    Severity.MEDIUM: (logging.WARNING, "warning"),
    Severity.LOW: (logging.INFO, "info"),
}


@dataclass(frozen=True, slots=True)
class ErrorContext:
    """Where an error happened: component, action in progress, and further facts."""

    component: str
    action: str
    extra: JsonMapping = field(default_factory=dict)


def init(
    dsn: str | None, environment: str, *, service: str, release: str | None = None
) -> bool:
    """Start Sentry if *environment* is production and *dsn* is set.

    Returns True if errors will be sent. Raises SettingsError if *dsn* is malformed.
    """
    if environment.strip().lower() != PRODUCTION or not dsn:
        return False
    register_secrets([dsn])
    # Most deployments send no errors, and the import takes a twentieth of the start.
    import sentry_sdk
    from sentry_sdk.integrations.atexit import AtexitIntegration
    from sentry_sdk.integrations.dedupe import DedupeIntegration
    from sentry_sdk.integrations.modules import ModulesIntegration
    from sentry_sdk.scrubber import EventScrubber
    from sentry_sdk.utils import BadDsn

    try:
        sentry_sdk.init(
            dsn=dsn,
            environment=PRODUCTION,
            release=release,
            # Only capture_error reports. The integrations for logging, FastAPI,
            # Starlette and the except hook would report the same error again; those
            # for HTTP clients would record URLs with tokens as breadcrumbs.
            default_integrations=False,
            auto_enabling_integrations=False,
            integrations=[
                AtexitIntegration(callback=_exit_silently),
                DedupeIntegration(),
                ModulesIntegration(),
            ],
            # send_default_pii stays unset: that means no, and False is deprecated.
            include_local_variables=False,
            spotlight=False,
            max_request_body_size="never",
            auto_session_tracking=False,
            send_client_reports=False,
            enable_logs=False,
            enable_metrics=False,
            shutdown_timeout=FLUSH_TIMEOUT.total_seconds(),
            event_scrubber=EventScrubber(recursive=True),
            before_send=_redact_event,
        )
    except BadDsn as error:
        raise SettingsError(f"SENTRY_DSN is malformed: {error}") from None
    sentry_sdk.get_global_scope().set_tag("service", service)
    return True


def capture_error(
    error: BaseException,
    context: ErrorContext,
    severity: Severity = Severity.HIGH,
) -> None:
    """Log *error* and, if Sentry is started, send it; a repeated call does nothing."""
    if not mark_logged(error):
        return
    get_logger(context.component).log(
        severity.log_level,
        str(error) or type(error).__name__,
        exc_info=error,
        action=context.action,
        # Nested: its keys may collide with the names of other fields.
        context=dict(context.extra),
    )
    sentry_sdk = _imported_sdk()
    if sentry_sdk is None:
        return
    with sentry_sdk.new_scope() as scope:
        scope.set_level(severity.sentry_level)
        scope.set_tag("component", context.component)
        scope.set_tag("action", context.action)
        scope.set_tag("severity", severity.value)
        for name, value in trace_ids().items():
            scope.set_tag(name, value)
        scope.set_tag("expected", "yes" if isinstance(error, FppError) else "no")
        scope.set_context("details", redact_value(context.extra))
        scope.capture_exception(error)


def add_error_breadcrumb(
    message: str, category: str, data: JsonMapping | None = None
) -> None:
    """Record a step that a later error report in the same scope will list."""
    details: JsonObject = redact_value(data or {})
    if sentry_sdk := _imported_sdk():
        sentry_sdk.add_breadcrumb(message=message, category=category, data=details)
    get_logger(category).debug(message, action="breadcrumb", data=details)


@contextmanager
def separate_breadcrumbs() -> Iterator[None]:
    """Isolate the breadcrumbs of one request or run from all others."""
    sentry_sdk = _imported_sdk()
    if sentry_sdk is None:
        yield
        return
    with sentry_sdk.isolation_scope() as scope:
        scope.clear_breadcrumbs()
        yield


def check_in(
    monitor: str,
    status: Literal["in_progress", "ok", "error"],
    *,
    every: timedelta,
    margin: timedelta,
    max_runtime: timedelta,
    check_in_id: str | None = None,
    took: timedelta | None = None,
) -> str | None:
    """Check in at Sentry's cron monitor; return the id for the closing check-in.

    Creates or updates the monitor with this schedule. Sentry counts in whole minutes,
    so each duration is rounded up. Returns None if Sentry is not started.
    """
    sentry_sdk = _imported_sdk()
    if sentry_sdk is None or not sentry_sdk.get_client().is_active():
        return None
    checked_in: str = sentry_sdk.crons.capture_checkin(
        monitor_slug=monitor,
        check_in_id=check_in_id,
        status=status,
        duration=took.total_seconds() if took is not None else None,
        monitor_config={
            "schedule": {
                "type": "interval",
                "value": _minutes(every),
                "unit": "minute",
            },
            "checkin_margin": _minutes(margin),
            "max_runtime": _minutes(max_runtime),
            "timezone": "UTC",
        },
    )
    return checked_in


def flush(timeout: timedelta = FLUSH_TIMEOUT) -> None:
    """Wait until all reports are sent, at most *timeout*."""
    if sentry_sdk := _imported_sdk():
        sentry_sdk.flush(timeout=timeout.total_seconds())


def close() -> None:
    """Flush and stop Sentry; later errors are only logged."""
    if sentry_sdk := _imported_sdk():
        sentry_sdk.get_client().close(timeout=FLUSH_TIMEOUT.total_seconds())
        sentry_sdk.get_global_scope().clear()
        sentry_sdk.get_global_scope().set_client(None)


def _imported_sdk() -> ModuleType | None:
    """Sentry's package; None if `init` has not imported it, so nothing can be sent."""
    return sys.modules.get("sentry_sdk")


def _minutes(duration: timedelta) -> int:
    return max(1, math.ceil(duration / timedelta(minutes=1)))


def _exit_silently(_pending: int, _timeout: float) -> None:
    """Replace Sentry's own callback, which prints how long it waits."""


def _redact_event(event: "Event", _hint: "Hint") -> "Event":
    """Redact secrets in every text of *event*; remove caller and host."""
    event.pop("user", None)
    event.pop("request", None)
    event.pop("server_name", None)
    for part in (
        "message",
        "logentry",
        "exception",
        "breadcrumbs",
        "extra",
        "contexts",
        "tags",
    ):
        if part in event:
            event[part] = redact_value(event[part])
    return event
