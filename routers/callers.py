"""Who calls: the bearer of a token, or else an address."""

import hmac
from collections.abc import Iterable, Sequence

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
