"""Direct routes: they answer as FastAPI would."""

from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Path, Query, Request
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.testclient import TestClient

from routers.direct_route import DirectRoute
from routers.query import AnalyticsParameters

URLS = (
    "/7",
    "/7?period=7d&sections=votes",
    "/7?from=2024-06-03",
    "/7?from_=2024-06-03",
    "/7?period=3d&weekends=2&average=0&unknown=1",
    "/7?tz=Mars&interval=",
    "/x?period=",
    "/0?perid=7d",
    "/7?refused=1",
)


async def _refuse(request: Request) -> None:
    if "refused" in request.query_params:
        raise HTTPException(403, "refused")


async def _host(request: Request) -> str:
    return request.url.path


async def _echo(
    number: Annotated[int, Path(ge=1)],
    query: Annotated[AnalyticsParameters, Query()],
    path: Annotated[str, Depends(_host)],
    request: Request,
) -> JSONResponse:
    sent = query.model_dump(mode="json", exclude={"parsed_filter"})
    return JSONResponse([number, sent, path, request.method])


def _client(route_class: type[APIRoute]) -> TestClient:
    router = APIRouter(route_class=route_class, dependencies=[Depends(_refuse)])
    router.add_api_route("/{number}", _echo)
    app = FastAPI()
    app.router.routes.extend(router.routes)
    return TestClient(app)


@pytest.mark.parametrize("url", URLS)
def test_the_answer_is_that_of_fastapi(url: str) -> None:
    """Its status and its bytes, for good and for bad parameters."""
    direct, usual = (_client(kind).get(url) for kind in (DirectRoute, APIRoute))
    assert (direct.status_code, direct.content) == (usual.status_code, usual.content)


def test_a_handler_with_another_kind_of_parameter_is_refused() -> None:
    """When the route is created, not when it is requested."""

    async def handler(number: int) -> Any:
        return number

    with pytest.raises(TypeError, match="number is neither"):
        DirectRoute("/", handler)
