"""Who may do what: the only place that decides.

A caller sends a token, or a credential that was signed with one (`routers.credentials`):
the cookie of a session, or the token of a link to one view.
"""

import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

from fastapi import HTTPException, Request, Security
from fastapi.security import HTTPBearer
from starlette.datastructures import QueryParams
from starlette.requests import cookie_parser
from starlette.types import Scope

from config import NamedToken, Settings, listed, parse_token
from routers import credentials
from routers.credentials import Credential, CredentialKind
from routers.dependencies import now_of, settings_of
from util.errors import SettingsError

if TYPE_CHECKING:
    from util.json_web_tokens import TokenVerifier

SESSION_COOKIE: Final = "fpp_session"

TOKEN_HEADERS: Final = (b"authorization", b"x-api-key")

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
    QUERY = "query"
    """Send SQL."""


FULL: Final = frozenset({Right.READ, Right.METRICS, Right.DELIVER})
"""Of ANALYTICS_SECRET_TOKEN."""

VIEWER: Final = frozenset({Right.READ})
"""Of ANALYTICS_VIEWER_TOKENS."""

ANALYST: Final = frozenset({Right.READ, Right.QUERY})
"""Of SQL_TOKENS: SQL reads all that the other routes do."""


class AccessToken(NamedTuple):
    """A token of the settings, who sends it, and what it allows.

    `digests` are those of what may be sent: the token, also with its name before it,
    since a token of earlier settings may have a colon.
    """

    name: str
    secret: str
    rights: frozenset[Right]
    digests: tuple[bytes, ...]


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


def access_tokens(settings: Settings) -> tuple[AccessToken, ...]:
    """All tokens that callers may send."""
    return _access_tokens(
        (
            (settings.require_tokens(), FULL),
            (settings.viewer_tokens, VIEWER),
            (settings.query_tokens, ANALYST),
        )
    )


@lru_cache(maxsize=4)  # Every request needs them.
def _access_tokens(
    groups: tuple[tuple[tuple[str, ...], frozenset[Right]], ...],
) -> tuple[AccessToken, ...]:
    return tuple(
        _access_token(parse_token(entry), rights)
        for entries, rights in groups
        for entry in entries
    )


def _access_token(token: NamedToken, rights: frozenset[Right]) -> AccessToken:
    sent = dict.fromkeys((token.secret, token.entry))
    digests = tuple(_digest(each.encode()) for each in sent)
    return AccessToken(token.name, token.secret, rights, digests)


def _digest(sent: bytes) -> bytes:
    """A digest, so that all comparisons are of equal lengths."""
    return hashlib.sha256(sent).digest()


def identify(scope: Scope, settings: Settings) -> Principal | None:
    """The caller, or None if nothing that the request sends is valid.

    Whether a session or a link has ended is checked later.
    """
    tokens = access_tokens(settings)
    headers: Sequence[tuple[bytes, bytes]] = scope["headers"]
    found = None
    if any(name in TOKEN_HEADERS for name, _ in headers):
        found = _by_header(headers, tokens) or _by_jwt(sent_token(headers), settings)
    elif scope["method"] in SAFE_METHODS:
        found = _by_cookie(headers, tokens)
    if found is not None:
        scope.setdefault("state", {})["caller"] = found.name  # for the log line
    return found


def _by_header(
    headers: Iterable[tuple[bytes, bytes]], tokens: Sequence[AccessToken]
) -> Principal | None:
    sent = sent_token(headers)
    digest = _digest(sent)
    # All of them, so that the time tells neither which one it was nor how much of it.
    matches = [_matches(digest, token) for token in tokens]
    if any(matches):
        token = tokens[matches.index(True)]
        return Principal(token.name, token.secret, token.rights)
    return _by_credential(sent, CredentialKind.LINK, tokens)


def _by_jwt(sent: bytes, settings: Settings) -> Principal | None:
    """The caller by a JWT of another issuer, whose roles map to rights."""
    by_role = ((settings.jwt_read_roles, VIEWER), (settings.jwt_query_roles, ANALYST))
    if not sent or not any(roles for roles, _ in by_role):
        return None
    from util.json_web_tokens import InvalidToken, roles_of

    try:
        claims = jwt_verifier(settings).claims(sent)
    except InvalidToken:
        return None
    held = roles_of(claims)
    rights = [rights for roles, rights in by_role if held & set(listed(roles))]
    secret = f"jwt {claims['sub']}"
    return Principal("jwt", secret, frozenset().union(*rights), has_token=False)


def jwt_verifier(settings: Settings) -> "TokenVerifier":
    """What verifies JWTs. Raises SettingsError if a key cannot be used, or is weak."""
    secret = settings.jwt_secret_key
    return _jwt_verifier(
        secret.get_secret_value() if secret else None,
        settings.jwt_jwks_file,
        settings.jwt_audience,
        settings.jwt_issuer,
    )


@lru_cache(maxsize=4)
def _jwt_verifier(
    secret: str | None, file: Path | None, audience: str | None, issuer: str | None
) -> "TokenVerifier":
    from util.json_web_tokens import TokenVerifier, verification_keys

    return TokenVerifier(verification_keys(secret, file), audience, issuer)


def require_usable_keys(settings: Settings) -> None:
    """Raise SettingsError if JWTs have rights, and no key could verify them."""
    if not (settings.jwt_read_roles or settings.jwt_query_roles):
        return
    if not jwt_verifier(settings).keys:
        raise SettingsError(
            "JWT_SECRET_KEY and JWT_JWKS_FILE are missing: JWT_READ_ROLES and "
            "JWT_QUERY_ROLES need one of them"
        )


def signing_secret(caller: Principal) -> str:
    """The secret that signs credentials of *caller*. Raises HTTPException (403)."""
    if not caller.has_token:
        raise HTTPException(403, "A JWT makes no sessions and links: it ends by itself")
    return caller.secret


def _matches(digest: bytes, token: AccessToken) -> bool:
    matches = [hmac.compare_digest(digest, each) for each in token.digests]
    return any(matches)


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
            rights = token.rights & {Right.READ}
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
RequireQuery: Final = Security(_RightScheme(Right.QUERY))
RequireMetrics: Final = Security(_RightScheme(Right.METRICS))
RequireDelivery: Final = Security(_RightScheme(Right.DELIVER))

CurrentPrincipal = Annotated[Principal, RequireToken]
