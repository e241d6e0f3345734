"""Authentication by token."""

import hmac
from collections.abc import Iterable, Sequence
from typing import Annotated

from fastapi import Depends, HTTPException, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from routers.dependencies import CurrentSettings


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


_scheme = HTTPBearer(
    auto_error=False,
    description="ANALYTICS_SECRET_TOKEN, as `Bearer <token>` or the bare token.",
)


async def _require_token(
    request: Request,
    settings: CurrentSettings,
    _documented: Annotated[HTTPAuthorizationCredentials | None, Security(_scheme)],
) -> None:
    """Answer 401 unless the request has one of the tokens."""
    if matching_token(request.scope["headers"], settings.require_tokens()) is None:
        raise HTTPException(
            401,
            "Missing or wrong token",
            headers={"WWW-Authenticate": "Bearer"},
        )


RequireToken = Depends(_require_token)
