"""Whether another service answers at all, without asking it to do anything."""

from datetime import timedelta

import httpx

PATIENCE = timedelta(seconds=5)


def unreachable(url: str) -> str | None:
    """Why nothing answers at *url*'s host, in a few words; None when it does.

    Only the host's front page is asked for: neither path nor query, which hold the
    secrets of push URLs, nor the key of a DSN are sent.
    """
    try:
        asked = httpx.URL(url)
        front = httpx.URL(scheme=asked.scheme, host=asked.host, port=asked.port)
        httpx.get(front, timeout=PATIENCE.total_seconds())
    except httpx.TimeoutException:
        return f"no answer within {PATIENCE.total_seconds():g} s"
    except httpx.ConnectError:
        return "no connection"
    except (httpx.HTTPError, httpx.InvalidURL, ValueError):
        return "no address of a web server"
    return None
