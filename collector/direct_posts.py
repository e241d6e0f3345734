"""Requests with events reach their functions directly.

The router, the middleware for exceptions and what FastAPI prepares for dependencies take
as long as the verdicts on thirty events, and these routes need none of it. Everything
else about them is documented and answered by FastAPI.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from fastapi import Request, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from util import telemetry
from util.api_routes import LazyRoute
from util.route_path import route_path

type Endpoint = Callable[[Request], Awaitable[Response]]
type Refusal = Callable[[Request, Exception], Response]


class DirectPosts:
    """The innermost middleware: answers POST to the paths of *routes*.

    *endpoints* are their functions, by path, and *refusals* respond to the errors that
    they raise, by class. With traces the router answers, which names the spans.
    """

    def __init__(
        self,
        app: ASGIApp,
        routes: Sequence[LazyRoute],
        endpoints: Mapping[str, Endpoint],
        refusals: Mapping[type[Exception], Refusal],
    ) -> None:
        self._app = app
        self._routes = {route.path: route for route in routes}
        self._endpoints = endpoints
        self._refusals = refusals
        self._refused = tuple(refusals)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Process one ASGI connection."""
        path = route_path(scope) if scope.get("method") == "POST" else ""
        endpoint = self._endpoints.get(path)
        if endpoint is None or telemetry.is_enabled():
            await self._app(scope, receive, send)
            return
        scope["route"] = self._routes[path]
        request = Request(scope, receive)
        try:
            response = await endpoint(request)
        except self._refused as error:
            response = self._refusals[type(error)](request, error)
        await response(scope, receive, send)
