"""Taking events: the routes, the synonyms, the verdicts, the answers."""

import base64
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from events.ids import repeatable_id
from tests.collector.conftest import StartCollector
from tests.support.events import TOKEN, spooled

STORED = ("event_id", "app_id", "name", "user_id", "source", "properties")


def stored(folder: Path) -> list[dict[str, Any]]:
    """The accepted events, with the fields that a client sets."""
    lines = [line for line in spooled(folder) if "code" not in line]
    return [{name: line[name] for name in STORED} for line in lines]


@pytest.mark.parametrize(
    "event",
    [
        {
            "event_id": "e1",
            "name": "page_view",
            "user_id": "u1",
            "source": "web",
            "app_id": "a",
            "properties": {"path": "/"},
        },
        {
            "id": "e1",
            "event_name": "page_view",
            "userId": "u1",
            "src": "web",
            "appId": "a",
            "metadata": {"path": "/"},
        },
        {
            "messageId": "e1",
            "event": "page_view",
            "type": "track",
            "user_id": "u1",
            "source": "web",
            "app_id": "a",
            "payload": {"path": "/"},
            "more": 1,
        },
        {
            "event_id": "e1",
            "type": "page_view",
            "user_id": "u1",
            "source": "web",
            "app_id": "a",
            "path": "/",
        },
    ],
)
def test_all_clients_write_the_same_event(
    event: dict[str, Any], client: TestClient, spool_dir: Path
) -> None:
    """Without a field of properties, all other fields are the properties."""
    assert client.post("/events", json=event).status_code == 202
    assert stored(spool_dir) == [
        {
            "event_id": "e1",
            "app_id": "a",
            "name": "page_view",
            "user_id": "u1",
            "source": "web",
            "properties": '{"path":"/"}',
        }
    ]


def test_a_batch_has_a_verdict_for_each_event(
    client: TestClient, spool_dir: Path
) -> None:
    """What is accepted and what is rejected is stored; nothing is dropped."""
    batch = [{"name": "a", "id": "1"}, {"id": "2"}, 5, {"name": "b", "at": "never"}]
    answer = client.post("/events", json=batch)
    assert answer.status_code == 202
    receipt = answer.json()
    assert receipt["accepted"] == 1
    assert [(r["index"], r.get("id"), r["code"]) for r in receipt["rejected"]] == [
        (1, "2", "name"),
        (2, None, "not_an_object"),
        (3, None, "time"),
    ]
    lines = spooled(spool_dir)
    assert [line.get("code") for line in lines] == [
        None,
        "name",
        "not_an_object",
        "time",
    ]
    assert {line["batch"] for line in lines} == {receipt["batch"]}
    assert [json.loads(line["raw"]) for line in lines[1:]] == batch[1:]


@pytest.mark.parametrize(
    ("event", "code"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": ["x"]}, "name"),
        ({"name": "x", "id": "i" * 201}, "id"),
        ({"name": "x", "id": 1.5}, "id"),
        ({"name": "x", "user_id": True}, "user_id"),
        ({"name": "x", "source": {}}, "field"),
        ({"name": "x", "app_id": "a" * 201}, "field"),
        ({"name": "x", "properties": [1]}, "properties"),
        ({"name": "x", "ts": "soon"}, "time"),
        ({"name": "x", "ts": "2999-01-01"}, "clock"),
        ({"name": "x", "ts": 0}, "clock"),
        ({"name": "x", "sent_at": "soon", "ts": 0}, "time"),
        ({"name": "x", "properties": {"long": "x" * 40_000}}, "too_large"),
        ([], "not_an_object"),
        (None, "not_an_object"),
    ],
)
def test_every_rejection_has_a_code(
    event: object, code: str, shared_client: TestClient
) -> None:
    """The rest of the batch is accepted."""
    receipt = shared_client.post("/events", json=[{"name": "ok"}, event]).json()
    assert receipt["accepted"] == 1
    assert [rejected["code"] for rejected in receipt["rejected"]] == [code]


def test_a_long_event_is_kept_cut_off(client: TestClient, spool_dir: Path) -> None:
    """A dead letter has at most 16,000 characters of it."""
    client.post("/events", json={"name": "x", "properties": {"long": "x" * 40_000}})
    assert len(spooled(spool_dir)[0]["raw"]) == 16_000


