"""Answers that are known as a whole, sent by one write to the connection.

ASGI has two messages for them, which uvicorn writes one by one: half of what sending a
small answer costs is the second call of the system.
"""

import logging
from typing import Any

from starlette.types import Send

type Headers = list[tuple[bytes, bytes]]


async def send_whole(send: Send, status: int, headers: Headers, body: bytes) -> None:
    """Send an answer through *send*, at once if it is that of a `WholeAnswers`.

    *headers* are valid, in lower case, and the length of *body* is one of them.
    """
    request: Any = getattr(send, "__self__", None)
    if hasattr(request, "send_whole") and not _is_logged(request):
        await request.send_whole(status, headers, body)
        return
    start = {"type": "http.response.start", "status": status, "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": body})


def _is_logged(request: Any) -> bool:
    """True if uvicorn has a log of its own, which `send` writes."""
    is_on: bool = request.access_log
    return is_on and request.access_logger.isEnabledFor(logging.INFO)
