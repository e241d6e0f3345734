"""Errors have one shape, on every route of both programs and for every kind of mistake."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from collect_events import create_app as create_collector
from routers.middleware import guesses
from tests.routers.conftest import client_of, make_settings
from tests.support.events import TOKEN as INGEST_TOKEN
from tests.support.events import collector_settings
from tests.support.routes import PATH_VALUES
from tests.support.sample import SAMPLE, TAKEN_AT
from tests.support.snapshots import publish
from util.problems import PROBLEM_JSON

ACCEPTING = {"Accept": f"application/json, {PROBLEM_JSON}"}
PARAMETER = {"parameter", "location", "message", "value"}

REQUESTS = [
    ("GET", "/room/0/stats", 400),
    ("GET", "/room/-1/stats", 400),
    ("GET", "/room/2147483648/stats", 400),
    ("GET", "/room/abc/stats", 422),
    ("GET", "/room/1.5/stats", 422),
    ("GET", "/rooms/2147483646", 404),
    ("GET", "/rooms/abc", 422),
    ("GET", "/nowhere", 404),
    ("GET", "/docs/assets/nothing", 404),
    ("GET", "/dashboard/nothing.js", 404),
    ("GET", "/breakdown/moon", 422),
    ("GET", "/breakdown/country.doc", 422),
    ("GET", "/?from=today&limit=1", 422),
    ("GET", "/?period=7d&period=30d", 422),
    ("GET", "/?as_of=yesterday", 422),
    ("GET", "/?as_of=2024-06-03T00:00:00Z", 404),
    ("GET", "/views/nothing", 404),
    ("GET", "/reports/nothing", 404),
    ("GET", "/reports/daily?day=2024-01-01", 404),
    ("GET", "/?" + "x" * 9_000, 414),
    ("GET", "/?x=%" + "41" * 10, 422),
]


class Program(NamedTuple):
    """A running program, and its routes as method and path."""

    client: TestClient
    routes: list[tuple[str, str]]


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """The API over the sample."""
    data_dir = tmp_path_factory.mktemp("errors") / "data"
    publish(data_dir, SAMPLE, TAKEN_AT)
    with client_of(make_settings(data_dir=data_dir, rate_limit_per_minute=0)) as client:
        yield Program(client, _routes(client.app.openapi()))  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """The collector, with an empty spool."""
    app = create_collector(collector_settings(tmp_path_factory.mktemp("spool")))
    headers = {"Authorization": f"Bearer {INGEST_TOKEN}"}
    with TestClient(app, headers=headers, raise_server_exceptions=False) as client:
        yield Program(client, _routes(app.openapi()))


def _routes(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        (method.upper(), path.format_map(PATH_VALUES))
        for path, methods in document["paths"].items()
        for method in methods
    ]


@pytest.fixture(autouse=True)
def _wrong_tokens_are_not_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every route is also called with wrong tokens, which would soon be too many."""
    monkeypatch.setattr(guesses, "MOST_PER_ADDRESS", 10**9)
    monkeypatch.setattr(guesses, "MOST_IN_ALL", 10**9)


def refuse(
    client: TestClient, method: str, url: str, status: int | None = None, **sent: Any
) -> dict[str, Any]:
    """The error to a request, in both forms; the one by default."""
    headers = sent.pop("headers", {})
    plain = client.request(method, url, headers=headers, **sent)
    problem = client.request(method, url, headers=headers | ACCEPTING, **sent)
    where = f"{method} {url}"
    assert plain.status_code == problem.status_code >= 400, where
    assert status in (None, plain.status_code), where
    return _in_one_shape(plain, problem, where)


def _in_one_shape(plain: Response, problem: Response, where: str) -> dict[str, Any]:
    assert plain.headers["content-type"] == "application/json", where
    body: dict[str, Any] = plain.json()
    assert isinstance(body["detail"], str), where
    assert body["detail"], where
    errors = body.get("errors", [])
    assert list(body) == (["detail", "errors"] if errors else ["detail"]), where
    assert bool(errors) == (plain.status_code == 422 and "errors" in body), where
    for each in errors:
        assert set(each) == PARAMETER, where
        assert f"{each['parameter']}: {each['message']}" in body["detail"], where
    assert problem.headers["content-type"] == PROBLEM_JSON, where
    assert "Accept" in problem.headers["vary"], where
    assert problem.json() == {
        "type": "about:blank",
        "title": problem.json()["title"],
        "status": plain.status_code,
        "detail": body["detail"],
        "errors": errors,
    }, where
    return body


