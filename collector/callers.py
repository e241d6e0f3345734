"""Who sends events: a service with a token of its own, or a user or service with a JWT."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from config import NamedToken, Settings, listed, parse_token
from util.errors import SettingsError
from util.json_web_tokens import (
    SHORTEST_SECRET,
    InvalidToken,
    TokenVerifier,
    roles_of,
    verification_keys,
)


class NotAuthenticated(Exception):
    """The request carries no valid token; the message says what is wrong."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends a request. `user` is the only user that it may send events of, or None.

    `name` is stored with each event, for a user after replacing it by a pseudonym.
    """

    name: str
    user: str | None = None


class Callers:
    """Recognises callers by the header Authorization, or X-API-Key."""

    def __init__(
        self,
        tokens: Sequence[NamedToken],
        verifier: TokenVerifier,
        service_roles: Sequence[str] = (),
    ) -> None:
        self._digests = [
            (token.name, _digest(sent.encode()))
            for token in tokens
            for sent in dict.fromkeys((token.secret, token.entry))
        ]
        self._verifier = verifier
        self._service_roles = frozenset(service_roles)

    @classmethod
    def of(cls, settings: Settings) -> "Callers":
        """Read the secrets. Raises SettingsError if there is none, or one is too weak."""
        tokens = _ingest_tokens(settings)
        secret = settings.jwt_secret_key
        keys = verification_keys(
            secret.get_secret_value() if secret else None, settings.jwt_jwks_file
        )
        if not tokens and not keys:
            raise SettingsError(
                "JWT_SECRET_KEY and INGEST_TOKENS are missing: set one of them, or "
                "JWT_JWKS_FILE, so that only known callers can send events"
            )
        return cls(
            tokens,
            TokenVerifier(keys, settings.jwt_audience, settings.jwt_issuer),
            listed(settings.jwt_service_roles),
        )

    def identify(self, authorization: str, api_key: str = "") -> Caller:
        """The sender of a request with one of these headers. Raises NotAuthenticated."""
        if authorization and api_key:
            raise NotAuthenticated("Send one of Authorization and X-API-Key")
        token = _token(authorization) if authorization else _latin(api_key.strip())
        digest = _digest(token)
        # All of them, so that the time tells neither which one nor how much of it.
        matches = [hmac.compare_digest(digest, each) for _, each in self._digests]
        if any(matches):
            return Caller(self._digests[matches.index(True)][0])
        try:
            return self._caller_of(self._verifier.claims(token))
        except InvalidToken as error:
            raise NotAuthenticated(str(error)) from None

    def _caller_of(self, claims: Mapping[str, Any]) -> Caller:
        subject = claims["sub"]
        if self._service_roles & roles_of(claims):
            return Caller(subject)
        return Caller(subject, user=subject)


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


def _digest(token: bytes) -> bytes:
    """A digest, so that all comparisons are of equal lengths."""
    return hashlib.sha256(token).digest()


def _ingest_tokens(settings: Settings) -> tuple[NamedToken, ...]:
    secret = settings.ingest_tokens
    tokens = listed(secret.get_secret_value()) if secret else ()
    parsed = tuple(map(parse_token, tokens))
    if any(len(token.secret) < SHORTEST_SECRET for token in parsed):
        raise SettingsError(
            f"INGEST_TOKENS has a token of less than {SHORTEST_SECRET} characters: "
            "make one by openssl rand -hex 24"
        )
    return parsed
