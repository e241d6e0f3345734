"""Limits on requests: their size, their rate, and the rate of wrong tokens."""

import hashlib
import math
from collections.abc import Iterable
from typing import Final, NamedTuple

from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from config import Settings
from routers.auth import TOKEN_HEADERS, identify
from routers.middleware.guesses import GuessBrake
from util.metrics import ApiMetrics
from util.problems import error_response
from util.rates import MinuteCounts
from util.route_path import route_path

MAX_URL_BYTES: Final = 8_192
"""Path and query together."""

MAX_PARAMETERS: Final = 100
"""Of a query, counted before it is parsed: to list a thousand wrong ones takes long."""

MAX_HEADER_BYTES: Final = 8_192
"""All names and values together."""

PUBLIC_PATHS: Final = (
    "/health",
    "/v1/health",
    "/docs",
    "/openapi.json",
    "/dashboard",
)
"""Routes without a token, and what is below them."""

UNLIMITED_PATHS: Final = ("/dashboard",)
"""The page and its files: a view loads dozens of them, and each costs less than a 429."""

PUBLIC_FACTOR: Final = 10
LEAST_PUBLIC: Final = 600
"""A busy client must not make the container restart."""


class _Allowance(NamedTuple):
    """The counter of a request, and its limit per minute."""

    key: str
    most: int


class RequestLimits:
    """Refuse oversized and too frequent requests, and too many wrong tokens.

    Requests are counted per token, those without a valid one per address; public routes
    are counted per address and apart, with a larger limit. The page's files are not
    counted. Counts are kept in memory, so a restart clears them.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._counts = MinuteCounts()
        self._brake = GuessBrake()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Process one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if refusal := _refuse_oversized(scope):
            await refusal(scope, receive, send)
            return
        is_public = _is_below(scope, PUBLIC_PATHS)
        if not is_public and (refusal := self._refuse_guess(scope)):
            await refusal(scope, receive, send)
            return
        settings: Settings = scope["app"].state.settings
        if settings.rate_limit_per_minute and not _is_below(scope, UNLIMITED_PATHS):
            allowance = _allowance(scope, settings, is_public=is_public)
            refusal = self._refuse_frequent(scope, allowance)
            if not is_public:
                send = self._add_limit(allowance, send)
            if refusal:
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, _count_failed_logins(scope, send))

    def _refuse_guess(self, scope: Scope) -> JSONResponse | None:
        """429 without a look at the token, once there were too many wrong ones."""
        sent = _authorization(scope)
        if not sent:
            return None
        address = _address(scope)
        if wait := self._brake.wait_seconds(address, sent):
            _metrics(scope).rate_limited.inc()
            return _too_many(scope, "Too many wrong tokens", wait)
        settings: Settings = scope["app"].state.settings
        if identify(scope, settings) is None:
            self._brake.wrong(address)
        else:
            self._brake.right(address, sent)
        return None

    def _refuse_frequent(
        self, scope: Scope, allowance: _Allowance
    ) -> JSONResponse | None:
        if self._counts.add(allowance.key) <= allowance.most:
            return None
        _metrics(scope).rate_limited.inc()
        detail = f"Too many requests: at most {allowance.most} a minute"
        return _too_many(scope, detail, self._counts.seconds_left(allowance.key))

    def _add_limit(self, allowance: _Allowance, send: Send) -> Send:
        """Wrap *send* to tell callers how many requests they have left, and until when."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                left = max(0, allowance.most - self._counts.count(allowance.key))
                reset = self._counts.seconds_left(allowance.key)
                headers = MutableHeaders(scope=message)
                headers["X-RateLimit-Limit"] = str(allowance.most)
                headers["X-RateLimit-Remaining"] = str(left)
                headers["X-RateLimit-Reset"] = str(_whole_seconds(reset))
            await send(message)

        return with_headers


def _count_failed_logins(scope: Scope, send: Send) -> Send:
    async def counted(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == 401:
            _metrics(scope).failed_logins.inc()
        await send(message)

    return counted


def _too_many(scope: Scope, detail: str, wait: float) -> JSONResponse:
    headers = {"Retry-After": str(_whole_seconds(wait))}
    return error_response(scope, 429, detail, headers)


def _whole_seconds(wait: float) -> int:
    return max(1, math.ceil(wait))


def _is_below(scope: Scope, roots: tuple[str, ...]) -> bool:
    """True if the path of a request is one of *roots*, or below one."""
    path = route_path(scope)
    return path.startswith(roots) and any(
        path == root or path.startswith(f"{root}/") for root in roots
    )


def _allowance(scope: Scope, settings: Settings, *, is_public: bool) -> _Allowance:
    most = settings.rate_limit_per_minute
    if is_public:
        key = f"public {_address(scope)}"
        return _Allowance(key, max(LEAST_PUBLIC, most * PUBLIC_FACTOR))
    return _Allowance(_caller(scope, settings), most)


def _refuse_oversized(scope: Scope) -> JSONResponse | None:
    query: bytes = scope["query_string"]
    if len(scope["raw_path"]) + len(query) > MAX_URL_BYTES:
        return error_response(scope, 414, "The address is too long")
    if query.count(b"&") >= MAX_PARAMETERS:
        detail = f"The address has more than {MAX_PARAMETERS} parameters"
        return error_response(scope, 414, detail)
    headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
    if sum(len(name) + len(value) for name, value in headers) > MAX_HEADER_BYTES:
        return error_response(scope, 431, "The headers are too long")
    return None


def _authorization(scope: Scope) -> bytes:
    headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
    return b" ".join(value for name, value in headers if name in TOKEN_HEADERS)


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
