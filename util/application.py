"""What our FastAPI applications have in common."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from starlette.routing import BaseRoute

from util.api_routes import LazyRoute, operation_id
from util.json_types import JsonObject


def create_application(
    title: str,
    version: str,
    description: str,
    lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]],
    routes: Sequence[BaseRoute] = (),
) -> FastAPI:
    """Create an application whose docs at /docs load nothing from other servers.

    *routes* come before those that FastAPI adds itself.
    """
    app: FastAPI = FastAPIOffline(
        title=title,
        version=version,
        description=description,
        docs_url="/docs",
        redoc_url=None,
        static_url="/docs/assets",
        lifespan=lifespan,
        generate_unique_id_function=operation_id,
        routes=list(routes),
        # Spans of requests, if there is an endpoint for them; the rest is ours already.
        telemetry={
            "tracing": True,
            "metrics": False,
            "logs": False,
            "operation_spans": False,
            "auto_configure": False,
        },
    )
    # As FastAPI's documentation extends it.
    app.openapi = partial(_document, app, app.openapi)  # type: ignore[method-assign]
    return app


def _document(app: FastAPI, document: Callable[[], JsonObject]) -> JsonObject:
    """The OpenAPI document: FastAPI knows only the routes that are created."""
    routes = app.router.routes
    routes[:] = [it.created if isinstance(it, LazyRoute) else it for it in routes]
    return document()
