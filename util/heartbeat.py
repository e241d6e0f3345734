"""Heartbeat: one push to UptimeKuma after each run."""

from util import bounded_http  # before httpx: without its command

# isort: split
import threading
from datetime import timedelta
from typing import Final

import httpx
from tenacity import (
    Retrying,
    retry_if_exception_type,
    retry_if_result,
    stop_after_attempt,
    stop_any,
    stop_when_event_set,
    wait_exponential,
)
from tenacity.nap import sleep_using_event

from util.errors import SettingsError
from util.logs import get_logger
from util.redaction import redact

TRIES: Final = 3
BACKOFF: Final = timedelta(seconds=0.5)
"""Before the second try; doubled for each one after it."""

TIMEOUT: Final = timedelta(seconds=3)
"""Of one try."""

PUSH_DEADLINE: Final = timedelta(seconds=8)
"""Of all tries together."""

LONGEST_MESSAGE: Final = 200
"""Characters."""

# Retry only what certainly did not arrive. A monitor that is slow or answers with an
# error may have counted the push, and would count a second one as another run.
_NOT_ARRIVED: Final = (httpx.ConnectError, httpx.ConnectTimeout)
# A proxy's answers while the monitor behind it is down.
_GATEWAY_ERRORS: Final = (502, 503, 504)

_log = get_logger("heartbeat")


class Heartbeat:
    """Client of one UptimeKuma monitor of the type "Push".

    It neither raises nor blocks for longer than ``PUSH_DEADLINE``. A push that fails is
    logged; UptimeKuma itself alerts people when a push is missing.
    """

    def __init__(self, url: str | None, stop: threading.Event | None = None) -> None:
        """Push to *url*, as UptimeKuma's page shows it; without one, push nothing.

        *stop* ends the waits between tries. Raises SettingsError if *url* is not an
        HTTP address.
        """
        self._url = _parse(url) if url else None
        self._stop = stop or threading.Event()

    def up(self, message: str, took: timedelta) -> bool:
        """Report a successful run; return True if the monitor accepted the push."""
        return self._push("up", message, took)

    def down(self, reason: str, took: timedelta) -> bool:
        """Report a failed run; return True if the monitor accepted the push."""
        return self._push("down", reason, took)

    def _push(self, status: str, message: str, took: timedelta) -> bool:
        if self._url is None:
            return False
        url = self._url.copy_merge_params(
            {
                "status": status,
                "msg": _shorten(redact(message)),
                "ping": str(round(took / timedelta(milliseconds=1))),
            }
        )
        accepted: list[bool] = []
        # On a thread: resolving a host name has no timeout.
        thread = threading.Thread(
            target=lambda: accepted.append(self._deliver(url)), daemon=True
        )
        thread.start()
        thread.join(PUSH_DEADLINE.total_seconds())
        if thread.is_alive():
            _log.warning(
                "UptimeKuma did not accept the push within "
                f"{PUSH_DEADLINE.total_seconds():g} s",
                action="push",
                status=status,
            )
        return any(accepted)

    def _deliver(self, url: httpx.URL) -> bool:
        try:
            problem = _refusal(self._try(url))
        except httpx.ConnectError:
            problem = "it cannot be reached"
        except httpx.TimeoutException:
            problem = f"no answer within {TIMEOUT.total_seconds():g} s"
        except httpx.HTTPError as error:
            problem = f"the push failed ({type(error).__name__})"
        if problem:
            _log.warning(
                "UptimeKuma did not accept the push to "
                f"{redact(str(url.copy_with(query=None)))}: {problem}",
                action="push",
            )
        return not problem

    def _try(self, url: httpx.URL) -> httpx.Response:
        retrying = Retrying(
            stop=stop_any(stop_after_attempt(TRIES), stop_when_event_set(self._stop)),
            wait=wait_exponential(multiplier=BACKOFF.total_seconds()),
            sleep=sleep_using_event(self._stop),
            retry=retry_if_exception_type(_NOT_ARRIVED)
            | retry_if_result(_is_gateway_error),
            # Return the last response or raise the last error, not RetryError.
            retry_error_callback=lambda state: (
                state.outcome.result() if state.outcome else None
            ),
        )
        response: httpx.Response = retrying(
            bounded_http.request,
            "GET",
            url,
            timeout=TIMEOUT,
            deadline=PUSH_DEADLINE,
            follow_redirects=True,
        )
        return response


def _parse(url: str) -> httpx.URL:
    try:
        parsed = httpx.URL(url.strip())
    except httpx.InvalidURL:
        parsed = None
    if parsed is None or parsed.scheme not in ("http", "https") or not parsed.host:
        raise SettingsError(
            "UPTIMEKUMA_PUSH_URL is malformed: copy the push URL from the monitor's page"
        )
    return parsed


def _is_gateway_error(response: httpx.Response) -> bool:
    return response.status_code in _GATEWAY_ERRORS


def _refusal(response: httpx.Response) -> str | None:
    """Describe why *response* is not UptimeKuma's ``{"ok": true}``; None if it is."""
    try:
        body = response.json()
    except ValueError:
        body = None
    if response.is_success and isinstance(body, dict) and body.get("ok") is True:
        return None
    message = body.get("msg") if isinstance(body, dict) else None
    detail = f" ({_shorten(redact(str(message)))})" if message else ""
    return f"it answered {response.status_code}{detail}; check UPTIMEKUMA_PUSH_URL"


def _shorten(text: str) -> str:
    """One line of *text*, at most LONGEST_MESSAGE characters."""
    # File names in a reason may hold bytes that are not UTF-8.
    line = " ".join(text.encode("utf-8", "replace").decode().split())
    if len(line) <= LONGEST_MESSAGE:
        return line
    return line[: LONGEST_MESSAGE - 1] + "…"
