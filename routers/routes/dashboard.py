"""`GET /dashboard`: a static page without data. Its script calls the API with a token."""

from pathlib import Path
from typing import Final

from fastapi import Request, Response
from fastapi.staticfiles import StaticFiles

from util.api_routes import ApiRoutes

STATIC: Final = Path(__file__).parents[2] / "static"

PAGE_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

# File names have no version, so browsers revalidate each time; most answers are 304.
CACHE_CONTROL: Final = "no-cache"

router = ApiRoutes(include_in_schema=False)
_files = StaticFiles(directory=STATIC)


@router.api_route("/dashboard", methods=["GET", "HEAD"])
async def get_dashboard(request: Request) -> Response:
    """The page, without a token. Its script reads the query."""
    page = await _file("dashboard.html", request)
    page.headers["Content-Security-Policy"] = PAGE_POLICY
    return page


@router.api_route("/dashboard/assets/{path:path}", methods=["GET", "HEAD"])
async def get_asset(path: str, request: Request) -> Response:
    """A script, style or picture of the page, without a token; else 404."""
    return await _file(path, request)


async def _file(path: str, request: Request) -> Response:
    """A file of ``static/`` with its ETag, or 304 if the browser has it."""
    response = await _files.get_response(path, request.scope)
    response.headers["Cache-Control"] = CACHE_CONTROL
    return response
