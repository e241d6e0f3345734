"""Requests that skip the router are answered as if they had not."""

import asyncio
import logging
import secrets
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from fastapi.testclient import TestClient

from collect_events import create_app
from collector import receiving
from events import verdicts
from tests.collector.conftest import StartCollector
from tests.collector.test_callers import token
from tests.support.events import TOKEN, collector_settings, spooled
from util import access_log, telemetry
from util.rates import MinuteCounts

ORIGIN = "https://app.example.org"
EVENT = {"id": "e1", "name": "a", "user_id": "u1", "properties": {"a": 1}}
BATCH = [EVENT, {"id": "e2"}, 7, {"name": "b", "at": "soon"}]
REQUESTS: tuple[dict[str, Any], ...] = (
    {"json": EVENT},
    {"json": {"id": "e9"}},
    {"json": {}},
    {"json": [EVENT] * 3},
    {"json": BATCH},
    {"json": []},
    {"json": BATCH, "path": "/api/analytics/ingest"},
    {"json": EVENT, "path": "/api/analytics/ingest"},
    {"json": {"batch": BATCH, "sentAt": "2026-11-21T10:00:00Z"}, "path": "/v1/batch"},
    {"json": EVENT, "path": "/v1/batch"},
    {"json": EVENT, "path": "/events/"},
    {"json": EVENT, "path": "/analytics/events"},
    {"json": EVENT, "method": "PUT"},
    {"json": EVENT, "headers": {"Authorization": "Bearer wrong"}},
    {"json": EVENT, "headers": {"Authorization": ""}},
    {"json": EVENT, "headers": {"X-API-Key": "both"}},
    {"json": EVENT, "headers": {"Authorization": token(sub="u1")}},
    {"json": EVENT, "headers": {"Authorization": token(sub="u2")}},
    {
        "json": EVENT,
        "headers": {"Accept": "application/problem+json"},
        "path": "/v1/batch",
    },
    {"json": EVENT, "headers": {"Origin": ORIGIN}},
    {"json": 7, "headers": {"Origin": ORIGIN}},
    {"json": EVENT, "headers": {"X-Request-ID": "r-1"}},
    {"json": EVENT, "headers": {"X-Request-ID": "not safe"}},
    {"json": EVENT, "headers": {"Idempotency-Key": "k"}},
    {"json": [{"name": "a"}] * 2, "headers": {"Idempotency-Key": "k"}},
    {"json": EVENT, "headers": {"Idempotency-Key": ""}},
    {"json": EVENT, "headers": {"Content-Encoding": "gzip"}},
    {"json": [EVENT] * 1_001},
    {"content": b"{"},
    {"content": b" " * 2**20 + b"1"},
    {"content": b'[{"name": "\\ud800"}]'},
)


@pytest.fixture(params=[ORIGIN, ""], ids=["origin", "no-origin"])
def both(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[TestClient, TestClient]]:
    """Two collectors whose random ids and waits are constant."""
    for module in (receiving, verdicts):
        monkeypatch.setattr(module, "new_id", lambda _: "new")
    monkeypatch.setattr(MinuteCounts, "seconds_left", lambda *_: 30)
    monkeypatch.setattr(secrets, "token_hex", lambda _: "0" * 20)
    settings = {
        "CORS_ORIGINS": request.param,
        "PATH_PREFIX": "/analytics",
        "RATE_LIMIT_PER_MINUTE": "22",
    }
    direct, routed = (
        TestClient(
            create_app(collector_settings(tmp_path / name, **settings)),
            headers={"Authorization": f"Bearer {TOKEN}"},
            follow_redirects=False,
        )
        for name in ("direct", "routed")
    )
    with direct, routed:
        yield direct, routed


def answer(client: TestClient, request: dict[str, Any]) -> tuple[int, Any, bytes]:
    """The client's answer."""
    sent = {"method": "POST", "path": "/events"} | request
    response = client.request(sent.pop("method"), sent.pop("path"), **sent)
    return response.status_code, response.headers.multi_items(), response.content


def stored(folder: Path) -> list[dict[str, Any]]:
    """The lines of a spool, without times."""
    times = ("received_at", "at", "sent_at")
    return [
        {key: value for key, value in line.items() if key not in times}
        for line in spooled(folder)
    ]


def counted(client: TestClient) -> set[str]:
    """The counters of a collector."""
    kinds = ("fpp_events_", "fpp_http_request_duration_seconds_count", "fpp_failed")
    lines = client.get("/metrics").text.splitlines()
    return {line for line in lines if line.startswith((*kinds, "fpp_rate_limited"))}


def test_they_are_answered_as_by_the_router(
    both: tuple[TestClient, TestClient], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Status, headers and body; what is stored and counted, too."""
    direct, routed = both
    statuses = set()
    for request in REQUESTS:
        found = answer(direct, request)
        with monkeypatch.context() as traced:
            traced.setattr(telemetry, "is_enabled", lambda: True)
            wanted = answer(routed, request)
        assert found == wanted, request
        statuses.add(found[0])
    assert statuses >= {200, 202, 307, 400, 401, 403, 405, 413, 415, 422, 429}
    assert stored(tmp_path / "direct") == stored(tmp_path / "routed")
    assert counted(direct) == counted(routed)


def test_an_unexpected_error_is_reported_once_under_the_id_of_its_request(
    start: StartCollector,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is tried once, and its line in the log has the whole time."""
    tried = []

    def fail(_: int) -> str:
        tried.append(bound())
        raise KeyError("broken")

    client = start()
    monkeypatch.setattr(receiving, "new_id", fail)
    times = iter((100.0, 107.0))
    timer = SimpleNamespace(perf_counter=lambda: next(times))
    monkeypatch.setattr(access_log, "time", timer)
    with caplog.at_level(logging.INFO, logger="fpp.collector"):
        response = client.post("/events", json=EVENT, headers={"X-Request-ID": "r-7"})
    assert response.status_code == 500
    assert response.json() == {"detail": "Internal server error"}
    assert response.headers["X-Request-ID"] == "r-7"
    assert tried == ["r-7"]
    messages = [record.getMessage() for record in caplog.records]
    assert messages == ["'broken'", "POST /events 500 7000.0 ms"]


def bound() -> Any:
    """The id that log lines have now."""
    return structlog.contextvars.get_contextvars()["request_id"]


def test_a_client_that_leaves_gets_no_answer(start: StartCollector) -> None:
    """The request is counted under 499."""
    client = start()
    sent: list[Any] = []
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/events",
        "query_string": b"",
        "headers": [(b"authorization", f"Bearer {TOKEN}".encode())],
    }

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(client.app(scope, receive, send))  # type: ignore[arg-type]
    assert sent == []
    counted = 'duration_seconds_count{method="POST",route="/events",status="499"} 1.0'
    assert counted in client.get("/metrics").text
