"""Limits, cross-origin requests, health and metrics."""

import asyncio
import re
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.types import Message

from collect_events import app as real_app
from collect_events import create_app
from collector.routes.health import QUIET
from config import load
from events.codes import RejectionCode
from tests.collector.conftest import StartCollector
from tests.collector.test_callers import token
from tests.support.events import TOKEN, write_spool


def test_a_caller_that_sends_too_much_must_wait(start: StartCollector) -> None:
    """Each caller counts for itself."""
    client = start(RATE_LIMIT_PER_MINUTE="2")
    statuses = [client.post("/events", json=[]).status_code for _ in range(3)]
    assert statuses == [202, 202, 429]
    refused = client.post("/events", json=[])
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    other = {"Authorization": f"Bearer {token()}"}
    assert client.post("/events", json=[], headers=other).status_code == 202


def test_a_full_spool_is_503(start: StartCollector, spool_dir: Path) -> None:
    """Readiness says so, too; the process itself is healthy."""
    write_spool(spool_dir, [{"x": "y" * 1_000}] * 1_100)
    client = start(SPOOL_MAX_MB="1")
    refused = client.post("/events", json=[{"name": "x"}])
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json()["status"]) == (503, "unavailable")
    assert client.get("/health").status_code == 200


@pytest.mark.parametrize("path", QUIET)
def test_operators_need_no_token(path: str, shared_client: TestClient) -> None:
    """These routes hold no events."""
    headers = {"Authorization": ""}
    assert shared_client.get(path, headers=headers).status_code == 200


def test_the_metrics_count_events_by_verdict(client: TestClient) -> None:
    """Every code is there from the start."""
    client.post("/events", json=[{"name": "a"}, {"name": "b"}, {}])
    client.post("/events", json=[], headers={"Authorization": "wrong"})
    text = client.get("/metrics").text
    assert "fpp_events_accepted_total 2.0" in text
    assert 'fpp_events_rejected_total{code="name"} 1.0' in text
    assert "fpp_spool_commit_seconds_count 1.0" in text
    assert "fpp_failed_logins_total 1.0" in text
    counted = set(re.findall(r'fpp_events_rejected_total\{code="(\w+)"', text))
    assert counted == set(RejectionCode)


ORIGIN = "https://app.example"
PREFLIGHT = {
    "Origin": ORIGIN,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type,idempotency-key",
}
ALLOWED = "access-control-allow-origin"


def test_no_other_origin_is_allowed_by_default(shared_client: TestClient) -> None:
    """A browser then sends nothing."""
    answer = shared_client.options("/events", headers=PREFLIGHT)
    assert ALLOWED not in answer.headers


def test_listed_origins_are_allowed(start: StartCollector) -> None:
    """CORS_ORIGINS; others are not, and credentials of the browser are never used."""
    client = start(CORS_ORIGINS=f"{ORIGIN}, https://other.example")
    answer = client.options("/events", headers=PREFLIGHT)
    assert (answer.status_code, answer.headers[ALLOWED]) == (200, ORIGIN)
    assert "access-control-allow-credentials" not in answer.headers
    sent = client.post("/events", json=[], headers={"Origin": ORIGIN})
    assert sent.headers[ALLOWED] == ORIGIN
    foreign = {**PREFLIGHT, "Origin": "https://evil.example"}
    assert ALLOWED not in client.options("/events", headers=foreign).headers


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({}, "SPOOL_DIR is missing"),
        ({"SPOOL_DIR": "{}"}, "JWT_SECRET_KEY and INGEST_TOKENS"),
        ({"SPOOL_DIR": "{}", "INGEST_TOKENS": TOKEN, "EVENT_SCHEMAS_DIR": "{}/x"}, "x"),
    ],
)
def test_a_missing_setting_is_one_line(
    settings: dict[str, str],
    named: str,
    tmp_path: Path,
) -> None:
    """The server fails to start and says which variable is missing."""
    filled = {name: value.format(tmp_path) for name, value in settings.items()}
    (message,) = start_up(create_app(load(filled)))
    assert message["type"] == "lifespan.startup.failed"
    assert named in message["message"]


def start_up(app: FastAPI) -> list[Message]:
    """Start *app* as a server does; return what it answers."""
    messages: list[Message] = []

    async def receive() -> Message:
        return {"type": "lifespan.startup"}

    async def send(message: Message) -> None:
        messages.append(message)

    asyncio.run(app({"type": "lifespan", "app": app}, receive, send))
    return messages


def test_the_document_describes_bodies_and_the_token() -> None:
    """Every reference in it resolves."""
    document = real_app.openapi()
    text = str(document)
    for name in re.findall(r"#/components/schemas/(\w+)", text):
        assert name in document["components"]["schemas"]
    for path in ("/events", "/api/analytics/ingest", "/v1/batch"):
        operation = document["paths"][path]["post"]
        assert operation["security"] == [{"token": []}]
        assert operation["requestBody"]["content"]["application/json"]["schema"]


def test_a_prefix_reaches_all_routes(start: StartCollector) -> None:
    """For gateways that do not remove it; a route with the whole path comes first."""
    client = start(PATH_PREFIX="/api/analytics")
    assert client.get("/api/analytics/healthz").status_code == 200
    assert client.get("/healthz").status_code == 200
    events = client.post("/api/analytics/events", json={"name": "x"})
    assert events.status_code == 202
    old = [{"ts": 1, "user_id": "u", "type": "x", "payload": {}}]
    assert client.post("/api/analytics/ingest", json=old).json()["ingested"] == 0
    assert client.get("/api/analyticshealthz").status_code == 404


def test_the_document_satisfies_linters_and_generators() -> None:
    """As the API's does: an address, a licence, and the token where one is needed."""
    document = real_app.openapi()
    assert document["servers"] == [{"url": "/"}]
    assert document["info"]["license"]["name"] == "MIT"
    described = {tag["name"] for tag in document["tags"]}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert set(operation["tags"]) <= described
            is_secured = method == "post" or path.startswith("/spool/")
            assert bool(operation["security"]) == is_secured, path
    batch = document["paths"]["/v1/batch"]["post"]["requestBody"]
    (media,) = batch["content"].values()
    assert media["schema"] == {"$ref": "#/components/schemas/SegmentBatch"}
