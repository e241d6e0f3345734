"""PATH_PREFIX: a path below which a program answers, too, as if a proxy had removed it."""

from starlette.routing import Match
from starlette.types import ASGIApp, Receive, Scope, Send

from util.route_path import route_path


class PathPrefix:
    """Let requests below the prefix reach the routes without it.

    A route that has the whole path, such as the `@route` of a SQL file, comes first. The
    prefix is `path_prefix` of the settings in the application's state.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Process one ASGI connection."""
        if scope["type"] == "http":
            prefix: str = scope["app"].state.settings.path_prefix
            if prefix and _is_below(scope, prefix) and not _has_route(scope):
                # Routes look at the rest of the path, links begin with the prefix.
                scope["root_path"] = scope.get("root_path", "") + prefix
        await self._app(scope, receive, send)


def _is_below(scope: Scope, prefix: str) -> bool:
    return route_path(scope).startswith(f"{prefix}/")


def _has_route(scope: Scope) -> bool:
    routes = scope["app"].routes
    return any(route.matches(scope)[0] is not Match.NONE for route in routes)
