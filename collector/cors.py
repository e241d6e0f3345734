"""Cross-origin requests of browsers, from the origins that the settings list."""

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from config import Settings, listed


class CrossOrigin:
    """Starlette's middleware, once the settings are known; without origins there is none."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._cors: CORSMiddleware | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Process one ASGI connection."""
        app = self._app
        if scope["type"] == "http":
            settings: Settings = scope["app"].state.settings
            app = self._allowing(settings) if settings.cors_origins else app
        await app(scope, receive, send)

    def _allowing(self, settings: Settings) -> CORSMiddleware:
        if self._cors is None:
            self._cors = CORSMiddleware(
                self._app,
                allow_origins=listed(settings.cors_origins),
                allow_methods=["POST"],
                allow_headers=["Authorization", "Content-Type", "Idempotency-Key"],
                expose_headers=["Retry-After"],
            )
        return self._cors
