"""HEAD and OPTIONS for every route that answers GET."""

from typing import Final

from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

ALLOWED: Final = "GET, HEAD, OPTIONS"

IS_HEAD: Final = "is_head"
"""Member of the request's state: true for a HEAD request, which has no effect."""


class SafeMethods:
    """Answer HEAD like GET without a body, and OPTIONS with the methods allowed.

    OPTIONS needs no token, since browsers send none before a request from another
    origin. An unknown path is passed on.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Process one ASGI connection."""
        method = scope.get("method")
        if method == "HEAD" and _answers_get(scope):
            scope.setdefault("state", {})[IS_HEAD] = True
            as_get = {**scope, "method": "GET"}
            try:
                await self._app(as_get, receive, _without_body(send))
            finally:
                scope["route"] = as_get.get("route")  # for the request's log line
        elif method == "OPTIONS" and _answers_get(scope):
            response = Response(status_code=204, headers={"Allow": ALLOWED})
            await response(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def _answers_get(scope: Scope) -> bool:
    """True if a route answers GET at this path."""
    as_get = {**scope, "method": "GET"}
    return any(route.matches(as_get)[0] is Match.FULL for route in scope["app"].routes)


def _without_body(send: Send) -> Send:
    """Wrap *send* to drop the body; its length stays in the headers if it is known."""
    ended = False

    async def headers_only(message: Message) -> None:
        nonlocal ended
        if message["type"] == "http.response.start":
            await send(message)
        elif not ended:
            ended = True
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    return headers_only
