"""The routes by which an updater on another host takes the spool (COLLECTOR_URLS)."""

import asyncio
from collections.abc import Callable
from typing import Annotated, Any, Final

from fastapi import Depends, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ValidationError

from collector.app_state import Intake
from collector.bodies import MalformedBody
from collector.receiving import read_body
from collector.routes.ingest import JSON, BodyRoute
from collector.spool import SpoolUnavailable
from events.spool_transfer import (
    ACKNOWLEDGE_PATH,
    FILES_PATH,
    LONGEST_NAME,
    MOST_FILES,
    READ_PATH,
    Acknowledgement,
    AcknowledgementResult,
    SpoolPage,
    WantedFiles,
)
from util.api_routes import ApiRoutes
from util.problems import Error

QUIET: Final = (FILES_PATH, READ_PATH, ACKNOWLEDGE_PATH)
"""Routes whose successful requests are not logged: there are several a second."""

REFUSALS: Final[dict[int | str, dict[str, Any]]] = {
    401: {"model": Error, "description": "The token is missing or not valid."},
    403: {"model": Error, "description": "The token is not SPOOL_TOKEN."},
    503: {"model": Error, "description": "The disk of the spool fails."},
}
MALFORMED: Final[dict[int | str, dict[str, Any]]] = {
    413: {"model": Error, "description": "Too many bytes."},
    415: {"model": Error, "description": "The body is compressed."},
    422: {"model": Error, "description": "The body has another form."},
}
BINARY: Final = "application/octet-stream"
NOT_STORED: Final = {"Cache-Control": "no-store"}
SECURED: Final[dict[str, Any]] = {"security": [{"token": []}]}

REQUEST_MODELS: Final = (WantedFiles, Acknowledgement)
"""Their schemas belong into the document's components."""


def _documented(model: type[BaseModel]) -> dict[str, Any]:
    """The parts of an operation that FastAPI cannot derive, since bodies are bytes."""
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    body = {"required": True, "content": {JSON: {"schema": schema}}}
    return {**SECURED, "requestBody": body}


def require_updater(request: Request) -> None:
    """Raise NotAuthenticated or NotAllowed unless the request carries SPOOL_TOKEN."""
    intake: Intake = request.app.state.intake
    intake.callers.require_updater(request.headers.get("authorization", ""))


reading = ApiRoutes(tags=["spool"], dependencies=[Depends(require_updater)])
writing = ApiRoutes(tags=["spool"], route_class=BodyRoute)


@reading.get(FILES_PATH, responses=REFUSALS, openapi_extra=SECURED)
async def list_spool_files(
    request: Request,
    after: Annotated[
        str,
        Query(max_length=LONGEST_NAME, description="The last name of the page before."),
    ] = "",
    limit: Annotated[int, Query(ge=0, le=MOST_FILES)] = MOST_FILES,
) -> SpoolPage:
    """List complete files of the spool, which never change, with their checksums."""
    intake: Intake = request.app.state.intake
    return await _on_disk(intake.offered.page, after, limit)


@writing.post(
    READ_PATH,
    response_class=Response,
    responses={
        **REFUSALS,
        **MALFORMED,
        200: {
            "description": "The contents, in the order of the names.",
            "content": {BINARY: {"schema": {"type": "string", "format": "binary"}}},
        },
        404: {"model": Error, "description": "One of the files is not there."},
    },
    openapi_extra=_documented(WantedFiles),
)
async def read_spool_files(request: Request) -> Response:
    """Read files: their contents follow each other without a separator.

    Divide them by their sizes, and compare their checksums, as the listing has them.
    """
    wanted = await _body(request, WantedFiles)
    intake: Intake = request.app.state.intake
    content = await _on_disk(intake.offered.contents, wanted.names)
    if content is None:
        return JSONResponse({"detail": "One of the files is not there"}, 404)
    return Response(content, 200, NOT_STORED, BINARY)


@writing.post(
    ACKNOWLEDGE_PATH,
    response_model=AcknowledgementResult,
    responses={**REFUSALS, **MALFORMED},
    openapi_extra=_documented(Acknowledgement),
)
async def acknowledge_spool_files(request: Request) -> Response:
    """Remove files that a published snapshot contains.

    Only files with this content are removed, and repeating it changes nothing.
    """
    stored = await _body(request, Acknowledgement)
    intake: Intake = request.app.state.intake
    result = await _on_disk(intake.offered.acknowledge, stored.files)
    return Response(result.model_dump_json(), 200, NOT_STORED, JSON)


async def _body[Body: BaseModel](request: Request, model: type[Body]) -> Body:
    """The body of a request of the updater, which is read for nobody else."""
    require_updater(request)
    try:
        return model.model_validate_json(await read_body(request))
    except ValidationError:
        raise MalformedBody(
            422, f"The body is not of the form {model.__name__}"
        ) from None


async def _on_disk[**P, T](
    work: Callable[P, T], *arguments: P.args, **options: P.kwargs
) -> T:
    """Run *work* on a thread. Raises SpoolUnavailable if the disk fails."""
    try:
        return await asyncio.to_thread(work, *arguments, **options)
    except OSError as error:
        raise SpoolUnavailable("The spool cannot be read or emptied now") from error
