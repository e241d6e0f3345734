"""What is refused before anyone works on it: too much, too often, too many guesses."""

import asyncio
import hashlib
import math
import time
from collections.abc import Iterable
from typing import Final

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from config import Settings
from routers.auth import bearer
from util.metrics import ApiMetrics

LONGEST_PATH: Final = 8_192  # bytes, with the query
LONGEST_HEADERS: Final = 8_192  # bytes, all names and values together
FREE_GUESSES: Final = 60  # wrong tokens a minute from one address, before each is slow
SLOWNESS: Final = 1.0  # seconds that every further one waits for its 401
UNLIMITED: Final = frozenset({"/health"})


class Guard:
    """Refuses oversized requests, limits how often a caller asks, and slows guesses.

    Callers are told apart by their token, those without a right one by address. What
    was counted is kept in memory and forgotten with the process.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._limiter = FixedWindowRateLimiter(MemoryStorage())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        settings: Settings = scope["app"].state.settings
        refusal = _oversized(scope) or self._too_often(scope, settings)
        if refusal:
            await refusal(scope, receive, send)
        else:
            await self._app(scope, receive, self._slowing(scope, send))

    def _too_often(self, scope: Scope, settings: Settings) -> JSONResponse | None:
        if not settings.rate_limit_per_minute or scope["path"] in UNLIMITED:
            return None
        limit = RateLimitItemPerMinute(settings.rate_limit_per_minute)
        caller = _caller(scope, settings.require_tokens())
        if self._limiter.hit(limit, "requests", caller):
            return None
        free_at = self._limiter.get_window_stats(limit, "requests", caller).reset_time
        wait = max(1, math.ceil(free_at - time.time()))
        _metrics(scope).rate_limited.inc()
        return JSONResponse(
            {"detail": f"Too many requests: at most {limit.amount} a minute"},
            429,
            {"Retry-After": str(wait)},
        )

    def _slowing(self, scope: Scope, send: Send) -> Send:
        """*send* that counts 401 answers, and delays them to who collects them."""

        async def slow(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 401:
                _metrics(scope).failed_logins.inc()
                guesses = RateLimitItemPerMinute(FREE_GUESSES)
                if not self._limiter.hit(guesses, "guesses", _address(scope)):
                    await asyncio.sleep(SLOWNESS)
            await send(message)

        return slow


def _oversized(scope: Scope) -> JSONResponse | None:
    if len(scope["raw_path"]) + len(scope["query_string"]) > LONGEST_PATH:
        return JSONResponse({"detail": "The address is too long"}, 414)
    headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
    if sum(len(name) + len(value) for name, value in headers) > LONGEST_HEADERS:
        return JSONResponse({"detail": "The headers are too long"}, 431)
    return None


def _caller(scope: Scope, tokens: tuple[str, ...]) -> str:
    held = bearer(scope["headers"], tokens)
    if held is None:
        return f"address {_address(scope)}"
    return f"token {hashlib.sha256(tokens[held].encode()).hexdigest()}"


def _address(scope: Scope) -> str:
    return str(scope["client"][0]) if scope.get("client") else "unknown"


def _metrics(scope: Scope) -> ApiMetrics:
    metrics: ApiMetrics = scope["app"].state.metrics
    return metrics
