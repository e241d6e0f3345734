"""Pushes to UptimeKuma, with a local server in its place."""

import logging
import threading
import time
from datetime import timedelta

import pytest

from tests.support.servers import StubServer, closed_port
from util import heartbeat
from util.errors import SettingsError
from util.heartbeat import Heartbeat
from util.redaction import register_secrets

TOOK = timedelta(seconds=1.2345)
PAGE = "/api/push/t0kenT0ken?status=up&msg=OK&ping="
NEVER = 600  # seconds


def test_success_pushes_once_and_replaces_the_pages_parameters(
    server: StubServer,
) -> None:
    """The URL as UptimeKuma shows it yields each parameter exactly once."""
    assert Heartbeat(server.url + PAGE).up("12 rows in 1.2 s", TOOK)
    (request,) = server.requests
    assert (request.method, request.path) == ("GET", "/api/push/t0kenT0ken")
    assert sorted(request.query) == [
        ("msg", "12 rows in 1.2 s"),
        ("ping", "1234"),
        ("status", "up"),
    ]


def test_failure_pushes_down_with_a_short_reason_without_secrets(
    server: StubServer,
) -> None:
    """Long, broken or secret text arrives as one short clean line."""
    register_secrets(["s3cret-password"])
    reason = "access denied\nfor s3cret-password é \udcff " + "x" * 500
    assert Heartbeat(server.url + PAGE).down(reason, TOOK)
    pushed = dict(server.requests[0].query)
    assert pushed["status"] == "down"
    assert pushed["msg"].startswith("access denied for [hidden] é ? xxx")
    assert len(pushed["msg"]) == heartbeat.LONGEST_MESSAGE


def test_other_parameters_of_the_url_stay(server: StubServer) -> None:
    """A proxy in front may need them."""
    Heartbeat(f"{server.url}/api/push/t?via=proxy&status=up").up("ok", TOOK)
    assert ("via", "proxy") in server.requests[0].query


def test_without_a_url_nothing_is_pushed() -> None:
    """A monitor is optional."""
    assert not Heartbeat(None).up("ok", TOOK)


@pytest.mark.parametrize("url", ["kuma/api/push/t", "ftp://kuma/push", "http://", "x"])
def test_a_malformed_url_is_a_settings_error_without_the_url(url: str) -> None:
    """The error names the variable, not the URL, which holds a token."""
    with pytest.raises(SettingsError, match="UPTIMEKUMA_PUSH_URL") as caught:
        Heartbeat(url)
    assert url not in str(caught.value) or url == "x"


def test_a_refused_push_is_logged_once_with_the_token_redacted(
    server: StubServer, caplog: pytest.LogCaptureFixture
) -> None:
    """An unknown token answers 500 with ok=false; one push, one warning."""
    server.status, server.answer = 500, b'{"ok": false, "msg": "Monitor not found"}'
    with caplog.at_level(logging.INFO, logger="fpp"):
        assert not Heartbeat(server.url + PAGE).up("ok", TOOK)
    assert len(server.requests) == 1
    (message,) = [r.getMessage() for r in caplog.records if r.name.startswith("fpp")]
    assert "500 (Monitor not found)" in message
    assert "t0kenT0ken" not in message


@pytest.mark.parametrize("answer", [b'{"ok": false}', b"<html>", b"[]", b""])
def test_an_answer_that_is_not_ok_true_counts_as_refused(
    server: StubServer, answer: bytes
) -> None:
    """A login page behind the address must not pass for a monitor."""
    server.answer = answer
    assert not Heartbeat(server.url + PAGE).up("ok", TOOK)


def test_a_proxy_without_its_monitor_is_tried_three_times(server: StubServer) -> None:
    """502 to 504 mean that the push did not arrive."""
    server.statuses = [502, 503, 200]
    began = time.monotonic()
    assert Heartbeat(server.url + PAGE).up("ok", TOOK)
    assert len(server.requests) == 3
    assert time.monotonic() - began >= 1.5


def test_a_push_is_given_up_after_three_tries(server: StubServer) -> None:
    """No fourth try."""
    server.status = 503
    assert not Heartbeat(server.url + PAGE).up("ok", TOOK)
    assert len(server.requests) == 3


def test_a_dead_monitor_neither_raises_nor_delays(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Three refused connections and the two waits between them."""
    waits: list[float | None] = []

    class RecordingEvent(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waits.append(timeout)
            return False

    url = f"http://127.0.0.1:{closed_port()}{PAGE}"
    assert not Heartbeat(url, RecordingEvent()).up("ok", TOOK)
    assert waits == [0.5, 1]
    assert "cannot be reached" in caplog.text
    assert "t0kenT0ken" not in caplog.text


def test_a_slow_monitor_gets_one_push_and_does_not_delay(
    server: StubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has received the push; a second one would count as another run."""
    monkeypatch.setattr(heartbeat, "TIMEOUT", timedelta(seconds=0.3))
    server.delay = NEVER
    assert not Heartbeat(server.url + PAGE).up("ok", TOOK)
    assert len(server.requests) == 1


def test_a_push_is_given_up_at_its_deadline(
    server: StubServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The deadline covers what timeouts do not, such as resolving a host name."""
    monkeypatch.setattr(heartbeat, "PUSH_DEADLINE", timedelta(seconds=0.3))
    server.delay = NEVER
    assert not Heartbeat(server.url + PAGE).up("ok", TOOK)
    assert "within 0.3 s" in caplog.text


class StopDuringAWait(threading.Event):
    """Is set as soon as somebody waits for it."""

    def wait(self, timeout: float | None = None) -> bool:
        """See Event."""
        self.set()
        return super().wait(timeout)


def test_a_stop_request_ends_the_waits_between_tries(
    server: StubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGTERM during the backoff ends it; one last try follows at once."""
    monkeypatch.setattr(heartbeat, "BACKOFF", timedelta(seconds=NEVER))
    monkeypatch.setattr(heartbeat, "PUSH_DEADLINE", timedelta(seconds=NEVER))
    server.status = 503
    assert not Heartbeat(server.url + PAGE, StopDuringAWait()).up("ok", TOOK)
    assert len(server.requests) == 2
