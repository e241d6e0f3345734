"""Who may do what: the only place that decides.

A caller sends a token, or a credential that was signed with one (`routers.credentials`):
the cookie of a session, or the token of a link to one view.
"""

import hmac
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final, NamedTuple

from fastapi import HTTPException, Request, Security
from fastapi.security import HTTPBearer
from starlette.datastructures import QueryParams
from starlette.requests import cookie_parser
from starlette.types import Scope

from config import Settings
from routers import credentials
from routers.credentials import Credential, CredentialKind
from routers.dependencies import now_of, settings_of

SESSION_COOKIE: Final = "fpp_session"

SAFE_METHODS: Final = ("GET", "HEAD")
"""Methods for which the cookie counts: a page of another origin can cause no effect."""


class Right(StrEnum):
    """What a caller may do."""

    READ = "read"
    """Read statistics, tables, reports and the state of the sync."""
    METRICS = "metrics"
    """Read the metrics of the program."""
    DELIVER = "deliver"
    """Send the figures of the day to the e-mail service."""


class AccessToken(NamedTuple):
    """A token of the settings, and what it allows."""

    secret: str
    rights: frozenset[Right]


class Principal(NamedTuple):
    """Who sent a request.

    *secret* is the token of the settings to which the request goes back.
    """

    secret: str
    rights: frozenset[Right]
    credential: Credential | None = None

    @property
    def view(self) -> Mapping[str, str] | None:
        """The only view that a link allows; None for all."""
        return self.credential.view if self.credential else None


def access_tokens(settings: Settings) -> tuple[AccessToken, ...]:
    """All tokens that callers may send."""
    full = [AccessToken(each, frozenset(Right)) for each in settings.require_tokens()]
    viewers = [
        AccessToken(each, frozenset({Right.READ})) for each in settings.viewer_tokens
    ]
    return (*full, *viewers)


def identify(scope: Scope, settings: Settings) -> Principal | None:
    """The caller, or None if nothing that the request sends is valid.

    Whether a session or a link has ended is checked later.
    """
    tokens = access_tokens(settings)
    headers: Sequence[tuple[bytes, bytes]] = scope["headers"]
    if any(name == b"authorization" for name, _ in headers):
        return _by_header(headers, tokens)
    if scope["method"] in SAFE_METHODS:
        return _by_cookie(headers, tokens)
    return None


def _by_header(
    headers: Iterable[tuple[bytes, bytes]], tokens: Sequence[AccessToken]
) -> Principal | None:
    sent = sent_token(headers)
    matches = [hmac.compare_digest(sent, each.secret.encode()) for each in tokens]
    if any(matches):
        token = tokens[matches.index(True)]
        return Principal(token.secret, token.rights)
    return _by_credential(sent, CredentialKind.LINK, tokens)


def sent_token(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The token in the Authorization header; empty if there is none.

    The header is ``Bearer <token>``, the scheme in any case and followed by one or more
    blanks (RFC 9110), or the bare token. Two headers are ambiguous and count as none.
    """
    values = [value for name, value in headers if name == b"authorization"]
    sent = values[0] if len(values) == 1 else b""
    scheme, _, token = sent.partition(b" ")
    return token.lstrip(b" ") if scheme.lower() == b"bearer" else sent


def _by_cookie(
    headers: Iterable[tuple[bytes, bytes]], tokens: Sequence[AccessToken]
) -> Principal | None:
    for name, value in headers:
        if name == b"cookie":
            sent = cookie_parser(value.decode("latin-1")).get(SESSION_COOKIE, "")
            return _by_credential(sent.encode(), CredentialKind.SESSION, tokens)
    return None


def _by_credential(
    sent: bytes, kind: CredentialKind, tokens: Sequence[AccessToken]
) -> Principal | None:
    """The caller by a credential that was signed with one of *tokens*; it only reads."""
    if not credentials.looks_signed(sent):
        return None
    for token in tokens:
        if credential := credentials.verify(sent, kind, token.secret):
            rights = token.rights & {Right.READ}
            return Principal(token.secret, rights, credential)
    return None


class _RightScheme(HTTPBearer):
    """HTTP bearer authentication that checks a right: 401 without a valid token, or 403.

    The caller is then `principal` in the request's state.
    """

    def __init__(self, right: Right) -> None:
        super().__init__(
            scheme_name="HTTPBearer",
            description=(
                "ANALYTICS_SECRET_TOKEN, or one of ANALYTICS_VIEWER_TOKENS, which only "
                "read; as `Bearer <token>` or the bare token."
            ),
        )
        self._right = right

    async def __call__(self, request: Request) -> Principal:  # type: ignore[override]
        """The caller of *request*. Raises HTTPException (401, 403)."""
        caller = identify(request.scope, settings_of(request))
        if caller is None:
            raise _unauthorized("Missing or wrong token")
        _require_not_ended(caller, now_of(request))
        if self._right not in caller.rights:
            raise HTTPException(
                403, f"This token does not have the right to {self._right}"
            )
        _require_view(request, caller)
        request.state.principal = caller
        return caller


def principal_of(request: Request) -> Principal:
    """The caller, after its right was checked."""
    principal: Principal = request.state.principal
    return principal


def _unauthorized(detail: str) -> HTTPException:
    return HTTPException(401, detail, headers={"WWW-Authenticate": "Bearer"})


def _require_not_ended(caller: Principal, now: datetime) -> None:
    if caller.credential and caller.credential.expires_at <= now:
        ended = "link" if caller.credential.view is not None else "session"
        raise _unauthorized(f"This {ended} has ended")


def _require_view(request: Request, caller: Principal) -> None:
    """Answer 403 if the caller's link is to another view than *request* asks for."""
    view = caller.view
    if view is not None and not _shows(view, request):
        raise HTTPException(403, "This link is to one view, and this is another one")


VIEW_PARAMETERS: Final = ("period", "from", "to", "tz", "filter")
"""Parameters whose values a link fixes."""

COMPARISON_PARAMETERS: Final = ("compare", "compare_from", "compare_to")
"""Parameters whose values a link fixes unless a request leaves them out."""

ROOM: Final = "room"

_SESSION_ROUTE: Final = "/session"

_VIEW_ROUTES: Final = frozenset(
    {
        "/",
        "/breakdown/{dimension}",
        "/breakdown/{dimension}.csv",
        "/breakdown/{dimension}.{extension}",
        "/historical",
        "/historical.csv",
        "/historical.{extension}",
    }
)
"""Routes that a link to a view without a room allows."""

_ROOM_ROUTE: Final = "/rooms/{room_id}"


def _shows(view: Mapping[str, str], request: Request) -> bool:
    """True if *request* reads a part of *view*, or what the link itself allows."""
    route = request.scope["route"].path
    if request.method != "GET":
        return False
    if route == _SESSION_ROUTE:
        return True
    if ROOM in view:
        found = route == _ROOM_ROUTE and request.path_params["room_id"] == view[ROOM]
    else:
        found = route in _VIEW_ROUTES
    return found and _asks_the_same(view, request.query_params)


def _asks_the_same(view: Mapping[str, str], sent: QueryParams) -> bool:
    same = all(sent.get(name) == view.get(name) for name in VIEW_PARAMETERS)
    compared = (name for name in COMPARISON_PARAMETERS if name in sent)
    return same and all(sent[name] == view.get(name) for name in compared)


RequireToken: Final = Security(_RightScheme(Right.READ))
RequireMetrics: Final = Security(_RightScheme(Right.METRICS))

CurrentPrincipal = Annotated[Principal, RequireToken]
