"""What every handler may need of the application's state: settings and clock."""

from datetime import UTC, datetime

from fastapi import Request
from starlette.requests import HTTPConnection

from config import Settings
from routers.as_of import parse_instant
from routers.strict_query import AS_OF, invalid_parameter


def utc_now() -> datetime:
    """The only clock; in the application's state as `clock`, so tests replace it there."""
    return datetime.now(UTC)


def settings_of(request: HTTPConnection) -> Settings:
    """The settings of the application."""
    settings: Settings = request.app.state.settings
    return settings


def clock_of(request: HTTPConnection) -> datetime:
    """The time of the application's clock, whatever the request asks for."""
    now: datetime = request.app.state.clock()
    return now


def now_of(request: Request) -> datetime:
    """The time of the application's clock, or that of `as_of`.

    Raises RequestValidationError (422) if `as_of` is no instant of the past.
    """
    now = clock_of(request)
    if AS_OF not in request.query_params:
        return now
    instant = parse_instant(request.query_params[AS_OF])
    if instant > now:
        sent = request.query_params[AS_OF]
        raise invalid_parameter(AS_OF, sent, "use an instant that is not in the future")
    return instant
