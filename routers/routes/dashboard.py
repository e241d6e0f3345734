"""The dashboard: a static page without data, which asks the API with the reader's token."""

from pathlib import Path
from typing import Final

from fastapi import APIRouter, Request, Response
from fastapi.staticfiles import StaticFiles

STATIC: Final = Path(__file__).parents[2] / "static"

PAGE_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

# No name holds a version, so browsers ask each time; mostly they are answered 304.
CACHE_CONTROL: Final = "no-cache"

router = APIRouter(include_in_schema=False)
_files = StaticFiles(directory=STATIC)


@router.api_route("/dashboard", methods=["GET", "HEAD"])
async def get_dashboard(request: Request) -> Response:
    """Public: the page itself. What its address says is for the page's script."""
    page = await _file("dashboard.html", request)
    page.headers["Content-Security-Policy"] = PAGE_POLICY
    return page


@router.api_route("/dashboard/assets/{path:path}", methods=["GET", "HEAD"])
async def get_asset(path: str, request: Request) -> Response:
    """Public: what the page is made of; 404 for anything else."""
    return await _file(path, request)


async def _file(path: str, request: Request) -> Response:
    """A file of ``static/`` with its ETag, or 304 where the browser has it."""
    response = await _files.get_response(path, request.scope)
    response.headers["Cache-Control"] = CACHE_CONTROL
    return response
