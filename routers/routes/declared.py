"""The routes that SQL files declare by `@route`."""

from collections.abc import Awaitable, Callable
from pathlib import Path as FilePath

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.routing import Match

from routers.auth import RequireToken
from routers.dependencies import AcceptedFormat, Context
from routers.formats.media import TableFormat
from routers.responses import ACCEPT
from routers.strict_query import NoRepeatedParameters
from routers.views.catalogue import find_error
from routers.views.loaded import LoadedViews
from routers.views.respond import (
    FORMAT,
    Manner,
    names_of,
    respond_report,
    respond_table,
)
from sqlfiles.keys import placeholders
from sqlfiles.routes import DeclaredRoute, declared_routes
from util.logs import get_logger

_log = get_logger("views")


def add_routes(app: FastAPI, views_dir: FilePath) -> list[str]:
    """Add each `@route` in *views_dir* to *app*, except those that are taken.

    Returns the added paths. Raises OSError if the folder cannot be listed.
    """
    added: list[str] = []
    for route in declared_routes(views_dir):
        if _is_taken(app, route.path):
            where = f"{route.file}:{route.line}"
            _log.error("%s: @route %s is taken", where, route.path)
            continue
        app.add_api_route(
            route.path,
            _route_handler(route),
            name=f"get_{route.name}_route",
            dependencies=[RequireToken, NoRepeatedParameters],
            include_in_schema=False,
        )
        added.append(route.path)
    return added


def _is_taken(app: FastAPI, path: str) -> bool:
    """True if *app* answers a path of this shape already."""
    for name in placeholders(path):
        path = path.replace(f"{{{name}}}", "x")
    scope = {"type": "http", "method": "GET", "path": path, "headers": []}
    return any(route.matches(scope)[0] is Match.FULL for route in app.routes)


def _route_handler(route: DeclaredRoute) -> Callable[..., Awaitable[Response]]:
    """The handler of a `@route`: its definition as the files have it at the time."""

    async def get_route(accepted: AcceptedFormat, context: Context) -> Response:
        loaded = await context.views.current(context.settings, context.snapshot)
        definition = loaded.by_route(route.path)
        if definition is None:
            raise _no_definition(loaded, route)
        values = context.request.path_params
        one = definition.gives_one({*values, *context.request.query_params})
        manner = Manner(accepted, ACCEPT, True, is_route=True, gives_one=one)
        if FORMAT in context.request.query_params and FORMAT not in names_of(
            definition
        ):
            manner = manner._replace(table_format=_format(context.request))
        if definition.is_table:
            return await respond_table(definition, context, manner, values)
        return await respond_report(definition, loaded, context, manner, values)

    return get_route


def _format(request: Request) -> TableFormat:
    """The format by the parameter `format`. Raises RequestValidationError (422)."""
    text = request.query_params[FORMAT]
    try:
        return TableFormat(text)
    except ValueError:
        allowed = f"use one of {', '.join(TableFormat)}"
        raise RequestValidationError(
            [
                {
                    "type": "enum",
                    "loc": ("query", FORMAT),
                    "msg": allowed,
                    "input": text,
                }
            ]
        ) from None


def _no_definition(loaded: LoadedViews, route: DeclaredRoute) -> HTTPException:
    error = find_error(loaded.catalogue.errors, route.name)
    if error is not None:
        return HTTPException(503, f"{route.name} has an error: {error}")
    return HTTPException(404)
