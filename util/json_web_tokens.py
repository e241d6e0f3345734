"""JSON Web Tokens of other issuers: keys, each with one algorithm, and verification.

This module imports PyJWT, so import it where JWTs are configured.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import jwt

from util.errors import SettingsError

LEEWAY: Final = timedelta(seconds=60)
"""How far the clocks of the issuer and of this server may be apart."""

SHORTEST_SECRET: Final = 32
"""Bytes. Whoever has one token can try out all shorter secrets (RFC 7518, 3.2)."""

HS256: Final = "HS256"
_ALGORITHMS: Final = {"RSA": "RS256", "EC": "ES256", "oct": HS256}
"""Of a key in a JWKS file that names none, by its type."""


class InvalidToken(Exception):
    """A JWT that is not valid; the message says why, as far as callers may know."""


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A key, and the only algorithm by which it verifies tokens."""

    key: Any
    algorithm: str


type VerificationKeys = Mapping[str | None, VerificationKey]
"""Keys by their id; that of None verifies tokens without a known one."""


@dataclass(frozen=True, slots=True)
class TokenVerifier:
    """Verifies JWTs that have a subject and an end."""

    keys: VerificationKeys
    audience: str | None = None
    issuer: str | None = None

    def claims(self, token: bytes) -> Mapping[str, Any]:
        """The claims of a valid access token. Raises InvalidToken."""
        try:
            key = self._key_for(token)
            claims: Mapping[str, Any] = jwt.decode(
                token,
                key.key,
                algorithms=[key.algorithm],
                audience=self.audience,
                issuer=self.issuer,
                leeway=LEEWAY,
                options={
                    "require": ["exp", "sub"],
                    "verify_aud": self.audience is not None,
                },
            )
        except jwt.ExpiredSignatureError:
            raise InvalidToken("Token expired") from None
        except (jwt.PyJWTError, ValueError, TypeError, ArithmeticError, RecursionError):
            raise InvalidToken("Invalid token") from None
        subject = claims["sub"]
        if not isinstance(subject, str) or not subject:
            raise InvalidToken("Invalid token")
        if claims.get("type", "access") != "access":
            raise InvalidToken("Invalid token")
        return claims

    def _key_for(self, token: bytes) -> VerificationKey:
        """The key that the token's header names, or else the one for all tokens."""
        kid = jwt.get_unverified_header(token).get("kid")
        found = self.keys.get(kid) or self.keys.get(None)
        if found is None:
            raise InvalidToken("Invalid token")
        return found


def roles_of(claims: Mapping[str, Any]) -> frozenset[str]:
    """The claim `roles`: a list of texts, or one text."""
    roles = claims.get("roles")
    found = roles if isinstance(roles, list) else [roles]
    return frozenset(role for role in found if isinstance(role, str))


def verification_keys(secret: str | None, jwks_file: Path | None) -> VerificationKeys:
    """The keys of both. Raises SettingsError if one cannot be used, or is too weak."""
    keys: dict[str | None, VerificationKey] = {}
    if jwks_file:
        keys |= _jwks(jwks_file)
        if len(keys) == 1:
            keys[None] = next(iter(keys.values()))
    if secret:
        if len(secret.encode()) < SHORTEST_SECRET:
            raise SettingsError(
                f"JWT_SECRET_KEY has less than {SHORTEST_SECRET} bytes: use a longer "
                "one, such as the output of openssl rand -hex 32"
            )
        keys[None] = VerificationKey(secret.encode(), HS256)
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
