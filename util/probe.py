"""Probe whether the host of a URL answers at all."""

from datetime import timedelta
from typing import Final

import httpx

from util import bounded_http

PROBE_TIMEOUT: Final = timedelta(seconds=5)


def connection_problem(url: str) -> str | None:
    """Request the front page of *url*'s host; return the problem, None if it answers.

    Path, query and user are not sent: push URLs and DSNs hold their secrets there.
    """
    try:
        parsed = httpx.URL(url)
        front = httpx.URL(scheme=parsed.scheme, host=parsed.host, port=parsed.port)
        bounded_http.request(
            "GET", front, timeout=PROBE_TIMEOUT, deadline=PROBE_TIMEOUT
        )
    except httpx.TimeoutException:
        return f"no answer within {PROBE_TIMEOUT.total_seconds():g} s"
    except httpx.ConnectError:
        return "no connection"
    except (httpx.HTTPError, httpx.InvalidURL, ValueError):
        return "not the address of a web server"
    return None
