"""Ways in for people: a session in a cookie, and links to one view."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

from fastapi import Query, Request, Response
from pydantic import BaseModel, Field

from routers import credentials
from routers.auth import (
    COMPARISON_PARAMETERS,
    ROOM,
    SESSION_COOKIE,
    VIEW_PARAMETERS,
    CurrentPrincipal,
    signing_secret,
)
from routers.credentials import CredentialKind
from routers.query import ComparisonParameters, FilterParameters, require_range
from routers.request_state import clock_of, now_of, settings_of
from routers.responses import (
    PROTECTED_RESPONSES,
    PUBLIC_RESPONSES,
    encode,
    uncached_json_response,
)
from routers.strict_query import NoParameters, NoRepeatedParameters, invalid_parameter
from util.api_routes import ApiRoutes
from util.rights import Right

SESSION_LENGTH: Final = timedelta(days=30)

MAX_LINK_DAYS: Final = 90

router = ApiRoutes(tags=["session"], dependencies=[NoRepeatedParameters])


class SessionAnswer(BaseModel, defer_build=True):
    """Who the API takes the caller for."""

    rights: list[Right] = Field(description="What the caller may do.")
    expires_at: datetime | None = Field(
        description="When the session or the link ends (UTC); null for a token."
    )
    view: dict[str, str] | None = Field(
        description="The parameters of the only view that a link allows, or null.",
        examples=[{"period": "30d", "filter": "country:DE"}],
    )


class LinkAnswer(BaseModel, defer_build=True):
    """A link to one view."""

    token: str = Field(description="To be sent like a token, or as `#link=…`.")
    expires_at: datetime = Field(description="When it ends (UTC).")
    view: dict[str, str] = Field(description="The parameters that it fixes.")


class LinkParameters(FilterParameters, ComparisonParameters):
    """The view that a link is to, and how long it works."""

    days: int = Field(
        7, ge=1, le=MAX_LINK_DAYS, description="Days until the link ends."
    )
    room: int | None = Field(
        None, ge=1, description="Id of a room, for a link to it; it takes no `filter`."
    )


@router.get(
    "/session",
    response_model=SessionAnswer,
    responses=PROTECTED_RESPONSES,
    dependencies=[NoParameters],
)
async def get_session(caller: CurrentPrincipal) -> Response:
    """What the caller may do, and until when."""
    credential = caller.credential
    answer = SessionAnswer(
        rights=sorted(caller.rights),
        expires_at=credential and credential.expires_at,
        view=credential and credential.view and dict(credential.view),
    )
    return uncached_json_response(encode(answer))


@router.post(
    "/session",
    status_code=204,
    response_class=Response,
    responses=PROTECTED_RESPONSES,
    dependencies=[NoParameters],
)
async def post_session(request: Request, caller: CurrentPrincipal) -> Response:
    """Keep the sender of a token signed in for 30 days, by a cookie that only reads."""
    session = credentials.sign(
        CredentialKind.SESSION,
        signing_secret(caller),
        clock_of(request) + SESSION_LENGTH,
    )
    response = Response(status_code=204, headers={"Cache-Control": "no-store"})
    response.set_cookie(
        SESSION_COOKIE,
        session,
        max_age=int(SESSION_LENGTH.total_seconds()),
        **_cookie_attributes(request),
    )
    return response


@router.delete(
    "/session",
    status_code=204,
    response_class=Response,
    responses=PUBLIC_RESPONSES,
    dependencies=[NoParameters],
)
async def delete_session(request: Request) -> Response:
    """Remove the cookie of the session."""
    response = Response(status_code=204, headers={"Cache-Control": "no-store"})
    response.delete_cookie(SESSION_COOKIE, **_cookie_attributes(request))
    return response


def _cookie_attributes(request: Request) -> dict[str, Any]:
    return {
        "path": request.scope.get("root_path") or "/",
        "secure": request.url.scheme == "https",
        "httponly": True,
        "samesite": "strict",
    }


@router.get("/link", response_model=LinkAnswer, responses=PROTECTED_RESPONSES)
async def get_link(
    query: Annotated[LinkParameters, Query()],
    request: Request,
    caller: CurrentPrincipal,
) -> Response:
    """A link that lets its readers see one view, and nothing else, until it ends.

    It also ends when the token of its creator is removed. Nothing is stored.
    """
    period = query.resolve(settings_of(request), now_of(request))
    require_range(query, period)
    if period.range is None:
        raise invalid_parameter("period", None, "name the days that the link shows")
    if query.room is not None and query.filters:
        raise invalid_parameter("filter", request.query_params["filter"], _NO_FILTER)
    ends = clock_of(request) + timedelta(days=query.days)
    expires_at = ends.replace(microsecond=0)
    view = _view(request.query_params, query.room)
    token = credentials.sign(
        CredentialKind.LINK, signing_secret(caller), expires_at, view
    )
    answer = LinkAnswer(token=token, expires_at=expires_at, view=view)
    return uncached_json_response(encode(answer))


_NO_FILTER: Final = "leave it out: a room has no filter"


def _view(sent: Mapping[str, str], room: int | None) -> dict[str, str]:
    names = (*VIEW_PARAMETERS, *COMPARISON_PARAMETERS)
    view = {name: sent[name] for name in names if name in sent}
    return view if room is None else view | {ROOM: str(room)}
