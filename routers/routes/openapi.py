"""`GET /openapi.json`: the OpenAPI document, with the operations of the SQL files."""

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.routing import Route

from readmodel.store import snapshot
from routers.openapi_style import styled
from routers.views.documents import document_views
from routers.views.loaded import LoadedViews
from routers.worker.refusals import JobCrashed, JobTimeout
from util.json_types import JsonObject
from util.sentry_wrapper import ErrorContext, Severity, capture_error


async def get_openapi(request: Request) -> JSONResponse:
    """The document, without a token; it describes the SQL files as they are now."""
    app: FastAPI = request.app
    loaded = await _load_views(app)
    document = document_views(app.openapi(), loaded, app.state.view_routes)
    return JSONResponse(styled(document | _servers(request)))


def _servers(request: Request) -> JsonObject:
    """The prefix that a proxy in front of the API has removed, if any."""
    prefix = request.scope.get("root_path", "").rstrip("/")
    return {"servers": [{"url": prefix}]} if prefix else {}


async def _load_views(app: FastAPI) -> LoadedViews:
    """Load the SQL files; without them if that fails: the others are documented."""
    settings = app.state.settings
    current = snapshot.latest_readable(settings.data_dir)
    try:
        loaded: LoadedViews = await app.state.views.current(settings, current)
    except (OSError, JobCrashed, JobTimeout) as error:
        capture_error(error, ErrorContext("api", "load views"), Severity.HIGH)
        return LoadedViews()
    return loaded


# Before FastAPI's own of this path, which knows nothing of the SQL files.
OPENAPI_ROUTE = Route("/openapi.json", get_openapi, include_in_schema=False)
