"""`POST /query`: SQL from people, SELECT only."""

from typing import Final

from fastapi import Request, Response

from routers.auth import RequireQuery
from routers.dependencies import (
    AcceptedFormat,
    CurrentExports,
    CurrentSettings,
    snapshot_of,
)
from routers.formats.answer import EncodedTable
from routers.formats.documents import table_responses
from routers.formats.table import iso_instant
from routers.queries.request import QUERY_BODY, QueryBody
from routers.queries.running import Queries
from routers.responses import (
    ACCEPT,
    PROTECTED_RESPONSES,
    DocumentedResponses,
    ErrorResponse,
)
from routers.routes.views import DATA_UPDATED_AT
from routers.strict_query import NoParameters
from util.api_routes import ApiRoutes

SNAPSHOT: Final = "X-Snapshot"
"""Header with the id of the snapshot that was read."""

_RESPONSES: Final[DocumentedResponses] = {
    **PROTECTED_RESPONSES,
    **table_responses(description="The rows, in the format by Accept."),
    400: {
        "model": ErrorResponse,
        "description": "The statement is not one allowed SELECT, fails, or needs too "
        "much memory.",
    },
    403: {"model": ErrorResponse, "description": "The token may not send SQL."},
    413: {
        "model": ErrorResponse,
        "description": "The body is too large, or a workbook cannot hold the rows.",
    },
    429: {
        "model": ErrorResponse,
        "description": "Too many queries or requests; see Retry-After.",
    },
    503: {
        "model": ErrorResponse,
        "description": "There is no read model, or queries cannot be confined.",
    },
    504: {"model": ErrorResponse, "description": "The query took too long."},
}

router = ApiRoutes(tags=["queries"], dependencies=[RequireQuery, NoParameters])


@router.post(
    "/query",
    response_class=Response,
    responses=_RESPONSES,
    openapi_extra=QUERY_BODY,
)
async def post_query(
    sent: QueryBody,
    accepted: AcceptedFormat,
    request: Request,
    settings: CurrentSettings,
    exports: CurrentExports,
) -> Response:
    """The rows of one SELECT over the tables of the current snapshot.

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
