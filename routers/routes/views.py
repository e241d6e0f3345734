"""Derived tables and reports of the SQL files, and the catalogue of them."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from pathlib import Path as FilePath
from typing import Annotated, Any, Final, NamedTuple

import polars as pl
from anyio import to_thread
from fastapi import FastAPI, HTTPException, Path, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.routing import Match

from config import VERSION
from readmodel.store.manifest import Manifest
from readmodel.store.snapshot import Snapshot
from routers.as_of import AS_OF_MEANING, Instant
from routers.auth import RequireToken
from routers.dependencies import (
    AcceptedFormat,
    Context,
    FormatExtension,
    RequestContext,
)
from routers.formats.documents import table_responses
from routers.formats.media import TableFormat
from routers.formats.table import iso_instant
from routers.formats.text import one_object
from routers.readings import reading_of_table
from routers.responses import (
    ACCEPT,
    JSON,
    READ_MODEL_RESPONSES,
    SNAPSHOT_RESPONSES,
    DocumentedResponses,
    cache_headers,
    encode,
    json_response,
    make_etag,
    unchanged,
)
from routers.strict_query import AS_OF, NoRepeatedParameters
from routers.views.answers import answer_of, definition_etag
from routers.views.catalogue import ViewsAnswer, describe_views, find_error
from routers.views.kept import is_kept, kept_since, kept_tables
from routers.views.loaded import LoadedViews
from routers.views.page import Page, select_page
from routers.views.parameters import (
    NO_VALUES,
    ReportRequest,
    report_request,
    table_page,
    template_request,
)
from sqlfiles.definition import JSON_UNIT, Definition
from sqlfiles.keys import placeholders
from sqlfiles.routes import DeclaredRoute, declared_routes
from util.api_routes import ApiRoutes
from util.errors import ReadModelMissing
from util.logs import get_logger
from util.problems import Error

DATA_UPDATED_AT: Final = "X-Data-Updated-At"
"""Header with the instant of the snapshot, on a 304 as well."""

STALE_SINCE: Final = "X-Stale-Since"
"""Header of rows that are older than the snapshot since then.

