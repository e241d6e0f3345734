"""Who calls: the bearer of a token, or else an address."""

import hmac
from collections.abc import Iterable, Sequence
from typing import Annotated

from fastapi import Depends, HTTPException, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from routers.dependencies import CurrentSettings

Headers = Iterable[tuple[bytes, bytes]]


def bearer(headers: Headers, tokens: Sequence[str]) -> int | None:
    """Which of *tokens* the Authorization header holds, byte for byte; None for none.

    The header is ``Bearer <token>``, the scheme in any case, or today's bare token.
    All tokens are compared in constant time; two headers are ambiguous and hold none.
    """
    sent = [value for name, value in headers if name == b"authorization"]
    given = sent[0] if len(sent) == 1 else b""
    scheme, _, rest = given.partition(b" ")
    if scheme.lower() == b"bearer":
        given = rest
    matches = [hmac.compare_digest(given, token.encode()) for token in tokens]
    return matches.index(True) if any(matches) else None


_scheme = HTTPBearer(
    auto_error=False,
    description="ANALYTICS_SECRET_TOKEN, as a bearer token or bare in the header.",
)


async def _token(
    request: Request,
    settings: CurrentSettings,
    _documented: Annotated[HTTPAuthorizationCredentials | None, Security(_scheme)],
) -> None:
    """Let the bearer of a token pass; else 401."""
    if bearer(request.scope["headers"], settings.require_tokens()) is None:
        raise HTTPException(
            401,
            "Missing or wrong token",
            headers={"WWW-Authenticate": "Bearer"},
        )


RequireToken = Depends(_token)
