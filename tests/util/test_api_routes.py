"""Routes of a module: created when they are needed, and not before."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.testclient import TestClient

from util.api_routes import ApiRoutes
from util.application import create_application


@asynccontextmanager
async def _nothing(_: FastAPI) -> AsyncIterator[None]:
    yield


def _application() -> tuple[FastAPI, ApiRoutes]:
    routes = ApiRoutes(tags=["things"])

    @routes.get("/things/{number}")
    async def get_thing(number: int) -> int:
        return number

    @routes.post("/things")
    async def post_thing() -> str:
        return "posted"

    @routes.delete("/others")
    async def delete_other() -> str:
        return "deleted"

    app = create_application("Things", "1", "", _nothing)
    app.router.routes.extend(routes.routes)
    return app, routes


def _created(routes: ApiRoutes) -> list[str]:
    return [route.path for route in routes.routes if "created" in vars(route)]


def test_a_route_is_created_with_the_first_request_for_it() -> None:
    """No other route is."""
    app, routes = _application()
    client = TestClient(app)
    assert client.get("/nothing").status_code == 404
    assert _created(routes) == []
    assert client.get("/things/7").json() == 7
    assert client.get("/things/x").status_code == 422
    assert _created(routes) == ["/things/{number}"]


def test_each_method_is_answered_by_its_route_and_others_are_refused() -> None:
    """As by routes that exist from the beginning."""
    client = TestClient(_application()[0])
    assert client.post("/things").json() == "posted"
    assert client.delete("/others").json() == "deleted"
    assert client.get("/others").status_code == 405


def test_the_document_has_all_routes_in_their_order() -> None:
    """Whether they were requested or not; operations are named after the handlers."""
    app, routes = _application()
    TestClient(app).delete("/others")
    document = app.openapi()
    assert list(document["paths"]) == [route.path for route in routes.routes]
    operation = document["paths"]["/others"]["delete"]
    assert (operation["operationId"], operation["tags"]) == ("delete_other", ["things"])
    assert TestClient(app).get("/things/7").json() == 7
