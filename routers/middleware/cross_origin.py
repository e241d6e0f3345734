"""Cross-origin requests: pages of the origins in CORS_ORIGINS may call the API."""

from typing import Final

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from config import Settings

REQUEST_HEADERS: Final = ("Authorization", "If-None-Match", "X-Request-ID")
RESPONSE_HEADERS: Final = (
    "Content-Disposition",
    "ETag",
    "Link",
    "Retry-After",
    "X-RateLimit-Limit",
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
    "X-Request-ID",
)


class CrossOrigin:
    """Add the headers of CORS if any origin is allowed. There are no cookies."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._allowing: CORSMiddleware | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Process one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        settings: Settings = scope["app"].state.settings
        if not settings.allowed_origins:
            await self._app(scope, receive, send)
            return
        if self._allowing is None:
            self._allowing = CORSMiddleware(
                self._app,
                allow_origins=settings.allowed_origins,
                allow_methods=("GET", "HEAD"),
                allow_headers=REQUEST_HEADERS,
                expose_headers=RESPONSE_HEADERS,
            )
        await self._allowing(scope, receive, send)
