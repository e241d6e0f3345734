"""Errors in one shape for those who accept it, and as before for all others."""

from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from routers.problems import PROBLEM_JSON
from tests.routers.conftest import client_of, make_settings

ACCEPTING = {"Accept": f"application/json, {PROBLEM_JSON}"}
MEMBERS = ["type", "title", "status", "detail", "errors"]

REQUESTS = [
    ("GET", "/", {"Authorization": ""}, 401),
    ("GET", "/nowhere", {}, 404),
    ("GET", "/rooms/2147483646", {}, 404),
    ("DELETE", "/", {}, 405),
    ("GET", "/room/0/stats", {}, 400),
    ("GET", "/room/x/stats", {}, 422),
    ("GET", "/?from=today&limit=1", {}, 422),
    ("GET", "/?period=7d&period=30d", {}, 422),
    ("GET", "/?" + "x" * 9_000, {}, 414),
    ("GET", "/", {"X-Long": "x" * 9_000}, 431),
    ("POST", "/report", {}, 422),
]


@pytest.mark.parametrize(("method", "path", "headers", "status"), REQUESTS)
def test_every_error_has_one_shape_where_it_is_accepted(
    read_model: Path,
    client: TestClient,
    method: str,
    path: str,
    headers: dict[str, str],
    status: int,
) -> None:
    """With a text as detail; without that header the body is as before."""
    assert read_model.exists()
    before = client.request(method, path, headers=headers)
    got = client.request(method, path, headers=headers | ACCEPTING)
    assert (before.status_code, got.status_code) == (status, status)
    assert before.headers["content-type"] == "application/json"
    assert list(before.json()) == ["detail"]
    assert got.headers["content-type"] == PROBLEM_JSON
    problem = got.json()
    assert list(problem) == MEMBERS
    assert problem["status"] == status
    assert isinstance(problem["detail"], str)
    assert isinstance(problem["errors"], list)
    detail: Any = before.json()["detail"]
    if isinstance(detail, str):
        assert (problem["detail"], problem["errors"]) == (detail, [])
    else:
        assert [each["message"] for each in problem["errors"]] == [
            each["msg"] for each in detail
        ]
        for each in problem["errors"]:
            assert f"{each['parameter']}: {each['message']}" in problem["detail"]


def test_too_many_requests_are_a_problem_as_well(read_model: Path) -> None:
    """With Retry-After as before."""
    settings = make_settings(data_dir=read_model, rate_limit_per_minute="1")
    with client_of(settings) as client:
        client.get("/session")
        got = client.get("/session", headers=ACCEPTING)
    assert (got.status_code, got.json()["title"]) == (429, "Too Many Requests")
    assert int(got.headers["Retry-After"]) > 0


@pytest.mark.parametrize("quality", ["q=0", "q=0.0", "q=0.000"])
def test_a_refused_shape_is_not_sent(client: TestClient, quality: str) -> None:
    """An Accept header may exclude it (RFC 9110)."""
    headers = {"Accept": f"{PROBLEM_JSON};{quality}, application/json"}
    assert list(client.get("/nowhere", headers=headers).json()) == ["detail"]
