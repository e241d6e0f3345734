"""Who calls: the token, the cookie or the link of a request, and the right of its route.

A caller sends a token, which `util.access_tokens` compares with those of the settings,
a JWT, which `util.access` knows, or a credential that was signed with a token
(`routers.credentials`): the cookie of a session, or the token of a link to one view.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Final, NamedTuple

from fastapi import HTTPException, Request, Security
from fastapi.security import HTTPBearer
from starlette.datastructures import QueryParams
from starlette.requests import cookie_parser
from starlette.types import Scope

from config import Settings
from routers import credentials
from routers.credentials import Credential, CredentialKind
from routers.request_state import clock_of, settings_of
from routers.strict_query import AS_OF
from util.access import Access, access_of
from util.access_tokens import AccessToken
from util.errors import SettingsError
from util.rights import API_RIGHTS, SIGNED_RIGHTS, Right

SESSION_COOKIE: Final = "fpp_session"

TOKEN_HEADERS: Final = (b"authorization", b"x-api-key")

SAFE_METHODS: Final = ("GET", "HEAD")
"""Methods for which the cookie counts: a page of another origin can cause no effect."""


class Principal(NamedTuple):
    """Who sent a request.

    *secret* is the token of the settings to which the request goes back, *name* that
    of its owner. Without a token of the settings, they tell callers apart.
    """

    name: str
    secret: str
    rights: frozenset[Right]
    credential: Credential | None = None
    has_token: bool = True

    @property
    def view(self) -> Mapping[str, str] | None:
        """The only view that a link allows; None for all."""
        return self.credential.view if self.credential else None


class _Same:
    """Settings as the key of a cache, by identity: every request asks for theirs."""

    __slots__ = ("settings",)

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def __hash__(self) -> int:
        return id(self.settings)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.settings is self.settings


def api_access(settings: Settings) -> Access:
    """Who may do what in the API."""
    return _api_access(_Same(settings))


@lru_cache(maxsize=4)
def _api_access(same: _Same) -> Access:
    return access_of(same.settings.access, API_RIGHTS)


def identify(scope: Scope, settings: Settings) -> Principal | None:
    """The caller, or None if nothing that the request sends is valid.

    Whether a session or a link has ended is checked later.
    """
    access = api_access(settings)
    headers: Sequence[tuple[bytes, bytes]] = scope["headers"]
    found = None
    if any(name in TOKEN_HEADERS for name, _ in headers):
        found = _by_header(sent_token(headers), access)
    elif scope["method"] in SAFE_METHODS:
        found = _by_cookie(headers, access.tokens)
    if found is not None:
        scope.setdefault("state", {})["caller"] = found.name  # for the log line
    return found


def _by_header(sent: bytes, access: Access) -> Principal | None:
    if caller := access.by_token(sent):
        return Principal(caller.name, caller.secret or "", caller.rights)
    link = _by_credential(sent, CredentialKind.LINK, access.tokens)
    return link or _by_jwt(sent, access)


def _by_jwt(sent: bytes, access: Access) -> Principal | None:
    if not sent or not access.takes_jwts:
        return None
    from util.json_web_tokens import InvalidToken

    try:
        caller = access.by_jwt(sent)
    except InvalidToken:
        return None
    # Its subject is personal, so it names neither log lines nor metrics.
    return Principal("jwt", f"jwt {caller.name}", caller.rights, has_token=False)


def require_usable_keys(settings: Settings) -> None:
    """Raise SettingsError if JWTs have rights, and no key could verify them."""
    access = api_access(settings)
    if access.takes_jwts and not access.verifier.keys.current():
        raise SettingsError(
            "JWT_SECRET_KEY and JWT_JWKS_FILE are missing: JWT_READ_ROLES and "
            "JWT_QUERY_ROLES need one of them"
        )


def signing_secret(caller: Principal) -> str:
    """The secret that signs credentials of *caller*. Raises HTTPException (403)."""
    if not caller.has_token:
        raise HTTPException(403, "A JWT makes no sessions and links: it ends by itself")
    return caller.secret


def sent_token(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The token in the header Authorization or X-API-Key; empty if there is none.

    The first is ``Bearer <token>``, the scheme in any case and followed by one or more
    blanks (RFC 9110), or the bare token; the second is the bare token. Two headers are
    ambiguous and count as none.
    """
    sent = [(name, value) for name, value in headers if name in TOKEN_HEADERS]
    if len(sent) != 1:
        return b""
    ((header, value),) = sent
    scheme, _, token = value.partition(b" ")
    is_bearer = header == b"authorization" and scheme.lower() == b"bearer"
    return token.lstrip(b" ") if is_bearer else value


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
            rights = token.rights & SIGNED_RIGHTS
            return Principal(token.name, token.secret, rights, credential)
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
                "read, or of SQL_TOKENS, which also send SQL; as `Bearer <token>`, as "
                "the bare token, or in the header X-API-Key."
            ),
        )
        self._right = right

    async def __call__(self, request: Request) -> Principal:  # type: ignore[override]
        """The caller of *request*. Raises HTTPException (401, 403)."""
        caller = identify(request.scope, settings_of(request))
        if caller is None:
            raise _unauthorized("Missing or wrong token")
        _require_not_ended(caller, clock_of(request))
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


VIEW_PARAMETERS: Final = ("period", "from", "to", "tz", "filter", AS_OF)
"""Parameters whose values a link fixes."""

COMPARISON_PARAMETERS: Final = ("compare", "compare_from", "compare_to")
"""Parameters whose values a link fixes unless a request leaves them out."""

ROOM: Final = "room"

_SESSION_ROUTE: Final = "/session"

_VIEW_ROUTES: Final = frozenset(
    {
        "/",
        "/v1/statistics",
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
RequireQuery: Final = Security(_RightScheme(Right.QUERY))
RequireMetrics: Final = Security(_RightScheme(Right.METRICS))
RequireDelivery: Final = Security(_RightScheme(Right.DELIVER))

CurrentPrincipal = Annotated[Principal, RequireToken]
