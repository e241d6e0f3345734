"""Manners of HTTP: HEAD, OPTIONS, other origins, limits, and forgiving input."""

from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from main import app
from routers.routes import analytics
from tests.routers.conftest import client_of, make_settings
from tests.support.effort import some_long
from tests.support.sample import TOKEN

ORIGIN = "https://wiki.example.org"

PATHS = [
    "/",
    "/daily-analytics",
    "/room/1/stats",
    "/rooms",
    "/rooms/1",
    "/v1/statistics",
    "/v1/rooms/1/statistics",
    "/breakdown/country",
    "/breakdown/country.csv",
    "/historical",
    "/historical.csv",
    "/reoccurring",
    "/reoccurring.csv",
    "/reports/daily",
    "/retention",
    "/health",
    "/v1/health",
    "/snapshots",
    "/sync/runs",
    "/sync/runs/views",
    "/events/rejected",
    "/views",
    "/metrics",
    "/docs",
    "/openapi.json",
    "/query/tables",
    "/dashboard",
    "/session",
    "/link",
]

CHANGING = {"/daily-analytics": ", POST", "/session": ", DELETE, POST"}
"""Methods besides those of every path."""


@pytest.fixture(autouse=True)
def _published(read_model: Path) -> None:
    """Every test here has a read model."""
    assert read_model.exists()


def test_every_documented_route_is_tried() -> None:
    """A new route must behave as well."""
    fixed = {
        path
        for path, methods in app.openapi()["paths"].items()
        if "get" in methods and "{" not in path
    }
    assert fixed <= set(PATHS)


@pytest.mark.parametrize("path", some_long(PATHS, 10))
def test_head_is_get_without_a_body(client: TestClient, path: str) -> None:
    """With the same status and headers."""
    got, head = client.get(path), client.head(path)
    assert (head.status_code, head.content) == (got.status_code, b"")
    assert head.headers.get("content-type") == got.headers.get("content-type")
    assert head.headers.get("etag") == got.headers.get("etag")


@pytest.mark.parametrize("path", some_long(PATHS, 10))
def test_options_lists_the_methods_without_a_token(
    client: TestClient, path: str
) -> None:
    """No origin is allowed by default."""
    got = client.options(path, headers={"Authorization": "", "Origin": ORIGIN})
    assert (got.status_code, got.headers["allow"]) == (
        204,
        f"GET, HEAD, OPTIONS{CHANGING.get(path, '')}",
    )
    assert "access-control-allow-origin" not in got.headers


def test_unknown_paths_and_other_methods_are_refused_as_before(
    client: TestClient,
) -> None:
    """404 and 405, with a detail."""
    for method in ("HEAD", "OPTIONS"):
        assert client.request(method, "/nowhere").status_code == 404
    got = client.post("/")
    assert (got.status_code, got.json()) == (405, {"detail": "Method Not Allowed"})
    assert client.head("/", headers={"Authorization": "x"}).status_code == 401


def test_head_sends_no_email(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A HEAD request has no effect; GET still sends the figures."""
    sent: list[Any] = []
    monkeypatch.setattr(analytics, "send_daily", lambda *figures: sent.append(figures))
    settings = make_settings(
        data_dir=data_dir, bea_base_url="bea.test", bea_secret_key="key"
    )
    with client_of(settings) as client:
        assert client.head("/daily-analytics").status_code == 200
        assert sent == []
        assert client.get("/daily-analytics").status_code == 200
        assert len(sent) == 1


def test_pages_of_allowed_origins_may_call_the_api(data_dir: Path) -> None:
    """With a token, and read the headers that matter."""
    settings = make_settings(
        data_dir=data_dir, cors_origins=f"{ORIGIN}, https://b.test"
    )
    with client_of(settings) as client:
        asked = {
            "Origin": ORIGIN,
            "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": "authorization",
        }
        allowed = client.options("/", headers=asked)
        assert allowed.status_code == 200
        assert allowed.headers["access-control-allow-origin"] == ORIGIN
        assert "Authorization" in allowed.headers["access-control-allow-headers"]
        got = client.get("/", headers={"Origin": ORIGIN})
        assert got.headers["access-control-allow-origin"] == ORIGIN
        readable = got.headers["access-control-expose-headers"].split(", ")
        assert {"ETag", "X-Data-Updated-At", "X-Stale-Since", "X-Truncated"} <= {
            *readable
        }
        assert "access-control-allow-credentials" not in got.headers
        other = client.get("/", headers={"Origin": "https://evil.test"})
        assert "access-control-allow-origin" not in other.headers
        refused = client.get("/", headers={"Origin": ORIGIN, "Authorization": "x"})
        assert refused.status_code == 401
        assert refused.headers["access-control-allow-origin"] == ORIGIN


def test_answers_say_how_many_requests_are_left(data_dir: Path) -> None:
    """If a limit is set; refused ones as well."""
    with client_of(make_settings(data_dir=data_dir, rate_limit_per_minute=2)) as client:
        left = []
        for _ in range(3):
            got = client.get("/room/1/stats")
            assert got.headers["x-ratelimit-limit"] == "2"
            assert 1 <= int(got.headers["x-ratelimit-reset"]) <= 60
            left.append((got.status_code, got.headers["x-ratelimit-remaining"]))
        assert left == [(200, "1"), (200, "0"), (429, "0")]
        assert "x-ratelimit-limit" not in client.get("/health").headers


def test_without_a_limit_there_are_no_such_headers(client: TestClient) -> None:
    """There is nothing to say."""
    assert "x-ratelimit-limit" not in client.get("/").headers


def test_an_unchanged_answer_varies_like_the_changed_one(client: TestClient) -> None:
    """A cache must not mix encodings (RFC 9110)."""
    got = client.get("/")
    unchanged = client.get("/", headers={"If-None-Match": got.headers["etag"]})
    assert unchanged.status_code == 304
    assert "Accept-Encoding" in got.headers["vary"]
    assert unchanged.headers["vary"] == got.headers["vary"]


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer   ", "BEARER  "])
def test_any_number_of_blanks_separates_the_scheme(
    client: TestClient, scheme: str
) -> None:
    """As RFC 9110 allows."""
    got = client.get("/", headers={"Authorization": f"{scheme}{TOKEN}"})
    assert got.status_code == 200


def test_a_plus_in_a_zone_that_arrives_as_a_blank_has_a_hint(
    client: TestClient,
) -> None:
    """An address writes + as %2B."""
    got = client.get("/?tz=Etc/GMT+5")
    assert got.status_code == 422
    assert "%2B" in got.json()["detail"]
    assert client.get("/?tz=Etc/GMT%2B5").status_code == 200
    assert "%2B" not in client.get("/?tz=Mars").json()["detail"]