@pytest.mark.parametrize(("method", "url", "status"), REQUESTS)
def test_an_error_is_a_text_and_the_invalid_parameters(
    api: Program, method: str, url: str, status: int
) -> None:
    """Whatever is wrong, `detail` is a text."""
    body = refuse(api.client, method, url, status)
    assert ("errors" in body) == (status == 422)


def test_a_room_s_three_mistakes_are_alike(api: Program) -> None:
    """An id of zero keeps the body that clients know."""
    zero = api.client.get("/room/0/stats")
    assert zero.content == b'{"detail":"Invalid room_id"}'
    assert api.client.get("/room/2147483648/stats").content == zero.content
    assert api.client.get("/room/abc/stats").json() == {
        "detail": "room_id: Input should be a valid integer, unable to parse string as "
        "an integer",
        "errors": [
            {
                "parameter": "room_id",
                "location": "path",
                "message": "Input should be a valid integer, unable to parse string as "
                "an integer",
                "value": "abc",
            }
        ],
    }


def test_every_route_refuses_an_unknown_parameter_so(api: Program) -> None:
    """Of those with parameters in the query; the others tell what is wrong first."""
    named = 0
    for method, path in api.routes:
        if method != "GET":
            continue
        body = refuse(api.client, method, f"{path}?no_such=1")
        parameters = {each["parameter"] for each in body.get("errors", [])}
        named += "no_such" in parameters
        assert "no_such" in parameters or "errors" not in body, path
    assert named > 20


def test_every_route_refuses_another_method_so(
    api: Program, collector: Program
) -> None:
    """With 405."""
    for client, routes in (api, collector):
        for _, path in routes:
            refuse(client, "PATCH", path, 405)


@pytest.mark.parametrize("token", ["", "Basic !", "Bearer a.b.c"])
def test_a_stranger_is_refused_so(api: Program, collector: Program, token: str) -> None:
    """Whatever is sent instead of a token."""
    headers = {"Authorization": token}
    refuse(api.client, "GET", "/", 401, headers=headers)
    refuse(collector.client, "POST", "/events", 401, headers=headers)


def test_every_route_refuses_strangers_so(api: Program, collector: Program) -> None:
    """With 401, except where everybody may ask."""
    refused = 0
    headers = {"Authorization": "Bearer wrong"}
    for client, routes in (api, collector):
        for method, path in routes:
            if client.request(method, path, headers=headers).status_code == 401:
                refuse(client, method, path, 401, headers=headers)
                refused += 1
    assert refused > 35


def test_every_route_refuses_a_link_to_something_else_so(api: Program) -> None:
    """With 403, except where its holder may ask."""
    token = api.client.get("/link?period=7d").json()["token"]
    refused = 0
    for method, path in api.routes:
        headers = {"Authorization": f"Bearer {token}"}
        if api.client.request(method, path, headers=headers).status_code == 403:
            refuse(api.client, method, path, 403, headers=headers)
            refused += 1
    assert refused > 20


@pytest.mark.parametrize(
    "content",
    [
        *("", "{", "[]", "null", '{"template": 1}', '{"template": NaN}'),
        *('{"template": 1e999}', '{"params": "\\ud800"}', '{"params": {"a": [1]}}'),
        *("[" * 100_000, '{"template": ' + "[" * 500 + "]" * 500 + "}"),
    ],
)
@pytest.mark.parametrize("path", ["/report", "/query"])
def test_a_malformed_body_is_refused_so(api: Program, path: str, content: str) -> None:
    """Also with numbers and texts that JSON cannot contain."""
    headers = {"Content-Type": "application/json"}
    body = refuse(api.client, "POST", path, content=content, headers=headers)
    assert "Internal" not in body["detail"]


def test_a_body_that_is_no_text_is_refused_so(api: Program, collector: Program) -> None:
    """Of any content type."""
    for kind in ("application/json", "text/plain", "image/png"):
        for program in (api, collector):
            for method, path in program.routes:
                if method != "POST" or path in ("/session", "/daily-analytics"):
                    continue
                sent: Any = {"content": b"\xff", "headers": {"Content-Type": kind}}
                body = refuse(program.client, method, path, **sent)
                assert "Internal" not in body["detail"], path