def test_numbers_are_accepted_as_ids(client: TestClient, spool_dir: Path) -> None:
    """Databases number users; they become text."""
    client.post("/events", json={"name": "x", "id": 7, "user_id": 12})
    (event,) = stored(spool_dir)
    assert (event["event_id"], event["user_id"]) == ("7", "12")


def test_half_of_a_surrogate_pair_rejects_its_event_only(
    client: TestClient, spool_dir: Path
) -> None:
    """No text file can hold it; as a NUL, it must not lose a batch."""
    body = rb'[{"name":"x","a":"\ud83d"},{"name":"y","a":"\u0000"},{"name":"\udfff"}]'
    receipt = client.post("/events", content=body).json()
    assert receipt["accepted"] == 1
    assert [r["code"] for r in receipt["rejected"]] == ["text", "text"]
    assert json.loads(stored(spool_dir)[0]["properties"]) == {"a": "\0"}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b'{"name":NaN}', 400),
        (b'{"name":"\\u12"}', 400),
        (b"\xff", 400),
        (b"[" * 100_000, 400),
        (b'["\\ud83d",' + b"[" * 900 + b"]" * 900 + b"]", 202),
        (b'[{"name":"x","big":' + b"9" * 5_000 + b"}]", 400),
        (b'"text"', 422),
        (b"null", 422),
        (b"[" + b" " * 2**20 + b"]", 413),
        (b"[" + b"1," * 1_000 + b"1]", 413),
        (b"[" + b"1," * 999 + b"1]", 202),
        (b"[]", 202),
    ],
)
def test_a_malformed_body_is_refused_whole(
    body: bytes, status: int, shared_client: TestClient
) -> None:
    """No body is a server error."""
    answer = shared_client.post("/events", content=body)
    assert answer.status_code == status
    assert ("detail" in answer.json()) == (status != 202)


def test_a_body_without_a_length_is_bounded_too(shared_client: TestClient) -> None:
    """It is sent in chunks."""
    chunks = (b" " * 100_000 for _ in range(20))
    assert shared_client.post("/events", content=chunks).status_code == 413


def test_a_compressed_body_is_refused(shared_client: TestClient) -> None:
    """It could be a thousand times larger when it is unpacked."""
    headers = {"Content-Encoding": "gzip"}
    assert (
        shared_client.post("/events", content=b"x", headers=headers).status_code == 415
    )


def test_a_single_event_is_answered_with_its_id(shared_client: TestClient) -> None:
    """As clients of the events service expect it."""
    accepted = shared_client.post(
        "/events", json={"event_name": "x", "id": "e1"}
    ).json()
    assert (accepted["status"], accepted["event_id"]) == ("accepted", "e1")
    rejected = shared_client.post("/events", json={"id": "e2"}).json()
    assert (rejected["status"], rejected["event_id"]) == ("rejected", "e2")


def test_the_ai_platforms_clients_get_their_answer(
    client: TestClient, spool_dir: Path
) -> None:
    """An empty list is 0, and more than 1,000 events are `batch too large`."""
    url = "/api/analytics/ingest"
    event: dict[str, Any] = {
        "ts": None,
        "user_id": "u",
        "type": "t",
        "src": "w",
        "payload": {},
    }
    answer = client.post(url, json=[event, {}])
    assert answer.status_code == 200
    assert (answer.json()["ingested"], answer.json()["accepted"]) == (1, 1)
    assert client.post(url, json=[]).json()["ingested"] == 0
    assert client.post(url, json=event).status_code == 422
    many = client.post(url, json=[event] * 1_001)
    assert (many.status_code, many.json()["detail"][:15]) == (413, "batch too large")
    assert [line["source"] for line in stored(spool_dir)] == ["w"]


def test_segments_libraries_can_send(client: TestClient, spool_dir: Path) -> None:
    """They authenticate by Basic, with the write key as the user."""
    credentials = base64.b64encode(f"{TOKEN}:".encode()).decode()
    batch = [
        {"type": "track", "event": "Signed up", "userId": "u1", "messageId": "m1"},
        {"type": "page", "anonymousId": "x1", "messageId": "m2", "properties": {}},
    ]
    answer = client.post(
        "/v1/batch",
        json={"batch": batch, "sentAt": "2026-11-21T10:00:00Z"},
        headers={"Authorization": f"Basic {credentials}"},
    )
    assert (answer.status_code, answer.json()["success"]) == (200, True)
    events = stored(spool_dir)
    assert [event["name"] for event in events] == ["Signed up", "page"]
    assert [event["user_id"] for event in events] == ["u1", "x1"]


