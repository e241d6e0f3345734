"""Access log: an id, a log line, a measurement and security headers per request."""

import re
import secrets
import time
from collections.abc import Awaitable, Callable, Collection
from datetime import timedelta
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from fastapi import Request, Response
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from util.json_types import JsonObject
from util.logs import BoundLogger, bound_contextvars, get_logger
from util.metrics import ApiMetrics
from util.route_path import route_path
from util.sentry_wrapper import separate_breadcrumbs

REQUEST_ID: Final = "X-Request-ID"
# Safe to copy into a log line; any other id is replaced.
_SAFE_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,64}")

SECURITY_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Strict-Transport-Security": "max-age=31536000",
}
CONTENT_POLICY: Final = "Content-Security-Policy"
DATA_POLICY: Final = "default-src 'none'; frame-ancestors 'none'"
# Pages load nothing from other hosts. 'unsafe-inline', since /docs has inline scripts.
HTML_POLICY: Final = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

RECORD: Final = "fpp.record"
"""Key of a scope: its RequestRecord, if something before AccessLog began it."""

CLIENT_CLOSED_REQUEST: Final = 499
"""Status of a request whose client disconnected before the answer, as in nginx."""

type OnError = Callable[[Request, Exception], Response]


class AccessLog:
    """The outermost middleware, so that it sees every response.

    *on_error* reports an unexpected error and returns the response to it. It is called
    here because Starlette would answer outside of every middleware and raise the error
    again, which the server would report a second time. Successful requests of the
    routes in *quiet*, which are called every few seconds, are not logged.
    """

    def __init__(
        self,
        app: ASGIApp,
        on_error: OnError,
        component: str = "api",
        quiet: Collection[str] = ("/health", "/v1/health"),
    ) -> None:
        self._app = app
        self._on_error = on_error
        self._log = get_logger(component)
        self._quiet = frozenset(quiet)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Process one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        record = scope.get(RECORD) or RequestRecord(scope)
        with bound_contextvars(request_id=record.id), separate_breadcrumbs():
            try:
                await self._respond(scope, receive, record.observe(send))
            finally:
                record.report(self._log, self._quiet)

    async def _respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def note_start(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        error = await attempt(self._app(scope, receive, note_start))
        if error is None or isinstance(error, ClientDisconnect):
            return  # of a client that left while it sent its request: nobody waits
        if type(error).__module__.startswith("h11."):
            # The client broke the protocol, and the server has answered with 400.
            return
        response = self._on_error(Request(scope), error)
        if started:
            try:
                raise error
            finally:
                del error  # It refers to this call, which refers to it.
        await response(scope, receive, send)


async def attempt[T](work: Awaitable[T]) -> T | Exception:
    """The result of *work*, or the error with which it ended.

    The boundary of the programs: every error is reported and answered.
    """
    try:
        return await work
    except Exception as error:  # noqa: BLE001 - returned
        return error


class RequestRecord:
    """The log line and the measurement of one request, and its id."""

    def __init__(self, scope: Scope) -> None:
        sent = _first_header(scope, _REQUEST_ID).decode("latin-1")
        self.id = sent if _SAFE_ID.fullmatch(sent) else secrets.token_hex(16)
        self._scope = scope
        self._began = time.perf_counter()
        self.status = CLIENT_CLOSED_REQUEST  # until a response starts

    def observe(self, send: Send) -> Send:
        """Wrap *send* to note the status and to add headers."""

        async def observed(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.status = message["status"]
                self._add_headers(message)
            await send(message)

        return observed

    def _add_headers(self, message: Message) -> None:
        """Add those that the answer lacks: at once, if it has nothing like them."""
        headers = dict(message["headers"])
        if headers.keys().isdisjoint(_ADDED_OR_CHANGED):
            is_html = headers.get(b"content-type", b"").startswith(b"text/html")
            message["headers"] = [
                *message["headers"],
                (_REQUEST_ID, self.id.encode()),
                *(_HTML_HEADERS if is_html else _DATA_HEADERS),
            ]
        else:
            self._complete_headers(MutableHeaders(scope=message))

    def headers_for_data(self) -> list[tuple[bytes, bytes]]:
        """The headers that an answer with data gets, if it has none of them."""
        return [(_REQUEST_ID, self.id.encode()), *_DATA_HEADERS]

    def _complete_headers(self, headers: MutableHeaders) -> None:
        headers[REQUEST_ID] = self.id
        if location := headers.get("location"):
            # The caller names the host, and must not decide where others are sent.
            parts = urlsplit(location)
            headers["location"] = urlunsplit(("", "", *parts[2:]))
        for name, value in SECURITY_HEADERS.items():
            headers.setdefault(name, value)
        is_html = headers.get("content-type", "").startswith("text/html")
        headers.setdefault(CONTENT_POLICY, HTML_POLICY if is_html else DATA_POLICY)

    def report(self, log: BoundLogger, quiet: Collection[str]) -> None:
        """Measure the request and log it, unless it succeeded and its route is *quiet*."""
        took = timedelta(seconds=time.perf_counter() - self._began)
        method, route = self._scope["method"], _route_template(self._scope)
        state = self._scope.get("state", {})
        metrics: ApiMetrics = self._scope["app"].state.metrics
        metrics.observe(route, method, self.status, took)
        if "caller" in state:
            metrics.calls.labels(state["caller"]).inc()
        if route in quiet and self.status in (200, 202):
            return
        fields: JsonObject = {
            "action": "request",
            "method": method,
            "route": route or "unmatched",
            "status": self.status,
            "ms": round(took / timedelta(milliseconds=1), 1),
            "snapshot": state.get("snapshot"),
            "caller": state.get("caller"),
            **state.get("log_fields", {}),
        }
        line = f"{method} {fields['route']} {self.status} {fields['ms']} ms"
        log.info(line, **fields)


_REQUEST_ID: Final = REQUEST_ID.lower().encode()


def _first_header(scope: Scope, name: bytes) -> bytes:
    return next((value for key, value in scope["headers"] if key == name), b"")


def _encoded(policy: str) -> tuple[tuple[bytes, bytes], ...]:
    """The headers of every answer, with *policy*, as ASGI has them."""
    headers = {**SECURITY_HEADERS, CONTENT_POLICY: policy}
    return tuple((k.lower().encode(), v.encode()) for k, v in headers.items())


_DATA_HEADERS: Final = _encoded(DATA_POLICY)
_HTML_HEADERS: Final = _encoded(HTML_POLICY)
_ADDED_OR_CHANGED: Final = frozenset(
    {_REQUEST_ID, b"location", *(name for name, _ in _DATA_HEADERS)}
)


def _route_template(scope: Scope) -> str | None:
    """The template of the matched route, never the path itself; None without a match."""
    matched = scope.get("route")
    if matched is not None:
        return str(matched.path)
    # Starlette's plain routes and mounts do not set scope["route"].
    templates = {getattr(route, "path", None) for route in scope["app"].routes}
    paths = (route_path(scope), scope.get("root_path"))
    return next((path for path in paths if path in templates), None)
