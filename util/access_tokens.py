"""Tokens of the settings: how they are written, and compared in constant time."""

import hashlib
import hmac
import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from util.rights import Right


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


class AccessToken(NamedTuple):
    """A token of the settings, who sends it, and what it allows.

    `digests` are those of what may be sent: the token, also with its name before it,
    since a token of earlier settings may have a colon.
    """

    name: str
    secret: str
    rights: frozenset[Right]
    digests: tuple[bytes, ...]


def access_token(token: NamedToken, rights: frozenset[Right]) -> AccessToken:
    """What *token* allows, ready to be compared."""
    sent: Sequence[str] = tuple(dict.fromkeys((token.secret, token.entry)))
    digests = tuple(_digest(each.encode()) for each in sent)
    return AccessToken(token.name, token.secret, rights, digests)


def matching_token(sent: bytes, tokens: Sequence[AccessToken]) -> AccessToken | None:
    """The first of *tokens* that *sent* is; None for any other text.

    All of them are compared, so that the time tells neither which one it was nor how
    much of it.
    """
    digest = _digest(sent)
    matches = [_matches(digest, token) for token in tokens]
    return tokens[matches.index(True)] if any(matches) else None


def _digest(sent: bytes) -> bytes:
    """A digest, so that all comparisons are of equal lengths."""
    return hashlib.sha256(sent).digest()


def _matches(digest: bytes, token: AccessToken) -> bool:
    matches = [hmac.compare_digest(digest, each) for each in token.digests]
    return any(matches)
