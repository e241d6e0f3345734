"""The API's metrics for Prometheus."""

from typing import Any

from fastapi import APIRouter, Request, Response

from routers.auth import RequireToken
from routers.responses import PROTECTED
from routers.strict_query import NoParameters
from util.metrics import ApiMetrics

router = APIRouter(tags=["health"], dependencies=[RequireToken, NoParameters])


TEXT: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The metrics.",
        "content": {"text/plain": {"schema": {"type": "string"}}},
    }
}


# With a class of one media type, errors would be documented in it as well.
@router.get("/metrics", response_class=Response, responses=PROTECTED | TEXT)
def get_metrics(request: Request) -> Response:
    """Requests, the snapshot and the runs, in Prometheus' text form."""
    metrics: ApiMetrics = request.app.state.metrics
    text, content_type = metrics.render(request.headers.get("accept", ""))
    return Response(text, media_type=content_type)
