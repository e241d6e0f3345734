"""JSON Web Tokens of other issuers: keys, each with one algorithm, and verification.

This module imports PyJWT, so import it where JWTs are configured.
"""

import json
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

import jwt

from util.errors import SettingsError
from util.json_types import JsonMapping
from util.logs import get_logger
from util.sentry_wrapper import ErrorContext, Severity, capture_error

LEEWAY: Final = timedelta(seconds=60)
"""How far the clocks of the issuer and of this server may be apart."""

SHORTEST_SECRET: Final = 32
"""Bytes. Whoever has one token can try out all shorter secrets (RFC 7518, 3.2)."""

HS256: Final = "HS256"
_ALGORITHMS: Final = {"RSA": "RS256", "EC": "ES256", "oct": HS256}
"""Of a key in a JWKS file that names none, by its type."""


UNSETTLED_SECONDS: Final = 2.0
"""Age of a file's last change below which another one may have the same time."""

_log = get_logger("access")


class InvalidToken(Exception):
    """A JWT that is not valid; the message says why, as far as callers may know."""


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A key, and the only algorithm by which it verifies tokens."""

    key: Any
    algorithm: str


type VerificationKeys = Mapping[str | None, VerificationKey]
"""Keys by their id; that of None verifies tokens without a known one."""


class _FileVersion(NamedTuple):
    """What tells a file from an earlier or a later one of the same path."""

    changed_ns: int
    bytes: int
    inode: int


_UNSETTLED: Final = _FileVersion(-1, -1, -1)


class KeyRing:
    """The keys of JWT_SECRET_KEY and JWT_JWKS_FILE; the file is read when it changes.

    So keys change without a restart: a new one counts from the moment it is in the file,
    and one that was taken out no longer does. While the file cannot be used, the last
    keys stay, and that is reported once. Used by one thread.
    """

    def __init__(self, secret: str | None, file: Path | None) -> None:
        """Raises SettingsError if a key is malformed, or too weak."""
        self._secret = secret
        self._file = file
        self._version: _FileVersion | None = None
        self._fault: str | None = None
        self._content: bytes | None = None
        if file is not None:
            self._has_changed(file)
            self._content = _content(file)
        self._keys = _verification_keys(secret, file, self._content)

    def current(self) -> VerificationKeys:
        """The keys that are valid now."""
        if self._file is not None and self._has_changed(self._file):
            try:
                self._refresh(self._file)
            except SettingsError as error:
                self._report(error)
        return self._keys

    def _has_changed(self, file: Path) -> bool:
        version = _version(file)
        if version == self._version:
            return False
        self._version = version
        if version is not None:
            age = abs(time.time_ns() - version.changed_ns) / 1e9
            if age < UNSETTLED_SECONDS:
                self._version = _UNSETTLED
        return True

    def _refresh(self, file: Path) -> None:
        """Replace the keys by those in *file* now. Raises SettingsError."""
        content = _content(file)
        if content != self._content:
            self._keys = _verification_keys(self._secret, file, content)
            self._content = content
            count = len(self._keys.keys() - {None})
            tell = _log.info if count else _log.warning
            tell(f"JWT_JWKS_FILE has changed, and has {count} keys", action="read keys")
        self._fault = None

    def _report(self, error: SettingsError) -> None:
        if str(error) == self._fault:
            return
        self._fault = str(error)
        message = f"The last keys stay in use: {error}"
        context = ErrorContext("access", "read keys")
        capture_error(SettingsError(message), context, Severity.HIGH)


def _version(file: Path) -> _FileVersion | None:
    """None if there is no such file."""
    with suppress(OSError):
        status = file.stat()
        return _FileVersion(status.st_mtime_ns, status.st_size, status.st_ino)
    return None


@dataclass(frozen=True, slots=True)
class TokenVerifier:
    """Verifies JWTs that have a subject and an end."""

    keys: KeyRing
    audience: str | None = None
    issuer: str | None = None

    def claims(self, token: bytes) -> JsonMapping:
        """The claims of a valid access token. Raises InvalidToken."""
        try:
            key = self._key_for(token)
            claims: JsonMapping = jwt.decode(
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
        keys = self.keys.current()
        found = keys.get(kid) or keys.get(None)
        if found is None:
            raise InvalidToken("Invalid token")
        return found


def roles_of(claims: JsonMapping) -> frozenset[str]:
    """The claim `roles`: a list of texts, or one text."""
    roles = claims.get("roles")
    found = roles if isinstance(roles, list) else [roles]
    return frozenset(role for role in found if isinstance(role, str))


def _verification_keys(
    secret: str | None, file: Path | None, content: bytes | None
) -> VerificationKeys:
    """The keys of both; *content* is that of the JWKS *file*.

    Raises SettingsError if one cannot be used, or is too weak.
    """
    keys: dict[str | None, VerificationKey] = {}
    if file is not None and content is not None:
        keys |= _jwks(file, content)
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


def _content(file: Path) -> bytes:
    """The bytes of a JWKS file. Raises SettingsError."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise _unusable(file, error) from None


def _jwks(file: Path, content: bytes) -> dict[str | None, VerificationKey]:
    """The keys of a JWKS file by their id. Raises SettingsError."""
    try:
        entries = json.loads(content)["keys"]
        return {_key_id(entry): _verification_key(entry) for entry in entries}
    except (
        LookupError,
        TypeError,
        ValueError,
        RecursionError,
        jwt.PyJWTError,
    ) as error:
        raise _unusable(file, error) from None


def _unusable(file: Path, error: Exception) -> SettingsError:
    return SettingsError(
        f"JWT_JWKS_FILE {file} cannot be used: {type(error).__name__}, it must be a "
        f"JSON Web Key Set of RSA or P-256 keys, or of secrets of {SHORTEST_SECRET} bytes "
        "at least, each with its kid"
    )


def _key_id(entry: JsonMapping) -> str:
    return str(entry["kid"])


def _verification_key(entry: JsonMapping) -> VerificationKey:
    algorithm = str(entry.get("alg") or _ALGORITHMS[entry["kty"]])
    if algorithm not in _ALGORITHMS.values():
        raise ValueError(algorithm)
    key = jwt.PyJWK(dict(entry), algorithm).key
    if algorithm == HS256 and len(key) < SHORTEST_SECRET:
        raise ValueError("weak secret")
    return VerificationKey(key, algorithm)
