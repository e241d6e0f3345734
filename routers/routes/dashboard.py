"""`GET /dashboard`: a static page without data. Its script calls the API with a token."""

import hashlib
from functools import cache
from pathlib import Path
from typing import Final

from fastapi import Request, Response
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from util.api_routes import ApiRoutes

STATIC: Final = Path(__file__).parents[2] / "static"

PAGE_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

REVALIDATED: Final = "no-cache"
IMMUTABLE: Final = "public, max-age=31536000, immutable"

_ASSETS: Final = "dashboard/assets/"

router = ApiRoutes(include_in_schema=False)
_files = StaticFiles(directory=STATIC)


class RedirectBrowsers:
    """Middleware that sends a browser from `/` to the page.

    A request without a token that prefers HTML comes from a person's address bar;
    clients of the API send a token.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Process one ASGI connection."""
        if scope["type"] == "http" and _is_browser_at_root(Request(scope)):
            # Relative, so that it works below any path prefix.
            headers = {"Location": "dashboard", "Vary": "Accept, Authorization"}
            await Response(status_code=307, headers=headers)(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def _is_browser_at_root(request: Request) -> bool:
    return (
        request.method in ("GET", "HEAD")
        and request.url.path == f"{request.scope.get('root_path', '')}/"
        and "authorization" not in request.headers
        and "text/html" in request.headers.get("accept", "")
    )


@cache
def assets_version() -> str:
    """Digest of all files below ``static/``: changes whenever one of them does."""
    digest = hashlib.sha256()
    for path in sorted(path for path in STATIC.rglob("*") if path.is_file()):
        digest.update(path.relative_to(STATIC).as_posix().encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


@cache
def _page() -> bytes:
    """The page, whose assets have the version in their addresses.

    Scripts import each other by relative addresses, so they have it, too.
    """
    text = (STATIC / "dashboard.html").read_text(encoding="utf-8")
    return text.replace(_ASSETS, f"{_ASSETS}{assets_version()}/").encode()


@router.api_route("/dashboard", methods=["GET", "HEAD"])
async def get_dashboard(request: Request) -> Response:
    """The page, without a token. Its script reads the query."""
    etag = f'W/"{hashlib.sha256(_page()).hexdigest()[:32]}"'
    headers = {
        "Cache-Control": REVALIDATED,
        "Content-Security-Policy": PAGE_POLICY,
        "ETag": etag,
    }
    if etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return HTMLResponse(_page(), headers=headers)


@router.api_route("/dashboard/assets/{path:path}", methods=["GET", "HEAD"])
async def get_asset(path: str, request: Request) -> Response:
    """A script, style or picture of the page, without a token; else 404.

    Browsers never ask again for one whose address has the present version.
    """
    version, _, file = path.partition("/")
    versioned = version == assets_version()
    response = await _files.get_response(file if versioned else path, request.scope)
    response.headers["Cache-Control"] = IMMUTABLE if versioned else REVALIDATED
    return response
