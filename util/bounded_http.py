"""HTTP requests of ours with a bound on the answer's size and on the time in all."""

import threading
import time
from datetime import timedelta
from typing import Any, Final

from util.imports import not_importable

# httpx imports these for its command, which takes as long as httpx itself.
with not_importable("click", "pygments", "rich"):
    import httpx

MOST_BYTES: Final = 64 * 1024
"""Of an answer's body; what follows is not read."""


def request(
    method: str,
    url: httpx.URL | str,
    *,
    timeout: timedelta,
    deadline: timedelta,
    follow_redirects: bool = False,
    **options: Any,
) -> httpx.Response:
    """Send a request; the response has the first MOST_BYTES of the body.

    *timeout* is that of each read and write. A service that answers little by little, or
    without an end, is left at the *deadline*. Raises httpx.HTTPError.
    """
    until = time.monotonic() + deadline.total_seconds()
    with httpx.Client(
        timeout=timeout.total_seconds(),
        follow_redirects=follow_redirects,
        # A compressed answer could become any size.
        headers={"Accept-Encoding": "identity"},
    ) as client:
        # Headers that arrive byte by byte meet no time-out: closing the socket ends them.
        watchdog = threading.Timer(deadline.total_seconds(), client.close)
        watchdog.daemon = True
        watchdog.start()
        try:
            with client.stream(method, url, **options) as answer:
                body = _first_bytes(answer, until)
        except (RuntimeError, httpx.HTTPError) as error:
            # Closing the client meanwhile is an error of some kind.
            if time.monotonic() < until:
                raise
            raise httpx.ReadTimeout("the answer does not end") from error
        finally:
            watchdog.cancel()
    return httpx.Response(answer.status_code, content=body, request=answer.request)


def _first_bytes(answer: httpx.Response, until: float) -> bytes:
    body = bytearray()
    for chunk in answer.iter_raw():
        body += chunk
        if len(body) >= MOST_BYTES:
            break
        if time.monotonic() > until:
            raise httpx.ReadTimeout("the answer does not end")
    return bytes(body[:MOST_BYTES])
