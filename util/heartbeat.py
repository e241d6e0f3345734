"""The heartbeat: one push to UptimeKuma after each run."""

import threading
from datetime import timedelta

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
from util.logs import get_log
from util.redaction import clean

TRIES = 3
BACKOFF = timedelta(seconds=0.5)  # before the second try; doubles after it
TIMEOUT = timedelta(seconds=3)  # of one try
PATIENCE = timedelta(seconds=8)  # of all tries; after that the push is given up
LONGEST_MESSAGE = 200  # characters

# Only what surely did not arrive is tried again: a monitor that is slow or answers
# with an error has had its push, and a second one would count as another run.
_NOT_ARRIVED = (httpx.ConnectError, httpx.ConnectTimeout)
# What a proxy answers while the monitor behind it is away.
_AWAY = (502, 503, 504)

_log = get_log("heartbeat")


class Heartbeat:
    """Pushes to one UptimeKuma monitor of the type "Push".

    Neither raises nor delays for longer than ``PATIENCE``: a dead monitor is logged,
    and the monitor itself tells people about the missing push.
    """

    def __init__(self, url: str | None, stop: threading.Event | None = None) -> None:
        """*url* as UptimeKuma's page shows it; without one nothing is ever pushed.

        *stop* ends waiting early. Raises SettingsError when *url* is no address.
        """
        self._url = _parse(url) if url else None
        self._stop = stop or threading.Event()

    def up(self, message: str, took: timedelta) -> bool:
        """Report a run that succeeded. True when the monitor took the push."""
        return self._push("up", message, took)

    def down(self, reason: str, took: timedelta) -> bool:
        """Report a run that failed. True when the monitor took the push."""
        return self._push("down", reason, took)

    def _push(self, status: str, message: str, took: timedelta) -> bool:
        if self._url is None:
            return False
        url = self._url.copy_merge_params(
            {
                "status": status,
                "msg": _shorten(clean(message)),
                "ping": str(round(took / timedelta(milliseconds=1))),
            }
        )
        taken: list[bool] = []
        # On a thread of its own, since looking up a name has no timeout.
        thread = threading.Thread(
            target=lambda: taken.append(self._deliver(url)), daemon=True
        )
        thread.start()
        thread.join(PATIENCE.total_seconds())
        if thread.is_alive():
            _log.warning(
                "UptimeKuma did not take the push within %g s",
                PATIENCE.total_seconds(),
                extra={"action": "push", "status": status},
            )
        return any(taken)

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
                "UptimeKuma did not take the push to %s: %s",
                clean(f"{url.copy_with(query=None)}"),
                problem,
                extra={"action": "push"},
            )
        return not problem

    def _try(self, url: httpx.URL) -> httpx.Response:
        retrying = Retrying(
            stop=stop_any(stop_after_attempt(TRIES), stop_when_event_set(self._stop)),
            wait=wait_exponential(multiplier=BACKOFF.total_seconds()),
            sleep=sleep_using_event(self._stop),
            retry=retry_if_exception_type(_NOT_ARRIVED) | retry_if_result(_is_away),
            # The last try's own answer or error, not one about retrying.
            retry_error_callback=lambda state: (
                state.outcome.result() if state.outcome else None
            ),
        )
        answer: httpx.Response = retrying(
            httpx.get, url, timeout=TIMEOUT.total_seconds(), follow_redirects=True
        )
        return answer


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


def _is_away(answer: httpx.Response) -> bool:
    return answer.status_code in _AWAY


def _refusal(answer: httpx.Response) -> str | None:
    """Why *answer* is not UptimeKuma's ``{"ok": true}``, in a few words."""
    try:
        taken = answer.json()
    except ValueError:
        taken = None
    if answer.is_success and isinstance(taken, dict) and taken.get("ok") is True:
        return None
    said = taken.get("msg") if isinstance(taken, dict) else None
    detail = f" ({_shorten(clean(str(said)))})" if said else ""
    return f"it answered {answer.status_code}{detail}; check UPTIMEKUMA_PUSH_URL"


def _shorten(text: str) -> str:
    # File names in a reason may hold bytes that are no UTF-8.
    line = " ".join(text.encode("utf-8", "replace").decode().split())
    if len(line) <= LONGEST_MESSAGE:
        return line
    return line[: LONGEST_MESSAGE - 1] + "…"
