"""Who sends events: a service with a token of its own, or a user or service with a JWT."""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import jwt

from config import Settings, listed
from util.errors import SettingsError

LEEWAY: Final = timedelta(seconds=60)
"""How far the clocks of the issuer and of this server may be apart."""

SHORTEST_SECRET: Final = 32
"""Bytes. Whoever has one token can try out all shorter secrets (RFC 7518, 3.2)."""

HS256: Final = "HS256"
_ALGORITHMS: Final = {"RSA": "RS256", "EC": "ES256", "oct": HS256}
"""Of a key in a JWKS file that names none, by its type."""


class NotAuthenticated(Exception):
    """The request carries no valid token; the message says what is wrong."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends a request. `user` is the only user that it may send events of, or None.

    `name` is stored with each event, for a user after replacing it by a pseudonym.
    """

    name: str
    user: str | None = None


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A key, and the only algorithm by which it verifies tokens."""

    key: Any
    algorithm: str


class Callers:
    """Recognises callers by the header Authorization."""

    def __init__(
        self,
        tokens: Sequence[str],
        keys: Mapping[str | None, VerificationKey],
        audience: str | None = None,
        issuer: str | None = None,
        service_roles: Sequence[str] = (),
    ) -> None:
        """*keys* maps key ids to keys; that of None verifies tokens without a known one."""
        self._tokens = tokens
        self._keys = keys
        self._audience = audience
        self._issuer = issuer
        self._service_roles = frozenset(service_roles)

    @classmethod
    def of(cls, settings: Settings) -> "Callers":
        """Read the secrets. Raises SettingsError if there is none, or one is too weak."""
        tokens = _ingest_tokens(settings)
        keys = _keys(settings)
        if not tokens and not keys:
            raise SettingsError(
                "JWT_SECRET_KEY and INGEST_TOKENS are missing: set one of them, or "
                "JWT_JWKS_FILE, so that only known callers can send events"
            )
        return cls(
            tokens,
            keys,
            settings.jwt_audience,
            settings.jwt_issuer,
            listed(settings.jwt_service_roles),
        )

    def identify(self, authorization: str) -> Caller:
        """The sender of a request with this header. Raises NotAuthenticated."""
        token = _token(authorization)
        matches = [hmac.compare_digest(token, each.encode()) for each in self._tokens]
        if any(matches):
            return Caller(_token_name(self._tokens[matches.index(True)]))
        return self._caller_of(self._claims(token))

    def _claims(self, token: bytes) -> Mapping[str, Any]:
        try:
            key = self._key_for(token)
            claims: Mapping[str, Any] = jwt.decode(
                token,
                key.key,
                algorithms=[key.algorithm],
                audience=self._audience,
                issuer=self._issuer,
                leeway=LEEWAY,
                options={
                    "require": ["exp", "sub"],
                    "verify_aud": self._audience is not None,
                },
            )
        except jwt.ExpiredSignatureError:
            raise NotAuthenticated("Token expired") from None
        except (jwt.PyJWTError, ValueError, TypeError, ArithmeticError, RecursionError):
            raise NotAuthenticated("Invalid token") from None
        return claims

    def _key_for(self, token: bytes) -> VerificationKey:
        """The key that the token's header names, or else the one for all tokens."""
        kid = jwt.get_unverified_header(token).get("kid")
        found = self._keys.get(kid) or self._keys.get(None)
        if found is None:
            raise NotAuthenticated("Invalid token")
        return found

    def _caller_of(self, claims: Mapping[str, Any]) -> Caller:
        subject = claims["sub"]
        if not isinstance(subject, str) or not subject:
            raise NotAuthenticated("Invalid token")
        if claims.get("type", "access") != "access":
            raise NotAuthenticated("Invalid token")
        if self._service_roles & set(_roles(claims)):
            return Caller(subject)
        return Caller(subject, user=subject)


def _roles(claims: Mapping[str, Any]) -> list[str]:
    """The claim `roles`: a list of texts, or one text."""
    roles = claims.get("roles")
    found = roles if isinstance(roles, list) else [roles]
    return [role for role in found if isinstance(role, str)]


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
    if not token:
        raise NotAuthenticated("Not authenticated")
    return token.encode("latin-1", errors="replace")


def _user(credentials: str) -> str:
    try:
        decoded = base64.b64decode(credentials, validate=True)
    except (binascii.Error, ValueError):
        return ""
    return decoded.partition(b":")[0].decode("latin-1")


def _token_name(token: str) -> str:
    """``token-1a2b3c4d``: tells tokens apart without showing them."""
    return f"token-{hashlib.sha256(token.encode()).hexdigest()[:8]}"


def _ingest_tokens(settings: Settings) -> tuple[str, ...]:
    secret = settings.ingest_tokens
    tokens = listed(secret.get_secret_value()) if secret else ()
    if any(len(token) < SHORTEST_SECRET for token in tokens):
        raise SettingsError(
            f"INGEST_TOKENS has a token of less than {SHORTEST_SECRET} characters: "
            "make one by openssl rand -hex 24"
        )
    return tokens


def _keys(settings: Settings) -> dict[str | None, VerificationKey]:
    keys: dict[str | None, VerificationKey] = {}
    if settings.jwt_jwks_file:
        keys |= _jwks(settings.jwt_jwks_file)
        if len(keys) == 1:
            keys[None] = next(iter(keys.values()))
    if settings.jwt_secret_key:
        secret = settings.jwt_secret_key.get_secret_value().encode()
        if len(secret) < SHORTEST_SECRET:
            raise SettingsError(
                f"JWT_SECRET_KEY has less than {SHORTEST_SECRET} bytes: use a longer "
                "one, such as the output of openssl rand -hex 32"
            )
        keys[None] = VerificationKey(secret, HS256)
    return keys


def _jwks(file: Path) -> dict[str | None, VerificationKey]:
    """The keys of a JWKS file by their id."""
    try:
        entries = json.loads(file.read_text(encoding="utf-8"))["keys"]
        return {_key_id(entry): _verification_key(entry) for entry in entries}
    except (OSError, LookupError, TypeError, ValueError, jwt.PyJWTError) as error:
        raise SettingsError(
            f"JWT_JWKS_FILE {file} cannot be used: {type(error).__name__}, it must be a "
            "JSON Web Key Set of RSA or P-256 keys, each with its kid"
        ) from None


def _key_id(entry: Mapping[str, Any]) -> str:
    return str(entry["kid"])


def _verification_key(entry: Mapping[str, Any]) -> VerificationKey:
    algorithm = str(entry.get("alg") or _ALGORITHMS[entry["kty"]])
    if algorithm not in _ALGORITHMS.values():
        raise ValueError(algorithm)
    return VerificationKey(jwt.PyJWK(dict(entry), algorithm).key, algorithm)