The table could not be built, its definition has an error, or a table that a report
reads could not be read.
"""

VIEW_RESPONSES: Final[DocumentedResponses] = {
    **READ_MODEL_RESPONSES,
    404: {"model": Error, "description": "There is no such view or report."},
    503: {
        "model": Error,
        "description": "There is no read model, the table was not built yet, too many "
        "reports are waiting, or the report needs too much memory.",
    },
}

REPORT_RESPONSES: Final[DocumentedResponses] = {
    **VIEW_RESPONSES,
    500: {"model": Error, "description": "The report failed on its rows."},
    504: {"model": Error, "description": "The report took too long."},
}

ORDER_MEANING: Final = "Columns to sort by, such as `-votes,name`."

AS_OF_PARAMETER: Final = {
    "name": AS_OF,
    "in": "query",
    "required": False,
    "schema": {"type": "string", "format": "date-time"},
    "description": AS_OF_MEANING,
}

PAGE_PARAMETERS: Final = {
    "parameters": [
        *(
            {
                "name": name,
                "in": "query",
                "required": False,
                "schema": schema,
                "description": description,
            }
            for name, schema, description in (
                ("order", {"type": "string"}, ORDER_MEANING),
                ("limit", {"type": "integer", "minimum": 1}, "Maximum number of rows."),
                ("after", {"type": "string"}, "Token of the next page, as in `next`."),
            )
        ),
        AS_OF_PARAMETER,
    ]
}

router = ApiRoutes(tags=["views"], dependencies=[RequireToken, NoRepeatedParameters])

FORMAT: Final = "format"
"""Parameter of a `@route` that chooses the format, unless it is one of its own."""

OBJECT: Final = "The derived table's name."

NamePath = Annotated[str, Path(description="The report's name.")]

_log = get_logger("views")


class TemplateRequest(BaseModel):
    """A report by name with its parameters."""

    template: str | None = Field(None, examples=["votes_per_day"])
    params: dict[str, Any] | None = Field(
        None,
        description="Values by name. Parameters that the report lacks are ignored.",
    )


@router.get(
    "/views",
    response_model=ViewsAnswer,
    responses=SNAPSHOT_RESPONSES,
)
async def get_views(_instant: Instant, context: Context) -> Response:
    """Every derived table and report: columns, SQL, inputs, tests and freshness."""
    loaded = await context.views.current(context.settings, context.snapshot)
    body = encode(describe_views(loaded, context.snapshot))
    etag = make_etag(VERSION, body.decode())
    if response := unchanged(context.request, etag):
        return response
    return json_response(body, etag)


@router.get(
    "/views/{object}.{extension}",
    response_class=Response,
    responses=VIEW_RESPONSES | table_responses(),
    openapi_extra=PAGE_PARAMETERS,
)
async def get_view_file(
    name: Annotated[str, Path(alias="object", description=OBJECT)],
    extension: FormatExtension,
    context: Context,
) -> Response:
    """The rows of a derived table, in the format by extension."""
    loaded = await context.views.current(context.settings, context.snapshot)
    definition = _table(loaded, name, context.snapshot)
    return await _respond_table(definition, context, _Manner(extension))


@router.get(
    "/views/{object}",
    response_class=Response,
    responses=VIEW_RESPONSES | table_responses(),
    openapi_extra=PAGE_PARAMETERS,
)
async def get_view(
    name: Annotated[str, Path(alias="object", description=OBJECT)],
    accepted: AcceptedFormat,
    context: Context,
) -> Response:
    """The rows of a derived table, narrowed by its filters, page by page.

    `GET /views` lists the filters, such as `hour.gte=8`.
    """
    loaded = await context.views.current(context.settings, context.snapshot)
    definition = _table(loaded, name, context.snapshot)
    return await _respond_table(definition, context, _Manner(accepted, ACCEPT))


@router.get(
    "/reports/{name}.{extension}",
    response_class=Response,
    responses=REPORT_RESPONSES | table_responses(),
    openapi_extra=PAGE_PARAMETERS,
)
async def get_report_file(
    name: NamePath, extension: FormatExtension, context: Context
) -> Response:
    """The rows of a report, in the format by extension."""
    loaded = await context.views.current(context.settings, context.snapshot)
    definition = _report(loaded, name)
    return await _respond_report(definition, loaded, context, _Manner(extension))


@router.get(
    "/reports/{name}",
    response_class=Response,
    responses=REPORT_RESPONSES | table_responses(),
    openapi_extra=PAGE_PARAMETERS,
)
async def get_report(
    name: NamePath, accepted: AcceptedFormat, context: Context
) -> Response:
    """The rows of a report, computed for its parameters. `GET /views` lists them."""
    loaded = await context.views.current(context.settings, context.snapshot)
    definition = _report(loaded, name)
    manner = _Manner(accepted, ACCEPT)
    return await _respond_report(definition, loaded, context, manner)


@router.post(
    "/report",
    response_class=Response,
    responses={
        **REPORT_RESPONSES,
        **table_responses(description="The rows, in JSON as an array of objects."),
        400: {"model": Error, "description": "The template has no name."},
    },
    openapi_extra={"parameters": [AS_OF_PARAMETER]},
)
async def post_report(
    body: TemplateRequest, accepted: AcceptedFormat, context: Context
) -> Response:
    """The rows of a report as an array of objects; parameters it lacks are ignored."""
    if not body.template:
        raise HTTPException(400, "Template name is required")
    loaded = await context.views.current(context.settings, context.snapshot)
    definition = loaded.catalogue.report(body.template)
    if definition is None:
        raise HTTPException(404, f"Template {body.template!r} not found")
    schema = loaded.schema(definition)
    asked = template_request(definition, schema, body.params or {})
    headers = {"Cache-Control": "no-store", "Vary": ACCEPT}
    manner = _Manner(accepted, rows_only=True)
    return await _run_report(definition, asked, context, manner, headers)


class _Manner(NamedTuple):
    """How rows are sent.

    With `rows_only`, JSON is the array of rows without definitions. With `is_route`,
    the definition's `@missing` applies as well, and `@one` with `gives_one`.
    """

    table_format: TableFormat
    vary: str | None = None
    rows_only: bool = False
    is_route: bool = False
    gives_one: bool = False


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
        manner = _Manner(accepted, ACCEPT, True, is_route=True, gives_one=one)
        if FORMAT in context.request.query_params and FORMAT not in _names(definition):
            manner = manner._replace(table_format=_format(context.request))
        if definition.is_table:
            return await _respond_table(definition, context, manner, values)
        return await _respond_report(definition, loaded, context, manner, values)

    return get_route


def _names(definition: Definition) -> set[str]:
    """The parameters and columns of a definition that callers name."""
    filters = (each.name for each in definition.filters)
    return {*(each.name for each in definition.parameters), *filters}


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


def _sent(request: Request, manner: _Manner, definition: Definition) -> dict[str, str]:
    """The query parameters, without the format of a route."""
    sent = dict(request.query_params)
    if manner.is_route and FORMAT not in _names(definition):
        sent.pop(FORMAT, None)
    return sent


def _no_definition(loaded: LoadedViews, route: DeclaredRoute) -> HTTPException:
    error = find_error(loaded.catalogue.errors, route.name)
    if error is not None:
        return HTTPException(503, f"{route.name} has an error: {error}")
    return HTTPException(404)


def _table(loaded: LoadedViews, name: str, snapshot: Snapshot) -> Definition:
    """The definition of a derived table. Raises HTTPException (404, 503).

    If it has an error, the table is served as its last good build left it.
    """
    definition = loaded.catalogue.table(name)
    if definition is not None:
        return definition
    for kept in kept_tables(loaded.catalogue, snapshot.manifest):
        if kept.definition.object == name:
            return kept.definition
    raise _unknown(loaded, "view", name)


def _report(loaded: LoadedViews, name: str) -> Definition:
    """The definition of a report. Raises HTTPException (404, 503)."""
    definition = loaded.catalogue.report(name)
    if definition is None:
        raise _unknown(loaded, "report", name)
    return definition


def _unknown(loaded: LoadedViews, kind: str, name: str) -> HTTPException:
    error = find_error(loaded.catalogue.errors, name)
    if error is not None:
        return HTTPException(503, f"The {kind} {name} has an error: {error}")
    unmirrored = find_error(loaded.catalogue.unmirrored, name)
    if unmirrored is not None:
        return HTTPException(404, f"The {kind} {name} {unmirrored.message}")
    return HTTPException(404, f"There is no {kind} {name}: GET /views lists them")


async def _respond_table(
    definition: Definition,
    context: RequestContext,
    manner: _Manner,
    path_values: Mapping[str, str] = NO_VALUES,
) -> Response:
    name, snapshot = str(definition.object), context.snapshot
    manifest = _manifest(snapshot)
    state = manifest.derived.get(name)
    stored = manifest.tables.get(name)
    if stored is None or state is None:
        because = state.failed_because if state else None
        reason = because or "the next sync builds it"
        raise HTTPException(503, f"The table {name} was not built yet: {reason}")
    sent = _sent(context.request, manner, definition)
    asked = table_page(definition, stored.schema, sent, path_values)
    headers = _headers(definition, context, manner, manifest)
    if response := _unchanged(context.request, headers, manner):
        return response
    page = await context.compute(
        reading_of_table(snapshot, name),
        select_page,
        snapshot.scan(name),
        asked,
    )
    return await _send(definition, page, context, manner, headers)


async def _respond_report(
    definition: Definition,
    loaded: LoadedViews,
    context: RequestContext,
    manner: _Manner,
    path_values: Mapping[str, str] = NO_VALUES,
) -> Response:
    manifest = _manifest(context.snapshot)
    sent = _sent(context.request, manner, definition)
    schema = loaded.schema(definition)
    asked = report_request(definition, schema, sent, path_values)
    _require_inputs(definition, manifest)
    headers = _headers(definition, context, manner, manifest)
    if response := _unchanged(context.request, headers, manner):
        return response
    return await _run_report(definition, asked, context, manner, headers)


async def _run_report(
    definition: Definition,
    asked: ReportRequest,
    context: RequestContext,
    manner: _Manner,
    headers: dict[str, str],
) -> Response:
    _require_inputs(definition, _manifest(context.snapshot))
    inputs = reading_of_table(context.snapshot, *definition.inputs)
    await to_thread.run_sync(context.intact.require, context.snapshot, inputs.columns)
    async with context.reports.rows(
        context.request,
        definition,
        asked,
        context.snapshot,
        context.settings,
        context.now,
    ) as rows:
        page = await to_thread.run_sync(select_page, rows, asked.page)
        return await _send(definition, page, context, manner, headers)


def _manifest(snapshot: Snapshot) -> Manifest:
    """The manifest. Raises ReadModelMissing for files of the earlier system."""
    if snapshot.manifest is None:
        raise ReadModelMissing("There is no snapshot yet: run update_readmodel.py")
    return snapshot.manifest


def _require_inputs(definition: Definition, manifest: Manifest) -> None:
    """Raise HTTPException (503) if a table that a report reads is not there."""
    for name in definition.inputs:
        if name in manifest.tables:
            continue
        if failure := manifest.failed.get(name):
            because = failure.failed_because
            raise HTTPException(503, f"The table {name} was not read yet: {because}")
        raise HTTPException(503, f"The table {name} was not built yet")


def _headers(
    definition: Definition,
    context: RequestContext,
    manner: _Manner,
    manifest: Manifest,
) -> dict[str, str]:
    snapshot = context.snapshot
    etag = definition_etag(
        context.request,
        definition,
        manner.table_format,
        snapshot,
        manifest,
        context.now,
    )
    headers = cache_headers(etag, manner.vary)
    headers[DATA_UPDATED_AT] = iso_instant(snapshot.taken_at)
    if stale_since := _stale_since(definition, manifest):
        headers[STALE_SINCE] = iso_instant(stale_since)
    return headers


def _stale_since(definition: Definition, manifest: Manifest) -> datetime | None:
    """Since when the rows are older than the snapshot; None if they are not."""
    if is_kept(definition):
        return kept_since(manifest.derived[str(definition.object)], manifest)
    read = (definition.object,) if definition.object else definition.inputs
    states = [manifest.derived.get(n) or manifest.failed.get(n) for n in read]
    since = (state.stale_since for state in states if state is not None)
    return min(filter(None, since), default=None)


def _unchanged(
    request: Request, headers: Mapping[str, str], manner: _Manner
) -> Response | None:
    """304 with the headers that say how fresh the unchanged rows are."""
    response = unchanged(request, headers["ETag"], manner.vary)
    if response is not None:
        for name in (DATA_UPDATED_AT, STALE_SINCE):
            if name in headers:
                response.headers[name] = headers[name]
    return response


async def _send(
    definition: Definition,
    page: Page,
    context: RequestContext,
    manner: _Manner,
    headers: dict[str, str],
) -> Response:
    if manner.is_route:
        page = await to_thread.run_sync(_as_route, definition, page, manner.gives_one)
    next_url = None
    if page.token is not None and context.request.method == "GET":
        url = context.request.url.include_query_params(after=page.token)
        next_url = f"{url.path}?{url.query}"
        headers = {**headers, "Link": f'<{next_url}>; rel="next"'}
    if manner.gives_one and manner.table_format is TableFormat.JSON:
        assert isinstance(page.rows, pl.DataFrame)
        body = one_object(page.rows, _json_columns(definition))
        return Response(body, media_type=JSON, headers=headers)
    table = answer_of(definition, page, context.snapshot, next_url)
    return await context.exports.respond(
        table,
        manner.table_format,
        headers,
        f"fpp-{table.title}",
        rows_only=manner.rows_only,
    )


def _json_columns(definition: Definition) -> frozenset[str]:
    notes = definition.columns
    return frozenset(note.name for note in notes if note.unit == JSON_UNIT)


def _as_route(definition: Definition, page: Page, gives_one: bool) -> Page:
    """*page* as `@one` and `@missing` want it. Raises HTTPException (404)."""
    if gives_one:
        page = Page(page.rows.lazy().head(1).collect())
    is_list = definition.one_with is not None and not gives_one
    needs_rows = gives_one or (definition.missing is not None and not is_list)
    if needs_rows and page.rows.lazy().head(1).collect().is_empty():
        raise HTTPException(404, definition.missing)
    return page
