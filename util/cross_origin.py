"""Cross-origin requests: pages of the origins in CORS_ORIGINS may call a program."""

from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from util.problems import error_response


class CrossOrigin:
    """Add the headers of CORS if any origin is allowed. There are no cookies.

    The origins are `allowed_origins` of the settings in the application's state.
    """

    def __init__(
        self,
        app: ASGIApp,
        methods: Sequence[str],
        request_headers: Sequence[str],
        response_headers: Sequence[str],
    ) -> None:
        self._app = app
        self._methods = methods
        self._request_headers = request_headers
        self._response_headers = response_headers
        self._allowing: CORSMiddleware | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Process one ASGI connection."""
        app = self._app
        if scope["type"] == "http":
            origins: Sequence[str] = scope["app"].state.settings.allowed_origins
            app = self._for(origins) if origins else app
        await app(scope, receive, send)

    def _for(self, origins: Sequence[str]) -> CORSMiddleware:
        if self._allowing is None:
            self._allowing = _AllowedOrigins(
                self._app,
                allow_origins=origins,
                allow_methods=self._methods,
                allow_headers=self._request_headers,
                expose_headers=self._response_headers,
            )
        return self._allowing


def headers_without_origin(scope: Scope) -> list[tuple[bytes, bytes]]:
    """What `CrossOrigin` adds to an answer to a request that names no origin."""
    settings = scope["app"].state.settings
    # The text first: to divide it takes longer than all else here.
    is_allowing = settings.cors_origins and settings.allowed_origins
    return [(b"vary", b"Origin")] if is_allowing else []


class _AllowedOrigins(CORSMiddleware):
    """Refuses preflight requests in the shape of all errors, not as plain text."""

    def preflight_response(self, request_headers: Headers) -> Response:
        """See CORSMiddleware."""
        response = super().preflight_response(request_headers)
        if response.status_code < 400:
            return response
        kept = {
            name: value
            for name, value in response.headers.items()
            if not name.startswith("content-")
        }
        detail = bytes(response.body).decode()
        scope = {"headers": request_headers.raw}
        return error_response(scope, response.status_code, detail, kept)
