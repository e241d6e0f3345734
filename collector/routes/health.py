"""Health and metrics of the collector, without a token."""

from fastapi import APIRouter, Request, Response

from collector.app_state import Intake
from collector.models import Liveness, Readiness

router = APIRouter(tags=["health"])

QUIET = ("/health", "/healthz", "/readyz", "/metrics")
"""Routes whose successful requests are not logged."""


@router.get("/health")
async def get_health(request: Request) -> Liveness:
    """200 while the process answers."""
    return Liveness(service=request.app.state.settings.service_name)


@router.get("/healthz")
async def get_healthz(request: Request) -> Liveness:
    """The same, by the name that Kubernetes uses."""
    return await get_health(request)


@router.get(
    "/readyz",
    responses={503: {"model": Readiness, "description": "No events are taken."}},
)
async def get_readyz(request: Request, response: Response) -> Readiness:
    """503 while no events are taken: the spool cannot be written, or is over a bound."""
    intake: Intake = request.app.state.intake
    problem = intake.spool.problem()
    if problem:
        response.status_code = 503
    return Readiness(status="unavailable" if problem else "ok", detail=problem)


@router.get(
    "/metrics",
    response_class=Response,
    responses={
        200: {
            "description": "The metrics.",
            "content": {"text/plain": {"schema": {"type": "string"}}},
        }
    },
)
async def get_metrics(request: Request) -> Response:
    """Metrics of requests, events and the spool, in Prometheus text format."""
    intake: Intake = request.app.state.intake
    usage = intake.spool.usage
    intake.metrics.spool_bytes.set(usage.bytes)
    intake.metrics.spool_files.set(usage.files)
    intake.metrics.spool_oldest.set(usage.oldest or 0)
    text, content_type = intake.metrics.render(request.headers.get("accept", ""))
    return Response(text, media_type=content_type)
