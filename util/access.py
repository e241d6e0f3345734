"""Who may do what: the only place that decides, for the API and the collector.

A caller sends a token of the settings, whose setting says what it allows, or a JWT of
another issuer, whose roles do. Routes ask for one right each.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from util.json_types import JsonMapping

if TYPE_CHECKING:
    from util.json_web_tokens import TokenVerifier


class Right(StrEnum):
    """What a caller may do."""

    READ = "read"
    """Read statistics, tables, reports and the state of the sync."""
    METRICS = "metrics"
    """Read the metrics of the API."""
    DELIVER = "deliver"
    """Send the figures of the day to the e-mail service."""
    QUERY = "query"
    """Send SQL."""
    INGEST = "ingest"
    """Send events: those of the caller's own, unless it has the next right as well."""
    INGEST_FOR_ALL = "ingest for all"
    """Send events of any user."""
    TAKE = "take"
    """Take events out of the spool of a collector, as the updater does."""


API_RIGHTS: Final = frozenset({Right.READ, Right.METRICS, Right.DELIVER, Right.QUERY})
"""What the API offers. A token without any of them is unknown there."""

SENDER_RIGHTS: Final = frozenset({Right.INGEST, Right.INGEST_FOR_ALL})
"""What a service that sends events may do."""

COLLECTOR_RIGHTS: Final = SENDER_RIGHTS | {Right.TAKE}
"""What the collector offers."""

TOKEN_RIGHTS: Final[Mapping[str, frozenset[Right]]] = {
    "analytics_secret_token": frozenset({Right.READ, Right.METRICS, Right.DELIVER}),
    "analytics_viewer_tokens": frozenset({Right.READ}),
    # SQL reads all that the other routes do.
    "sql_tokens": frozenset({Right.READ, Right.QUERY}),
    "ingest_tokens": SENDER_RIGHTS,
    "spool_token": frozenset({Right.TAKE}),
}
"""Setting with tokens -> what they allow. Of equal tokens, the first counts."""

ROLE_RIGHTS: Final[Mapping[str, frozenset[Right]]] = {
    "jwt_read_roles": frozenset({Right.READ}),
    "jwt_query_roles": frozenset({Right.READ, Right.QUERY}),
    "jwt_service_roles": SENDER_RIGHTS,
}
"""Setting with roles of JWTs -> what each role allows."""

EVERY_JWT: Final = frozenset({Right.INGEST})
"""What a valid JWT allows without any role."""

SIGNED_RIGHTS: Final = frozenset({Right.READ})
"""What a session or a link keeps of the rights of the token that signed it."""


class NamedToken(NamedTuple):
    """A token of the settings, and the name of whoever sends it.

    `entry` is how the settings have it, with or without a name.
    """

    name: str
    secret: str
    entry: str


_TOKEN_NAME: Final = re.compile(r"[A-Za-z][\w.-]{0,31}", re.ASCII)


def parse_token(entry: str) -> NamedToken:
    """Parse ``NAME:token``, or a token without a name, which is named by its hash."""
    name, colon, secret = entry.partition(":")
    if colon and secret and _TOKEN_NAME.fullmatch(name):
        return NamedToken(name, secret, entry)
    digest = hashlib.sha256(entry.encode()).hexdigest()
    return NamedToken(f"token-{digest[:8]}", entry, entry)


class AccessSettings(NamedTuple):
    """The settings that decide: entries of tokens and roles, each by their setting."""

    tokens: tuple[tuple[str, tuple[str, ...]], ...]
    roles: tuple[tuple[str, tuple[str, ...]], ...]
    jwt_secret: str | None = None
    jwks_file: Path | None = None
    audience: str | None = None
    issuer: str | None = None


class AccessToken(NamedTuple):
    """A token of the settings, who sends it, and what it allows.

    `digests` are those of what may be sent: the token, also with its name before it,
    since a token of earlier settings may have a colon.
    """

    name: str
    secret: str
    rights: frozenset[Right]
    digests: tuple[bytes, ...]


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
            _access_token(parse_token(entry), TOKEN_RIGHTS[setting] & offered)
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
        digest = _digest(sent)
        # All of them, so that the time tells neither which one it was nor how much of it.
        matches = [_matches(digest, token) for token in self.tokens]
        if not any(matches):
            return None
        token = self.tokens[matches.index(True)]
        return Caller(token.name, token.rights, token.secret)

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


def _access_token(token: NamedToken, rights: frozenset[Right]) -> AccessToken:
    sent: Sequence[str] = tuple(dict.fromkeys((token.secret, token.entry)))
    digests = tuple(_digest(each.encode()) for each in sent)
    return AccessToken(token.name, token.secret, rights, digests)


def _digest(sent: bytes) -> bytes:
    """A digest, so that all comparisons are of equal lengths."""
    return hashlib.sha256(sent).digest()


def _matches(digest: bytes, token: AccessToken) -> bool:
    matches = [hmac.compare_digest(digest, each) for each in token.digests]
    return any(matches)