def test_an_idempotency_key_gives_events_their_ids(
    client: TestClient, spool_dir: Path
) -> None:
    """Only those without one; a dead letter is recognised by it, too."""
    body = [{"name": "a"}, {"name": "b", "id": "mine"}, {}]
    for _ in range(2):
        client.post("/events", json=body, headers={"Idempotency-Key": "k1"})
    lines = spooled(spool_dir)
    sender = lines[0]["sender"]
    assert lines[0]["event_id"] == repeatable_id(sender, "k1", 0)
    assert lines[1]["event_id"] == "mine"
    assert [line.get("rejection_id") for line in lines[:3]] == [
        line.get("rejection_id") for line in lines[3:]
    ]
    assert [line.get("content_hash") for line in lines[:3]] == [
        line.get("content_hash") for line in lines[3:]
    ]


def test_without_id_and_key_an_event_is_always_new(
    client: TestClient, spool_dir: Path
) -> None:
    """Two true events may look the same."""
    for _ in range(2):
        client.post("/events", json=[{"name": "a"}, {}])
    lines = spooled(spool_dir)
    assert len({line.get("event_id") for line in lines if "code" not in line}) == 2
    assert len({line["rejection_id"] for line in lines if "code" in line}) == 2


@pytest.mark.parametrize("key", ["", "k" * 201])
def test_a_useless_idempotency_key_is_refused(
    key: str, shared_client: TestClient
) -> None:
    """It would make different requests the same."""
    answer = shared_client.post("/events", json=[], headers={"Idempotency-Key": key})
    assert answer.status_code == 400


def test_only_listed_names_are_allowed(start: StartCollector, spool_dir: Path) -> None:
    """EVENT_TYPES, and names that have a schema."""
    client = start(EVENT_TYPES="a, b")
    receipt = client.post("/events", json=[{"name": "a"}, {"name": "c"}]).json()
    assert [r["code"] for r in receipt["rejected"]] == ["unknown_name"]


def test_a_schema_explains_what_is_wrong(
    start: StartCollector, spool_dir: Path, tmp_path: Path
) -> None:
    """Names without a schema are not checked."""
    schema = {"required": ["price"], "properties": {"price": {"type": "number"}}}
    folder = tmp_path / "schemas"
    folder.mkdir()
    (folder / "order.json").write_text(json.dumps(schema))
    client = start(EVENT_SCHEMAS_DIR=str(folder))
    events = [
        {"name": "order", "properties": {"price": 1}},
        {"name": "order", "properties": {"price": "x"}},
        {"name": "order"},
        {"name": "other"},
    ]
    receipt = client.post("/events", json=events).json()
    assert receipt["accepted"] == 2
    assert [r["message"] for r in receipt["rejected"]] == [
        'properties.price: "x" is not of type "number"',
        'properties: "price" is a required property',
    ]
    rejected = [line for line in spooled(spool_dir) if "code" in line]
    assert [line.get("schema") for line in rejected] == ["order.json", "order.json"]


def test_the_clients_clock_is_corrected(client: TestClient, spool_dir: Path) -> None:
    """Its clock is a day behind; both instants of its own are kept apart."""
    client.post(
        "/v1/batch",
        json={
            "batch": [{"type": "x", "timestamp": "2020-01-01T10:00:00Z"}],
            "sentAt": "2020-01-01T10:05:00Z",
        },
    )
    (line,) = spooled(spool_dir)
    assert line["received_at"] - line["at"] == 300_000_000
    assert line["sent_at"] == 1_577_873_100_000_000


def test_only_refused_requests_are_logged(
    start: StartCollector, caplog: pytest.LogCaptureFixture
) -> None:
    """The others are counted; there may be thousands a minute."""
    client = start()
    with caplog.at_level(logging.INFO, logger="fpp"):
        assert client.post("/events", json={"name": "a"}).is_success
        assert client.post("/events", content=b"{").status_code == 400
    logged = [r.getMessage() for r in caplog.records if r.name == "fpp.collector"]
    assert [line.rpartition(" ")[0].rpartition(" ")[0] for line in logged] == [
        "POST /events 400"
    ]
