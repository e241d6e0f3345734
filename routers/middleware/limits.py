"""Limits on requests: their size, their rate, and the rate of failed logins."""

import asyncio
import hashlib
import math
import re
import time
from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Final

from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from config import Settings
from routers.auth import identify
from util.metrics import ApiMetrics

if TYPE_CHECKING:
    from limits import RateLimitItemPerMinute
    from limits.strategies import FixedWindowRateLimiter

MAX_URL_BYTES: Final = 8_192
"""Path and query together."""

MAX_HEADER_BYTES: Final = 8_192
"""All names and values together."""

UNDELAYED_FAILURES: Final = 60
"""Failed logins per minute and address before each further one is delayed."""

FAILURE_DELAY_SECONDS: Final = 1.0
"""Delay of each further 401."""

UNLIMITED_PATHS: Final = re.compile(r"/health|/dashboard(/assets/.*)?")
"""The page and its files hold no data, and a browser loads two dozen of them at once."""


class RequestLimits:
    """Refuse oversized and too frequent requests, and delay repeated failed logins.

    Requests are counted per token, those without a valid one per address. Counts are
    kept in memory, so a restart clears them.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    @cached_property
    def _limiter(self) -> "FixedWindowRateLimiter":
        """The counters. Imported with the first limit or failed login that is counted."""
        from limits.storage import MemoryStorage
        from limits.strategies import FixedWindowRateLimiter

        return FixedWindowRateLimiter(MemoryStorage())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Process one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        settings: Settings = scope["app"].state.settings
        refusal = _refuse_oversized(scope) or self._refuse_frequent(scope, settings)
        send = self._add_limit(scope, settings, send)
        if refusal:
            await refusal(scope, receive, send)
        else:
            await self._app(scope, receive, self._delay_failures(scope, send))

    def _add_limit(self, scope: Scope, settings: Settings, send: Send) -> Send:
        """Wrap *send* to tell callers how many requests they have left, and until when."""
        if not _is_limited(scope, settings):
            return send
        limit = _per_minute(settings.rate_limit_per_minute)
        caller = _caller(scope, settings)

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                window = self._limiter.get_window_stats(limit, "requests", caller)
                headers = MutableHeaders(scope=message)
                headers["X-RateLimit-Limit"] = str(limit.amount)
                headers["X-RateLimit-Remaining"] = str(window.remaining)
                headers["X-RateLimit-Reset"] = str(_seconds_until(window.reset_time))
            await send(message)

        return with_headers

    def _refuse_frequent(self, scope: Scope, settings: Settings) -> JSONResponse | None:
        if not _is_limited(scope, settings):
            return None
        limit = _per_minute(settings.rate_limit_per_minute)
        caller = _caller(scope, settings)
        if self._limiter.hit(limit, "requests", caller):
            return None
        reset = self._limiter.get_window_stats(limit, "requests", caller).reset_time
        wait = _seconds_until(reset)
        _metrics(scope).rate_limited.inc()
        return JSONResponse(
            {"detail": f"Too many requests: at most {limit.amount} a minute"},
            429,
            {"Retry-After": str(wait)},
        )

    def _delay_failures(self, scope: Scope, send: Send) -> Send:
        """Wrap *send* to count 401 responses per address and delay repeated ones."""

        async def delayed(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 401:
                _metrics(scope).failed_logins.inc()
                undelayed = _per_minute(UNDELAYED_FAILURES)
                if not self._limiter.hit(undelayed, "failures", _address(scope)):
                    await asyncio.sleep(FAILURE_DELAY_SECONDS)
            await send(message)

        return delayed


def _per_minute(amount: int) -> "RateLimitItemPerMinute":
    from limits import RateLimitItemPerMinute

    return RateLimitItemPerMinute(amount)


def _is_limited(scope: Scope, settings: Settings) -> bool:
    if UNLIMITED_PATHS.fullmatch(scope["path"]):
        return False
    return bool(settings.rate_limit_per_minute)


def _seconds_until(moment: float) -> int:
    return max(1, math.ceil(moment - time.time()))


def _refuse_oversized(scope: Scope) -> JSONResponse | None:
    if len(scope["raw_path"]) + len(scope["query_string"]) > MAX_URL_BYTES:
        return JSONResponse({"detail": "The address is too long"}, 414)
    headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
    if sum(len(name) + len(value) for name, value in headers) > MAX_HEADER_BYTES:
        return JSONResponse({"detail": "The headers are too long"}, 431)
    return None


def _caller(scope: Scope, settings: Settings) -> str:
    """Key of the caller's counter: a token's hash, or else the address.

    Readers of a link count per address, so that none uses up its owner's requests.
    """
    caller = identify(scope, settings)
    if caller is None or caller.view is not None:
        return f"address {_address(scope)}"
    return f"token {hashlib.sha256(caller.secret.encode()).hexdigest()}"


def _address(scope: Scope) -> str:
    return str(scope["client"][0]) if scope.get("client") else "unknown"


def _metrics(scope: Scope) -> ApiMetrics:
    metrics: ApiMetrics = scope["app"].state.metrics
    return metrics
