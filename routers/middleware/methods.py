"""HEAD and OPTIONS for every route that answers GET."""

from typing import Final

from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CHANGING: Final = ("DELETE", "POST")
"""Methods that some routes answer besides GET."""

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
        if method == "HEAD" and _answers(scope, "GET"):
            scope.setdefault("state", {})[IS_HEAD] = True
            as_get = {**scope, "method": "GET"}
            try:
                await self._app(as_get, receive, _without_body(send))
            finally:
                scope["route"] = as_get.get("route")  # for the request's log line
        elif method == "OPTIONS" and _answers(scope, "GET"):
            response = Response(status_code=204, headers={"Allow": _allowed(scope)})
            await response(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def _answers(scope: Scope, method: str) -> bool:
    """True if a route answers *method* at this path."""
    asked = {**scope, "method": method}
    return any(route.matches(asked)[0] is Match.FULL for route in scope["app"].routes)


def _allowed(scope: Scope) -> str:
    """The methods that are answered at this path."""
    changing = (method for method in CHANGING if _answers(scope, method))
    return ", ".join(["GET", "HEAD", "OPTIONS", *changing])


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