@pytest.mark.parametrize("path", ["/events", "/api/analytics/ingest", "/v1/batch"])
@pytest.mark.parametrize("body", [b"{", b"7", b"null", b"[" + b"{}," * 1_001 + b"{}]"])
def test_the_collector_refuses_a_malformed_body_so(
    collector: Program, path: str, body: bytes
) -> None:
    """With 400, 413 or 422."""
    refuse(collector.client, "POST", path, content=body)


def test_a_text_is_quoted_as_it_was_sent(api: Program) -> None:
    """Also if UTF-8 cannot contain it."""
    content = '{"template": "\\ud800ü"}'
    headers = {"Content-Type": "application/json"}
    body = refuse(api.client, "POST", "/report", content=content, headers=headers)
    assert "ü" in body["detail"]


def test_too_many_requests_are_refused_so(tmp_path: Path) -> None:
    """By both programs, with Retry-After as before."""
    settings = make_settings(data_dir=tmp_path / "data", rate_limit_per_minute="1")
    with client_of(settings) as client:
        client.get("/session")
        refuse(client, "GET", "/session", 429)
    app = create_collector(collector_settings(tmp_path, RATE_LIMIT_PER_MINUTE="1"))
    headers = {"Authorization": f"Bearer {INGEST_TOKEN}"}
    with TestClient(app, headers=headers) as client:
        client.post("/events", json=[])
        refuse(client, "POST", "/events", 429, json=[])
        assert int(client.post("/events", json=[]).headers["Retry-After"]) > 0


def test_every_route_is_refused_so_without_a_read_model(
    api: Program, tmp_path: Path
) -> None:
    """With 503."""
    settings = make_settings(data_dir=tmp_path / "data", rate_limit_per_minute=0)
    refused = 0
    with client_of(settings) as client:
        for method, path in api.routes:
            got = client.request(method, path)
            if got.status_code == 503 and path not in HEALTH:
                refuse(client, method, path, 503)
                refused += 1
    assert refused > 15


HEALTH: Final = ("/health", "/v1/health")
"""Its 503 has the body of its 200."""


def test_a_refused_preflight_request_is_no_plain_text(tmp_path: Path) -> None:
    """The body has the shape of all errors."""
    settings = make_settings(data_dir=tmp_path, cors_origins="https://a.example")
    headers = {"Origin": "https://b.example", "Access-Control-Request-Method": "GET"}
    with client_of(settings) as client:
        refuse(client, "OPTIONS", "/", 400, headers=headers)


def test_an_unexpected_error_is_refused_so(
    api: Program, collector: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By both programs, without its text."""

    def broken(*_: object) -> None:
        raise RuntimeError("inside")

    monkeypatch.setattr("routers.sections.collect_side_by_side", broken)
    assert refuse(api.client, "GET", "/", 500) == {"detail": "Internal server error"}
    monkeypatch.setattr("collector.bodies.parse_json", broken)
    got = refuse(collector.client, "POST", "/events", 500, json=[])
    assert got == {"detail": "Internal server error"}


@pytest.mark.parametrize("quality", ["q=0", "q=0.0", "q=0.000"])
def test_a_refused_form_is_not_sent(api: Program, quality: str) -> None:
    """An Accept header may exclude it (RFC 9110)."""
    headers = {"Accept": f"{PROBLEM_JSON};{quality}, application/json"}
    assert list(api.client.get("/nowhere", headers=headers).json()) == ["detail"]


def test_the_document_has_one_schema_for_errors(api: Program) -> None:
    """And for those who accept it, that of RFC 9457; FastAPI's own is nowhere."""
    document = api.client.get("/openapi.json").json()
    assert "ValidationError" not in json.dumps(document)
    for path, methods in document["paths"].items():
        for operation in methods.values():
            for status, response in operation["responses"].items():
                if status[0] not in "45" or (path in HEALTH and status == "503"):
                    continue
                content = response["content"]
                schemas = {kind: each["schema"] for kind, each in content.items()}
                assert schemas == {
                    "application/json": {"$ref": "#/components/schemas/Error"},
                    PROBLEM_JSON: {"$ref": "#/components/schemas/Problem"},
                }, (path, status)
