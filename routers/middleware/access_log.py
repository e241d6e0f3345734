"""What every request leaves behind: an id, a log line, a measurement, safe headers."""

import re
import time
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

from fastapi import Request, Response
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from util.logs import bound, get_log
from util.metrics import ApiMetrics
from util.sentry_wrapper import separate_breadcrumbs

REQUEST_ID: Final = "X-Request-ID"
# What may stand in a log line as it came; anything else is replaced.
_GOOD_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")

HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Strict-Transport-Security": "max-age=31536000",
}
DATA_POLICY: Final = "default-src 'none'; frame-ancestors 'none'"
# Pages of ours load nothing from elsewhere; /docs has its script in the page.
PAGE_POLICY: Final = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

CALLER_LEFT: Final = 499
"""The status of a request whose caller did not wait for an answer, as nginx has it."""

_log = get_log("api")

type OnError = Callable[[Request, Exception], Response]


class Observe:
    """The outermost middleware, so that no answer passes it by.

    *on_error* makes the answer to an unexpected error and reports it. It is called
    here, and not by Starlette, which answers outside of every middleware and raises
    the error again for the server to report a second time.
    """

    def __init__(self, app: ASGIApp, on_error: OnError) -> None:
        self._app = app
        self._on_error = on_error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        seen = _Seen(scope)
        with bound(request_id=seen.id), separate_breadcrumbs():
            try:
                await self._answer(scope, receive, seen.watching(send))
            finally:
                seen.report()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def watching(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watching)
        except Exception as error:
            # The edge of the program: whatever it is, it is reported and answered.
            response = self._on_error(Request(scope), error)
            if started:
                raise
            await response(scope, receive, send)


class _Seen:
    """One request as it is observed."""

    def __init__(self, scope: Scope) -> None:
        given = Headers(scope=scope).get(REQUEST_ID, "")
        self.id = given if _GOOD_ID.fullmatch(given) else uuid.uuid4().hex
        self._scope = scope
        self._began = time.perf_counter()
        self._status = CALLER_LEFT  # until an answer begins

    def watching(self, send: Send) -> Send:
        """*send*, noting the status and adding headers on the way."""

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._status = message["status"]
                self._protect(MutableHeaders(scope=message))
            await send(message)

        return watched

    def _protect(self, headers: MutableHeaders) -> None:
        headers[REQUEST_ID] = self.id
        for name, value in HEADERS.items():
            headers.setdefault(name, value)
        is_page = headers.get("content-type", "").startswith("text/html")
        policy = PAGE_POLICY if is_page else DATA_POLICY
        headers.setdefault("Content-Security-Policy", policy)

    def report(self) -> None:
        """Measure the request, and log it unless it only asked for health."""
        took = timedelta(seconds=time.perf_counter() - self._began)
        method, route = self._scope["method"], _template(self._scope)
        metrics: ApiMetrics = self._scope["app"].state.metrics
        metrics.observe(route, method, self._status, took)
        if route == "/health" and self._status == 200:
            return
        fields: dict[str, Any] = {
            "action": "request",
            "method": method,
            "route": route or "unmatched",
            "status": self._status,
            "ms": round(took / timedelta(milliseconds=1), 1),
            "snapshot": self._scope.get("state", {}).get("snapshot"),
        }
        told = (method, fields["route"], self._status, fields["ms"])
        _log.info("%s %s %s %s ms", *told, extra=fields)


def _template(scope: Scope) -> str | None:
    """The route's template, or None where none matched; never the address itself."""
    matched = scope.get("route")
    if matched is not None:
        return str(matched.path)
    # Plain pages and folders of files do not say that they matched.
    fixed = {getattr(route, "path", None) for route in scope["app"].routes}
    asked = (scope["path"], scope.get("root_path"))
    return next((path for path in asked if path in fixed), None)
