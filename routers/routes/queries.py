"""`POST /query`: SQL from people, SELECT only; and what it can read."""

from typing import Final

from fastapi import Request, Response

from config import VERSION
from routers.as_of import Instant
from routers.auth import RequireQuery
from routers.dependencies import (
    AcceptedFormat,
    Context,
    CurrentExports,
    CurrentSettings,
    snapshot_of,
)
from routers.formats.answer import EncodedTable
from routers.formats.documents import table_responses
from routers.formats.table import iso_instant
from routers.queries.catalogue import QueryCatalogue, describe_tables
from routers.queries.request import QUERY_BODY, QueryBody
from routers.queries.running import Queries, require_confinement
from routers.responses import (
    ACCEPT,
    PROTECTED_RESPONSES,
    SNAPSHOT_RESPONSES,
    DocumentedResponses,
    encode,
    json_response,
    make_etag,
    unchanged,
)
from routers.strict_query import NoRepeatedParameters
from routers.views.respond import DATA_UPDATED_AT
from util.api_routes import ApiRoutes
from util.errors import ReadModelMissing
from util.problems import Error

SNAPSHOT: Final = "X-Snapshot"
"""Header with the id of the snapshot that was read."""

_RESPONSES: Final[DocumentedResponses] = {
    **PROTECTED_RESPONSES,
    404: SNAPSHOT_RESPONSES[404],
    **table_responses(description="The rows, in the format by Accept."),
    400: {
        "model": Error,
        "description": "The statement is not one allowed SELECT, fails, or needs too "
        "much memory.",
    },
    403: {"model": Error, "description": "The token may not send SQL."},
    413: {
        "model": Error,
        "description": "The body is too large, or a workbook cannot hold the rows.",
    },
    429: {
        "model": Error,
        "description": "Too many queries or requests; see Retry-After.",
    },
    503: {
        "model": Error,
        "description": "There is no read model, or queries cannot be confined.",
    },
    504: {"model": Error, "description": "The query took too long."},
}

router = ApiRoutes(tags=["queries"], dependencies=[RequireQuery, NoRepeatedParameters])


@router.post(
    "/query",
    response_class=Response,
    responses=_RESPONSES,
    openapi_extra=QUERY_BODY,
)
async def post_query(
    sent: QueryBody,
    _instant: Instant,
    accepted: AcceptedFormat,
    request: Request,
    settings: CurrentSettings,
    exports: CurrentExports,
) -> Response:
    """The rows of one SELECT over the tables of the current snapshot, or of `as_of`.

    Columns have types; `truncated` tells if rows were left out. The rows are those of
    one instant, and `now()` is that instant.
    """
    snapshot = snapshot_of(request)
    queries: Queries = request.app.state.queries
    outcome, body = await queries.run(request, sent, accepted, snapshot, settings)
    headers = {
        "Cache-Control": "no-store",
        "Vary": ACCEPT,
        DATA_UPDATED_AT: iso_instant(snapshot.taken_at),
        SNAPSHOT: snapshot.id,
        "Server-Timing": f"query;dur={outcome.milliseconds}",
    }
    table = EncodedTable(body, outcome.rows, outcome.columns, outcome.truncated)
    return await exports.respond_encoded(table, accepted, headers, "fpp-query")


@router.get(
    "/query/tables",
    response_model=QueryCatalogue,
    responses=SNAPSHOT_RESPONSES
    | {
        503: {
            "model": Error,
            "description": "There is no read model, or queries cannot be confined.",
        }
    },
)
async def get_query_tables(_instant: Instant, context: Context) -> Response:
    """Every table that a query can read, with its columns, and the limits of a query."""
    snapshot, settings = context.snapshot, context.settings
    manifest = snapshot.manifest
    if manifest is None:
        raise ReadModelMissing("There is no snapshot yet: run update_readmodel.py")
    await require_confinement(settings.data_dir)
    loaded = await context.views.current(settings, snapshot)
    body = encode(describe_tables(snapshot, manifest, loaded, settings))
    etag = make_etag(VERSION, body.decode())
    return unchanged(context.request, etag) or json_response(body, etag)
