"""Requests with events reach their functions directly.

The router, all middleware and what FastAPI prepares for dependencies take as long as the
verdicts on fifty events, and a request that succeeds needs none of it. Everything else
about these routes is documented and answered by FastAPI.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Final

from fastapi import Request, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from util import telemetry
from util.access_log import RECORD, RequestRecord, attempt
from util.api_routes import LazyRoute
from util.cross_origin import headers_without_origin
from util.logs import bind_contextvars, get_logger
from util.route_path import route_path
from util.whole_answers import send_whole

type Endpoint = Callable[[Request], Awaitable[Response]]
type Refusal = Callable[[Request, Exception], Response]


_FAILURE: Final = "fpp.failure"
"""Key of a scope: the error of a request that `SuccessfulPosts` has tried."""


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
        path = _path_of_post(scope)
        endpoint = self._endpoints.get(path)
        if endpoint is None or telemetry.is_enabled():
            await self._app(scope, receive, send)
            return
        scope["route"] = self._routes[path]
        request = Request(scope, receive)
        try:
            if _FAILURE in scope:
                raise scope.pop(_FAILURE)  # it must not be part of its own traceback
            response = await endpoint(request)
        except self._refused as error:
            response = self._refusals[type(error)](request, error)
        await response(scope, receive, send)


class SuccessfulPosts:
    """The outermost middleware: answers what `DirectPosts` would, if it succeeds.

    The others, and all requests from pages of other origins, pass *app*, where the error
    is raised again in `DirectPosts`. Their log line, headers and metrics are those of
    `AccessLog`, whose *component* and *quiet* routes these are, too.
    """

    def __init__(
        self,
        app: ASGIApp,
        routes: Sequence[LazyRoute],
        endpoints: Mapping[str, Endpoint],
        component: str,
        quiet: Collection[str],
    ) -> None:
        self._app = app
        self._routes = {route.path: route for route in routes}
        self._endpoints = endpoints
        self._log = get_logger(component)
        self._quiet = quiet

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Process one ASGI connection."""
        path = _path_of_post(scope)
        if path not in self._endpoints or telemetry.is_enabled() or _has_origin(scope):
            await self._app(scope, receive, send)
            return
        record = RequestRecord(scope)
        # For the rest of the task, which is that of the request.
        bind_contextvars(request_id=record.id)
        response = await attempt(self._endpoints[path](Request(scope, receive)))
        if isinstance(response, Exception):
            scope[RECORD], scope[_FAILURE] = record, response
            await self._app(scope, receive, send)
            return
        scope["route"] = self._routes[path]
        record.status = response.status_code
        headers = [
            *response.raw_headers,
            *headers_without_origin(scope),
            *record.headers_for_data(),
        ]
        try:
            await send_whole(send, record.status, headers, bytes(response.body))
        finally:
            record.report(self._log, self._quiet)


def _path_of_post(scope: Scope) -> str:
    """The path of a POST; empty for every other connection."""
    return route_path(scope) if scope.get("method") == "POST" else ""


def _has_origin(scope: Scope) -> bool:
    return any(name == b"origin" for name, _ in scope["headers"])
