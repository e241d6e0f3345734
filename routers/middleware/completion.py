"""Requests that come before the application has all of its routes wait for them."""

import asyncio
from collections.abc import Collection

from starlette.types import ASGIApp, Receive, Scope, Send

from util.route_path import route_path


class AwaitRoutes:
    """Let requests wait for `all_routes` of the application's state, an Event.

    Those for the paths *at_once* pass: their routes are there from the beginning.
    """

    def __init__(self, app: ASGIApp, at_once: Collection[str]) -> None:
        self._app = app
        self._at_once = at_once

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Process one ASGI connection."""
        if scope["type"] == "http":
            added: asyncio.Event = scope["app"].state.all_routes
            if not added.is_set() and route_path(scope) not in self._at_once:
                await added.wait()
        await self._app(scope, receive, send)
