"""`GET /metrics`: the API's metrics for Prometheus."""

from typing import Final

from fastapi import Request, Response

from routers.auth import RequireMetrics
from routers.responses import PROTECTED_RESPONSES, DocumentedResponses
from routers.strict_query import NoParameters
from util.api_routes import ApiRoutes
from util.metrics import ApiMetrics

router = ApiRoutes(tags=["health"], dependencies=[RequireMetrics, NoParameters])

TEXT: Final[DocumentedResponses] = {
    200: {
        "description": "The metrics.",
        "content": {"text/plain": {"schema": {"type": "string"}}},
    }
}


# Not a response class of text/plain: its errors would be documented as text, too.
@router.get("/metrics", response_class=Response, responses=PROTECTED_RESPONSES | TEXT)
def get_metrics(request: Request) -> Response:
    """Metrics of requests, of the snapshot and of syncs, in Prometheus text format."""
    metrics: ApiMetrics = request.app.state.metrics
    text, content_type = metrics.render(request.headers.get("accept", ""))
    return Response(text, media_type=content_type)
