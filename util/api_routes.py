"""The routes of one module, each created when it is first needed."""

from collections.abc import Callable, Mapping
from functools import cached_property, partial
from typing import Any

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette._utils import get_route_path
from starlette.routing import BaseRoute, Match, compile_path
from starlette.types import Receive, Scope, Send


class LazyRoute(BaseRoute):
    """A route that is created with the first request for it, or to document it."""

    def __init__(self, path: str, create: Callable[[], BaseRoute]) -> None:
        """Let *create* return the route of *path*."""
        self.path = path
        self._create = create
        # FastAPI names the span of a request by the path's format.
        self._pattern, self.path_format, _ = compile_path(path)

    @cached_property
    def created(self) -> BaseRoute:
        """The route itself."""
        return self._create()

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """See BaseRoute."""
        if scope["type"] != "http" or not self._pattern.match(get_route_path(scope)):
            return Match.NONE, {}
        return self.created.matches(scope)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See BaseRoute."""
        await self.created.handle(scope, receive, send)


class ApiRoutes:
    """Routes to add to an application as they are, by its list of routes.

    Creating a route inspects its handler and wraps the models of all its responses, and
    `include_router` does so twice: that took a tenth of the API's start.
    """

    def __init__(self, **options: Any) -> None:
        """See APIRouter for the *options*."""
        self._options = options
        self.routes: list[LazyRoute] = []

    def get[F: Callable[..., object]](
        self, path: str, **options: Any
    ) -> Callable[[F], F]:
        """See APIRouter."""
        return self.api_route(path, methods=["GET"], **options)

    def api_route[F: Callable[..., object]](
        self, path: str, **options: Any
    ) -> Callable[[F], F]:
        """See APIRouter."""

        def add(endpoint: F) -> F:
            create = partial(self._create, path, endpoint, options)
            self.routes.append(LazyRoute(path, create))
            return endpoint

        return add

    def post[F: Callable[..., object]](
        self, path: str, **options: Any
    ) -> Callable[[F], F]:
        """See APIRouter."""
        return self.api_route(path, methods=["POST"], **options)

    def delete[F: Callable[..., object]](
        self, path: str, **options: Any
    ) -> Callable[[F], F]:
        """See APIRouter."""
        return self.api_route(path, methods=["DELETE"], **options)

    def _create(
        self, path: str, endpoint: Callable[..., object], options: Mapping[str, Any]
    ) -> BaseRoute:
        router = APIRouter(generate_unique_id_function=operation_id, **self._options)
        router.add_api_route(path, endpoint, **options)
        return router.routes[0]


def operation_id(route: APIRoute) -> str:
    """The handler's name, of which generated clients make the name of a method."""
    return route.name
