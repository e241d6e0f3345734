"""Who sends events: a service with a token of its own, or a user or service with a JWT.

What each may do is decided in `util.access`, which compares tokens by `util.access_tokens`.
"""

import base64
import binascii

from config import Settings
from util.access import Access, Caller, access_of
from util.access_tokens import AccessToken
from util.errors import SettingsError
from util.json_web_tokens import SHORTEST_SECRET, InvalidToken
from util.rights import COLLECTOR_RIGHTS, Right


class NotAuthenticated(Exception):
    """The request carries no valid token; the message says what is wrong."""


class NotAllowed(Exception):
    """The caller lacks the right to send events, or to take them."""


class Callers:
    """Recognises callers by the header Authorization, or X-API-Key."""

    def __init__(self, access: Access) -> None:
        self._access = access

    @classmethod
    def of(cls, settings: Settings) -> "Callers":
        """Read the secrets. Raises SettingsError if there is none, or one is too weak."""
        access = access_of(settings.access, COLLECTOR_RIGHTS)
        senders = _with_right(access, Right.INGEST)
        updaters = _with_right(access, Right.TAKE)
        for setting, tokens in (("INGEST_TOKENS", senders), ("SPOOL_TOKEN", updaters)):
            if any(len(token.secret) < SHORTEST_SECRET for token in tokens):
                raise SettingsError(
                    f"{setting} has a token of less than {SHORTEST_SECRET} characters: "
                    "make one by openssl rand -hex 24"
                )
        if {token.secret for token in senders} & {token.secret for token in updaters}:
            raise SettingsError(
                "SPOOL_TOKEN is one of INGEST_TOKENS: whoever sends events could take "
                "those of all others; make another one by openssl rand -hex 24"
            )
        if not access.verifier.keys.current() and not senders:
            raise SettingsError(
                "JWT_SECRET_KEY and INGEST_TOKENS are missing: set one of them, or "
                "JWT_JWKS_FILE, so that only known callers can send events"
            )
        return cls(access)

    def identify(self, authorization: str, api_key: str = "") -> Caller:
        """The sender of a request with one of these headers, who may send events.

        Raises NotAuthenticated and NotAllowed.
        """
        if authorization and api_key:
            raise NotAuthenticated("Send one of Authorization and X-API-Key")
        token = _token(authorization) if authorization else _latin(api_key.strip())
        return self._with_right(token, Right.INGEST)

    def require_updater(self, authorization: str) -> None:
        """Raise NotAuthenticated or NotAllowed unless SPOOL_TOKEN is sent."""
        self._with_right(_token(authorization), Right.TAKE)

    def _with_right(self, token: bytes, right: Right) -> Caller:
        try:
            caller = self._access.by_token(token) or self._access.by_jwt(token)
        except InvalidToken as error:
            raise NotAuthenticated(str(error)) from None
        if right not in caller.rights:
            raise NotAllowed(f"This token does not have the right to {right}")
        return caller


def _with_right(access: Access, right: Right) -> list[AccessToken]:
    return [token for token in access.tokens if right in token.rights]


def _token(authorization: str) -> bytes:
    """``Bearer x``, the bare ``x``, or ``Basic`` with x as the user, as Segment sends it.

    Raises NotAuthenticated if there is none.
    """
    scheme, _, credentials = authorization.strip().partition(" ")
    match scheme.lower():
        case "bearer":
            token = credentials.strip()
        case "basic":
            token = _user(credentials)
        case _:
            token = authorization.strip()
    return _latin(token)


def _latin(token: str) -> bytes:
    """The bytes that were sent. Raises NotAuthenticated if there are none."""
    if not token:
        raise NotAuthenticated("Not authenticated")
    return token.encode("latin-1", errors="replace")


def _user(credentials: str) -> str:
    try:
        decoded = base64.b64decode(credentials, validate=True)
    except (binascii.Error, ValueError):
        return ""
    return decoded.partition(b":")[0].decode("latin-1")
