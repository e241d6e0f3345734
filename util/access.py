"""Who may do what: the only place that decides, for the API and the collector.

A caller sends a token of the settings, whose setting says what it allows, or a JWT of
another issuer, whose roles do. Routes ask for one right each.
"""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from util.access_tokens import access_token, matching_token, parse_token
from util.json_types import JsonMapping
from util.rights import EVERY_JWT, ROLE_RIGHTS, TOKEN_RIGHTS, Right

if TYPE_CHECKING:
    from util.json_web_tokens import TokenVerifier


class AccessSettings(NamedTuple):
    """The settings that decide: entries of tokens and roles, each by their setting."""

    tokens: tuple[tuple[str, tuple[str, ...]], ...]
    roles: tuple[tuple[str, tuple[str, ...]], ...]
    jwt_secret: str | None = None
    jwks_file: Path | None = None
    audience: str | None = None
    issuer: str | None = None


class Caller(NamedTuple):
    """Who sent a request, and what it may do.

    `name` is that of the token, or the subject of a JWT. `secret` is the token; a JWT
    has none.
    """

    name: str
    rights: frozenset[Right]
    secret: str | None = None

    @property
    def user(self) -> str | None:
        """The only user whose events the caller may send; None for all."""
        return None if Right.INGEST_FOR_ALL in self.rights else self.name


class Access:
    """Recognises the callers of one program, which *offers* some of the rights."""

    def __init__(self, settings: AccessSettings, offered: frozenset[Right]) -> None:
        self.tokens = tuple(
            access_token(parse_token(entry), TOKEN_RIGHTS[setting] & offered)
            for setting, entries in settings.tokens
            if TOKEN_RIGHTS[setting] & offered
            for entry in entries
        )
        self._settings = settings
        self._offered = offered
        self._by_role = [
            (frozenset(roles), ROLE_RIGHTS[setting] & offered)
            for setting, roles in settings.roles
            if roles and ROLE_RIGHTS[setting] & offered
        ]
        self._verifier: TokenVerifier | None = None

    @property
    def takes_jwts(self) -> bool:
        """True if a JWT can have a right here."""
        return bool(self._by_role or EVERY_JWT & self._offered)

    @property
    def verifier(self) -> "TokenVerifier":
        """What verifies JWTs. Raises SettingsError if a key is malformed or weak."""
        if self._verifier is None:
            from util.json_web_tokens import KeyRing, TokenVerifier

            given = self._settings
            keys = KeyRing(given.jwt_secret, given.jwks_file)
            self._verifier = TokenVerifier(keys, given.audience, given.issuer)
        return self._verifier

    def by_token(self, sent: bytes) -> Caller | None:
        """The sender of a token of the settings; None for any other text."""
        token = matching_token(sent, self.tokens)
        return token and Caller(token.name, token.rights, token.secret)

    def by_jwt(self, sent: bytes) -> Caller:
        """The sender of a JWT; its roles may give no right. Raises InvalidToken."""
        from util.json_web_tokens import roles_of

        claims: JsonMapping = self.verifier.claims(sent)
        held = roles_of(claims)
        rights = (rights for roles, rights in self._by_role if held & roles)
        own = EVERY_JWT & self._offered
        return Caller(claims["sub"], own.union(*rights))


@lru_cache(maxsize=8)  # Every request needs them.
def access_of(settings: AccessSettings, offered: frozenset[Right]) -> Access:
    """The callers of a program; the same object for equal settings."""
    return Access(settings, offered)
