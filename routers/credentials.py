"""Signed credentials: the cookie of a session, and the token of a link to one view.

Both are JSON Web Tokens signed with a key that is derived from a token of the settings,
so nothing is stored, and both end when that token is removed from the settings.
"""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from typing import Final, NamedTuple

from util.json_types import JsonObject

_ALGORITHM: Final = "HS256"
_SALT: Final = b"fpp-analytics credentials"


class CredentialKind(StrEnum):
    """What a credential is for; one kind is never taken for another."""

    SESSION = "session"
    LINK = "link"


class Credential(NamedTuple):
    """A verified credential. *view* is that of a link, None for a session."""

    expires_at: datetime
    view: Mapping[str, str] | None


def sign(
    kind: CredentialKind,
    secret: str,
    expires_at: datetime,
    view: Mapping[str, str] | None = None,
) -> str:
    """Create a credential that is valid until *expires_at*, to the second."""
    import jwt

    claims = {"use": kind, "exp": expires_at, "view": view}
    return jwt.encode(claims, _key(secret), _ALGORITHM)


def verify(sent: bytes, kind: CredentialKind, secret: str) -> Credential | None:
    """The credential if *secret* signed it as this *kind*, whether it has ended or not."""
    import jwt

    try:
        claims: JsonObject = jwt.decode(
            sent,
            _key(secret),
            [_ALGORITHM],
            options={"verify_exp": False, "require": ["exp", "use"]},
        )
    except jwt.InvalidTokenError:
        return None
    if claims["use"] != kind:
        return None
    return Credential(datetime.fromtimestamp(claims["exp"], UTC), claims.get("view"))


def looks_signed(sent: bytes) -> bool:
    """True if *sent* has the form of a JSON Web Token."""
    return sent.startswith(b"ey") and sent.count(b".") == 2


@cache
def _key(secret: str) -> bytes:
    """The key that signs with *secret*.

    A reader of a link can try out secrets on its signature. This derivation takes 60 ms,
    once per token and program, so that trying out is slow.
    """
    return hashlib.scrypt(secret.encode(), salt=_SALT, n=2**14, r=8, p=1, dklen=32)
