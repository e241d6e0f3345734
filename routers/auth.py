"""Authentication by token."""

import hmac
from collections.abc import Iterable, Sequence

from fastapi import HTTPException, Request, Security
from fastapi.security import HTTPBearer

from routers.dependencies import settings_of


def matching_token(
    headers: Iterable[tuple[bytes, bytes]], tokens: Sequence[str]
) -> int | None:
    """Index of the token in the Authorization header; None if none of *tokens* matches.

    The header is ``Bearer <token>``, the scheme in any case and followed by one or more
    blanks (RFC 9110), or the bare token. All tokens are compared in constant time, byte
    for byte. Two headers are ambiguous and match none.
    """
    values = [value for name, value in headers if name == b"authorization"]
    sent = values[0] if len(values) == 1 else b""
    scheme, _, credentials = sent.partition(b" ")
    if scheme.lower() == b"bearer":
        sent = credentials.lstrip(b" ")
    matches = [hmac.compare_digest(sent, token.encode()) for token in tokens]
    return matches.index(True) if any(matches) else None


class _TokenScheme(HTTPBearer):
    """HTTP bearer authentication that also checks the token: 401 unless it is known."""

    async def __call__(self, request: Request) -> None:
        """Check the token of *request*. Raises HTTPException (401)."""
        tokens = settings_of(request).require_tokens()
        if matching_token(request.scope["headers"], tokens) is None:
            raise HTTPException(
                401,
                "Missing or wrong token",
                headers={"WWW-Authenticate": "Bearer"},
            )


RequireToken = Security(
    _TokenScheme(
        scheme_name="HTTPBearer",
        description="ANALYTICS_SECRET_TOKEN, as `Bearer <token>` or the bare token.",
    )
)


class _QueryScheme(HTTPBearer):
    """The same for queries, whose tokens are a class of their own."""

    async def __call__(self, request: Request) -> None:
        """Check the token of *request*. Raises HTTPException (401, 404)."""
        tokens = settings_of(request).query_tokens
        if not tokens:
            raise HTTPException(404, "Queries are switched off: SQL_TOKENS is not set")
        if matching_token(request.scope["headers"], tokens) is None:
            raise HTTPException(
                401,
                "Missing or wrong token",
                headers={"WWW-Authenticate": "Bearer"},
            )


RequireQueryToken = Security(
    _QueryScheme(
        scheme_name="QueryBearer",
        description="One of SQL_TOKENS, as `Bearer <token>` or the bare token.",
    )
)
