"""Derived tables and reports of the SQL files, and the catalogue of them."""

from typing import Annotated, Any, Final

from fastapi import HTTPException, Path, Response
from pydantic import BaseModel, Field

from config import VERSION
from readmodel.store.snapshot import Snapshot
from routers.as_of import AS_OF_MEANING, Instant
from routers.auth import RequireToken
from routers.dependencies import (
    AcceptedFormat,
    Context,
    FormatExtension,
)
from routers.formats.documents import table_responses
from routers.responses import (
    ACCEPT,
    READ_MODEL_RESPONSES,
    SNAPSHOT_RESPONSES,
    DocumentedResponses,
    encode,
    json_response,
    make_etag,
    unchanged,
)
from routers.strict_query import AS_OF, NoRepeatedParameters
from routers.views.catalogue import ViewsAnswer, describe_views, find_error
from routers.views.kept import kept_tables
from routers.views.loaded import LoadedViews
from routers.views.parameters import (
    template_request,
)
from routers.views.respond import Manner, respond_report, respond_table, run_report
from sqlfiles.definition import Definition
from util.api_routes import ApiRoutes
from util.problems import Error

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

OBJECT: Final = "The derived table's name."

NamePath = Annotated[str, Path(description="The report's name.")]


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
    return await respond_table(definition, context, Manner(extension))


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
    return await respond_table(definition, context, Manner(accepted, ACCEPT))


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
    return await respond_report(definition, loaded, context, Manner(extension))


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
    manner = Manner(accepted, ACCEPT)
    return await respond_report(definition, loaded, context, manner)


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
    manner = Manner(accepted, rows_only=True)
    return await run_report(definition, asked, context, manner, headers)


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
