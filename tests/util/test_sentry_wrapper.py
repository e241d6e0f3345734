"""Reports to Sentry, with a local server in its place."""

import io
import json
import logging
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
import sentry_sdk

from tests.support.servers import StubServer, envelope_items
from util import logs
from util.errors import SettingsError, SourceError
from util.redaction import register_secrets
from util.sentry_wrapper import (
    ErrorContext,
    Severity,
    add_error_breadcrumb,
    capture_error,
    check_in,
    flush,
    init,
    separate_breadcrumbs,
)

CONTEXT = ErrorContext("updater", "sync", {"table": "fpp_votes", "password": "pw12"})


def _start(server: StubServer, environment: str = "production") -> bool:
    dsn = f"http://publickey123@127.0.0.1:{server.port}/7"
    return init(dsn, environment, service="updater", release="1.2.3")


def _events(server: StubServer, count: int) -> list[dict[str, Any]]:
    flush()
    requests = server.wait_for(count)
    items = [item for request in requests for item in envelope_items(request)]
    return [load for head, load in items if head["type"] == "event"]


def _fail(message: str = "boom") -> ValueError:
    # Joined, so that only the variable holds it, not the source line.
    secret_local = "-".join(["local", "variable", "value"])
    try:
        raise ValueError(message + secret_local[:0])
    except ValueError as error:
        return error


@pytest.mark.parametrize(
    ("severity", "log_level", "level"),
    [
        (Severity.CRITICAL, "CRITICAL", "fatal"),
        (Severity.HIGH, "ERROR", "error"),
        (Severity.MEDIUM, "WARNING", "warning"),
        (Severity.LOW, "INFO", "info"),
    ],
)
def test_an_error_arrives_once_with_level_and_tags(
    server: StubServer,
    caplog: pytest.LogCaptureFixture,
    severity: Severity,
    log_level: str,
    level: str,
) -> None:
    """One envelope in Sentry and one line in the log, of the same severity."""
    assert _start(server)
    with caplog.at_level(logging.INFO, logger="fpp"):
        capture_error(_fail(), CONTEXT, severity)
    (event,) = _events(server, 1)
    assert event["level"] == level
    assert event["environment"] == "production"
    assert event["release"] == "1.2.3"
    assert event["tags"] == {
        "service": "updater",
        "component": "updater",
        "action": "sync",
        "severity": severity.value,
        "expected": "no",
    }
    assert event["contexts"]["details"]["table"] == "fpp_votes"
    assert [r.levelname for r in caplog.records] == [log_level]


def test_the_same_error_is_reported_once(
    server: StubServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Even if two handlers report it, or a server logs it again."""
    assert _start(server)
    error = _fail()
    capture_error(error, CONTEXT)
    capture_error(error, CONTEXT)
    logging.getLogger("uvicorn.error").error("again", exc_info=error)
    capture_error(_fail("another"), CONTEXT)
    assert len(_events(server, 2)) == 2
    ours = [r for r in caplog.records if r.name.startswith("fpp.")]
    assert len(ours) == 2


def test_neither_secrets_nor_personal_data_are_sent(server: StubServer) -> None:
    """Neither in the error's text, the facts, breadcrumbs, local variables nor host."""
    register_secrets(["hunter2!"])
    assert _start(server)
    with separate_breadcrumbs():
        add_error_breadcrumb("connect hunter2!", "db", {"password": "pw12", "n": 1})
        sentry_sdk.set_user({"ip_address": "10.1.2.3", "id": "u1"})
        capture_error(_fail("refused hunter2! mysql://u:pw12@db/x"), CONTEXT)
    (event,) = _events(server, 1)
    text = json.dumps(event)
    for secret in ("hunter2!", "pw12", "10.1.2.3", "local-variable-value"):
        assert secret not in text, secret
    assert "publickey123" not in text
    assert event["breadcrumbs"]["values"][0]["data"]["n"] == 1
    assert not {"user", "request", "server_name"} & event.keys()


@pytest.mark.parametrize("environment", ["development", "staging", ""])
def test_outside_production_errors_are_only_logged(
    server: StubServer, caplog: pytest.LogCaptureFixture, environment: str
) -> None:
    """A DSN alone does not send."""
    assert not _start(server, environment)
    capture_error(_fail(), CONTEXT)
    schedule = timedelta(minutes=10)
    assert not check_in(
        "m", "ok", every=schedule, margin=schedule, max_runtime=schedule
    )
    flush()
    assert server.requests == []
    assert "boom" in caplog.text


def test_the_environment_variable_of_the_sdk_does_not_start_it(
    server: StubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK reads SENTRY_DSN by itself; nothing is sent unless init() starts it."""
    monkeypatch.setenv("SENTRY_DSN", f"http://k@127.0.0.1:{server.port}/7")
    assert not init(None, "production", service="api")
    capture_error(_fail(), CONTEXT)
    flush()
    assert server.requests == []


def test_a_malformed_dsn_is_a_settings_error() -> None:
    """It stops the start, naming the variable."""
    with pytest.raises(SettingsError, match="SENTRY_DSN is malformed"):
        init("not-a-dsn", "production", service="api")


def test_breadcrumbs_of_one_request_do_not_reach_another(server: StubServer) -> None:
    """An error report lists only the steps of its own request."""
    assert _start(server)
    with separate_breadcrumbs():
        add_error_breadcrumb("first", "api")
    with separate_breadcrumbs():
        add_error_breadcrumb("second", "api")
        capture_error(_fail(), CONTEXT)
    (event,) = _events(server, 1)
    assert [b["message"] for b in event["breadcrumbs"]["values"]] == ["second"]


def test_a_check_in_carries_schedule_margin_and_maximum_runtime(
    server: StubServer,
) -> None:
    """Sentry creates the monitor from the first; the second closes it."""
    assert _start(server)
    every, margin = timedelta(seconds=600), timedelta(seconds=90)
    report = partial(
        check_in, "sync", every=every, margin=margin, max_runtime=timedelta(hours=1)
    )
    opened = report("in_progress")
    report("ok", check_in_id=opened, took=timedelta(seconds=2.5))
    flush()
    first, second = (envelope_items(r)[0][1] for r in server.wait_for(2))
    assert (first["status"], second["status"]) == ("in_progress", "ok")
    assert first["check_in_id"] == second["check_in_id"] == opened
    assert second["duration"] == 2.5
    assert first["monitor_config"] == {
        "schedule": {"type": "interval", "value": 10, "unit": "minute"},
        "checkin_margin": 2,
        "max_runtime": 60,
        "timezone": "UTC",
    }


def test_a_named_error_is_tagged_as_expected_and_logged_as_a_line(
    server: StubServer,
) -> None:
    """An operator's mistake can be distinguished from a bug."""
    stream = io.StringIO()
    logs.configure("updater", "INFO", stream=stream)
    assert _start(server)
    capture_error(SourceError("The database is unreachable"), CONTEXT)
    (event,) = _events(server, 1)
    assert event["tags"]["expected"] == "yes"
    line = json.loads(stream.getvalue())
    assert line["msg"] == "The database is unreachable"
    assert (line["component"], line["action"], line["level"]) == ("updater", "sync", 50)
    assert line["context"] == {"table": "fpp_votes", "password": "[hidden]"}


def test_a_dead_sentry_delays_nothing() -> None:
    """Reports are sent in the background; the flush has a timeout."""
    assert init("http://k@127.0.0.1:9/7", "production", service="api")
    capture_error(_fail(), CONTEXT)
    flush(timedelta(seconds=1))
