"""Errors on their one way out: always to the log, in production to Sentry too."""

import logging
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

import sentry_sdk
from sentry_sdk.integrations.atexit import AtexitIntegration
from sentry_sdk.integrations.dedupe import DedupeIntegration
from sentry_sdk.integrations.modules import ModulesIntegration
from sentry_sdk.scrubber import EventScrubber
from sentry_sdk.utils import BadDsn

from util.errors import FppError, SettingsError
from util.logs import get_log, mark_logged
from util.redaction import clean_value, hide

if TYPE_CHECKING:
    from sentry_sdk.types import Event, Hint

PRODUCTION = "production"
FLUSH_PATIENCE = timedelta(seconds=3)

_LogLevel = Literal["fatal", "error", "warning", "info"]


class Severity(StrEnum):
    """How bad an error is for those who use the answers."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"

    @property
    def log_level(self) -> int:
        """The level in Python's logging."""
        return _LEVELS[self][0]

    @property
    def sentry_level(self) -> _LogLevel:
        """The level in Sentry."""
        return _LEVELS[self][1]


_LEVELS: dict[Severity, tuple[int, _LogLevel]] = {
    Severity.CRITICAL: (logging.CRITICAL, "fatal"),
    Severity.HIGH: (logging.ERROR, "error"),
    Severity.MEDIUM: (logging.WARNING, "warning"),
    Severity.LOW: (logging.INFO, "info"),
}


@dataclass(frozen=True, slots=True)
class ErrorContext:
    """Where an error happened: the component, what it was doing, and facts about it."""

    component: str
    action: str
    extra: Mapping[str, Any] = field(default_factory=dict)


def init(
    dsn: str | None, environment: str, *, service: str, release: str | None = None
) -> bool:
    """Start Sentry; True when errors will be sent: in production, with a *dsn*.

    Raises SettingsError when the *dsn* cannot be one.
    """
    if environment.strip().lower() != PRODUCTION or not dsn:
        return False
    hide([dsn])
    try:
        sentry_sdk.init(
            dsn=dsn,
            environment=PRODUCTION,
            release=release,
            # Only capture_error captures. The integrations for logging, FastAPI,
            # Starlette and the except hook would capture the same error again, and
            # those for HTTP clients would keep addresses with tokens as breadcrumbs.
            default_integrations=False,
            auto_enabling_integrations=False,
            integrations=[
                AtexitIntegration(callback=_leave_silently),
                DedupeIntegration(),
                ModulesIntegration(),
            ],
            # send_default_pii stays unset, which means no and, unlike False, is not
            # deprecated.
            include_local_variables=False,
            spotlight=False,
            max_request_body_size="never",
            auto_session_tracking=False,
            send_client_reports=False,
            enable_logs=False,
            enable_metrics=False,
            shutdown_timeout=FLUSH_PATIENCE.total_seconds(),
            event_scrubber=EventScrubber(recursive=True),
            before_send=_scrub,
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
    """Log *error* and, when Sentry was started, send it; the same error only once."""
    first = mark_logged(error)
    if not first:
        return
    get_log(context.component).log(
        severity.log_level,
        str(error) or type(error).__name__,
        exc_info=error,
        # In one field of its own, since any name may be in it.
        extra={"action": context.action, "context": dict(context.extra)},
    )
    with sentry_sdk.new_scope() as scope:
        scope.set_level(severity.sentry_level)
        scope.set_tag("component", context.component)
        scope.set_tag("action", context.action)
        scope.set_tag("severity", severity.value)
        scope.set_tag("expected", "yes" if isinstance(error, FppError) else "no")
        scope.set_context("details", clean_value(context.extra))
        scope.capture_exception(error)


def add_error_breadcrumb(
    message: str, category: str, data: Mapping[str, Any] | None = None
) -> None:
    """Remember a step, so that an error that follows tells what led to it."""
    details: dict[str, Any] = clean_value(data or {})
    sentry_sdk.add_breadcrumb(message=message, category=category, data=details)
    get_log(category).debug(message, extra={"action": "breadcrumb", "data": details})


@contextmanager
def separate_breadcrumbs() -> Iterator[None]:
    """Keep the breadcrumbs of one request or run apart from all others."""
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
    """Tell Sentry's cron monitor how a run goes; the id to close it with later.

    The monitor is created or updated with this schedule. Sentry counts in whole
    minutes, so each duration is rounded up. None when nothing was sent.
    """
    if not sentry_sdk.get_client().is_active():
        return None
    return sentry_sdk.crons.capture_checkin(
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


def flush(patience: timedelta = FLUSH_PATIENCE) -> None:
    """Wait until what was captured is sent, at most *patience*."""
    sentry_sdk.flush(timeout=patience.total_seconds())


def close() -> None:
    """Flush and stop; captures after it are only logged."""
    sentry_sdk.get_client().close(timeout=FLUSH_PATIENCE.total_seconds())
    sentry_sdk.get_global_scope().clear()
    sentry_sdk.get_global_scope().set_client(None)


def _minutes(duration: timedelta) -> int:
    return max(1, math.ceil(duration / timedelta(minutes=1)))


def _leave_silently(_pending: int, _timeout: float) -> None:
    """Say nothing at exit; Sentry's own callback prints how long it waits."""


def _scrub(event: "Event", _hint: "Hint") -> "Event":
    """Blank secrets in every text of *event*, and who or where the caller was."""
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
            event[part] = clean_value(event[part])
    return event
