"""Who may do what: every kind of caller, on every route of the API and the collector."""

import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from fastapi.testclient import TestClient

from collect_events import create_app as create_collector
from config import Settings, load
from routers import credentials
from routers.auth import SAFE_METHODS, SESSION_COOKIE
from routers.credentials import CredentialKind
from routers.middleware import guesses
from tests.routers.conftest import create_fixed_app
from tests.support.routes import PATH_VALUES
from util import access
from util.rights import ROLE_RIGHTS, TOKEN_RIGHTS, Right

NOW = datetime.now(UTC)
SECRET = "secret-of-the-issuer-0123456789abcdef"
TOKENS = {name: f"{name}-0123456789-0123456789-0123456789" for name in TOKEN_RIGHTS}

NEEDS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "api": {
        "public": ("GET /health", "GET /v1/health", "DELETE /session"),
        "read": (
            "GET /",
            "GET /breakdown/{dimension}",
            "GET /breakdown/{dimension}.csv",
            "GET /breakdown/{dimension}.{extension}",
            "GET /daily-analytics",
            "GET /daily-analytics.{extension}",
            "GET /events/rejected",
            "GET /events/rejected.{extension}",
            "GET /historical",
            "GET /historical.csv",
            "GET /historical.{extension}",
            "GET /link",
            "GET /reoccurring",
            "GET /reoccurring.csv",
            "GET /reoccurring.{extension}",
            "GET /reports/daily",
            "GET /reports/{name}",
            "GET /reports/{name}.{extension}",
            "GET /retention",
            "GET /room/{room_id}/stats",
            "GET /room/{room_id}/stats.{extension}",
            "GET /rooms",
            "GET /rooms/{room_id}",
            "GET /session",
            "GET /snapshots",
            "GET /sync/runs",
            "GET /sync/runs.{extension}",
            "GET /sync/runs/views",
            "GET /v1/rooms/{room_id}/statistics",
            "GET /v1/statistics",
            "GET /views",
            "GET /views/{object}",
            "GET /views/{object}.{extension}",
            "POST /report",
            "POST /session",
        ),
        "metrics": ("GET /metrics",),
        "deliver": ("POST /daily-analytics",),
        "query": ("GET /query/tables", "POST /query"),
    },
    "collector": {
        "public": ("GET /health", "GET /healthz", "GET /metrics", "GET /readyz"),
        "ingest": ("POST /api/analytics/ingest", "POST /events", "POST /v1/batch"),
        "take": (
            "GET /spool/files",
            "POST /spool/acknowledge",
            "POST /spool/read",
        ),
    },
}
"""Program -> right -> the routes that ask for it."""

LINK_ROUTES = {
    "GET /",
    "GET /breakdown/{dimension}",
    "GET /breakdown/{dimension}.csv",
    "GET /breakdown/{dimension}.{extension}",
    "GET /historical",
    "GET /historical.csv",
    "GET /historical.{extension}",
    "GET /session",
    "GET /v1/statistics",
}
"""Routes that a link to a view allows, for its own parameters."""

MAY: Mapping[str, Mapping[str, set[str]]] = {
    "full": {"api": {"read", "metrics", "deliver"}},
    "viewer": {"api": {"read"}},
    "analyst": {"api": {"read", "query"}},
    "sender": {"collector": {"ingest", "ingest for all"}},
    "updater": {"collector": {"take"}},
    "session": {"api": {"read"}},
    "link": {"api": {"read"}},
    "jwt": {"api": set(), "collector": {"ingest"}},
    "jwt of a reader": {"api": {"read"}, "collector": {"ingest"}},
    "jwt of an analyst": {"api": {"read", "query"}, "collector": {"ingest"}},
    "jwt of a service": {"api": set(), "collector": {"ingest", "ingest for all"}},
    "forged jwt": {},
    "wrong token": {},
    "nobody": {},
}
"""Caller -> program -> its rights there. A program that it is not known to refuses it as
unknown (401), and as known (403) where it lacks the right."""


def token(secret: str = SECRET, *roles: str) -> str:
    """A JWT that ends in an hour."""
    claims = {"sub": "u1", "exp": int(time.time()) + 3600, "roles": list(roles)}
    return jwt.encode(claims, secret, "HS256")


def signed(kind: CredentialKind) -> str:
    """A credential of the full token, a link's to the view of the last week."""
    view = {"period": "7d"} if kind is CredentialKind.LINK else None
    secret = TOKENS["analytics_secret_token"]
    return credentials.sign(kind, secret, NOW + timedelta(days=1), view)


def headers_of(caller: str) -> dict[str, str]:
    """What a caller sends."""
    sent = {
        "full": TOKENS["analytics_secret_token"],
        "viewer": TOKENS["analytics_viewer_tokens"],
        "analyst": TOKENS["sql_tokens"],
        "sender": TOKENS["ingest_tokens"],
        "updater": TOKENS["spool_token"],
        "jwt": token(),
        "jwt of a reader": token(SECRET, "reader"),
        "jwt of an analyst": token(SECRET, "analyst"),
        "jwt of a service": token(SECRET, "service"),
        "forged jwt": token("x" * 40, "reader", "analyst", "service"),
        "wrong token": "wrong",
    }
    match caller:
        case "nobody":
            return {}
        case "session":
            return {"Cookie": f"{SESSION_COOKIE}={signed(CredentialKind.SESSION)}"}
        case "link":
            return {"Authorization": f"Bearer {signed(CredentialKind.LINK)}"}
        case _:
            return {"Authorization": f"Bearer {sent[caller]}"}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of both programs, as if they shared one file of them."""
    folder: Path = tmp_path_factory.mktemp("access")
    values = {
        **{name.upper(): f"{name}:{sent}" for name, sent in TOKENS.items()},
        "DATA_DIR": str(folder / "data"),
        "VIEWS_DIR": str(folder / "views"),
        "SPOOL_DIR": str(folder / "spool"),
        "JWT_SECRET_KEY": SECRET,
        "JWT_READ_ROLES": "reader",
        "JWT_QUERY_ROLES": "analyst",
    }
    return load(values)


@pytest.fixture(scope="module")
def programs(settings: Settings) -> Iterator[Mapping[str, TestClient]]:
    """A client of each program; the API has no read model, and no brake on guesses."""
    api = TestClient(create_fixed_app(settings, NOW), raise_server_exceptions=False)
    collector = TestClient(create_collector(settings))
    with pytest.MonkeyPatch.context() as patch, api, collector:
        for limit in ("MOST_PER_ADDRESS", "MOST_IN_ALL"):
            patch.setattr(guesses, limit, 10_000)
        yield {"api": api, "collector": collector}


def ask(client: TestClient, operation: str, headers: Mapping[str, str]) -> int:
    """The status of a request by these headers alone."""
    method, path = operation.split(" ")
    url = path.format(**PATH_VALUES)
    client.cookies.clear()
    more: dict[str, Any] = {"json": {"name": "x"}} if method == "POST" else {}
    if operation in LINK_ROUTES and path != "/session":
        more["params"] = {"period": "7d"}
    return client.request(method, url, headers=dict(headers), **more).status_code


@pytest.mark.parametrize("program", NEEDS)
def test_every_route_is_in_the_table(
    programs: Mapping[str, TestClient], program: str
) -> None:
    """Whoever adds a route decides who may use it."""
    document = programs[program].app.openapi()  # type: ignore[attr-defined]
    found = {
        f"{method.upper()} {path}"
        for path, methods in document["paths"].items()
        for method in methods
    }
    listed = [each for routes in NEEDS[program].values() for each in routes]
    assert found == set(listed)
    assert len(listed) == len(found)


def expected(caller: str, program: str, right: str, operation: str) -> set[int]:
    """The statuses of a refusal, or none if the request is not refused."""
    if right == "public":
        return set()
    method = operation.split(" ", maxsplit=1)[0]
    if program not in MAY[caller] or (
        caller == "session" and method not in SAFE_METHODS
    ):
        return {401}
    allowed = right in MAY[caller][program]
    if caller == "link":
        allowed = operation in LINK_ROUTES
    if caller.startswith("jwt") and operation == "POST /session":
        allowed = False  # a session would outlive it
    return set() if allowed else {403}


@pytest.mark.parametrize("caller", MAY)
@pytest.mark.parametrize("program", NEEDS)
def test_a_caller_may_do_what_its_rights_say(
    programs: Mapping[str, TestClient], program: str, caller: str
) -> None:
    """On every route: callers, rights and routes as one table."""
    headers = headers_of(caller)
    for right, routes in NEEDS[program].items():
        for operation in routes:
            status = ask(programs[program], operation, headers)
            refused = {status} & {401, 403}
            wanted = expected(caller, program, right, operation)
            assert refused == wanted, (operation, status)


@pytest.mark.parametrize("caller", MAY)
def test_only_some_send_events_of_any_user(
    programs: Mapping[str, TestClient], caller: str
) -> None:
    """Others send those of their own."""
    body = {"name": "x", "user_id": "somebody else"}
    client = programs["collector"]
    got = client.post("/events", json=body, headers=headers_of(caller))
    rights = MAY[caller].get("collector")
    if rights is None:
        assert got.status_code == 401
    else:
        assert got.status_code == (202 if "ingest for all" in rights else 403)


def test_the_page_shows_the_rights(programs: Mapping[str, TestClient]) -> None:
    """Those of the API."""
    for caller, rights in MAY.items():
        if "read" in rights.get("api", set()):
            got = programs["api"].get("/session", headers=headers_of(caller))
            assert set(got.json()["rights"]) == rights["api"]


def test_every_setting_with_tokens_or_roles_has_rights() -> None:
    """A setting that nobody gave a right to would be silently useless."""
    named = {name for name in Settings.model_fields if name.endswith("_roles")}
    assert named == set(ROLE_RIGHTS)
    tokens = {n for n in Settings.model_fields if n.endswith(("_token", "_tokens"))}
    assert tokens == set(TOKEN_RIGHTS)


def test_a_caller_without_the_right_sends_no_events(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though every JWT has it today, the collector asks for it."""
    monkeypatch.setattr(access, "EVERY_JWT", frozenset[Right]())
    with TestClient(create_collector(settings)) as client:
        sent = {"json": {"name": "x"}, "headers": headers_of("jwt")}
        assert client.post("/events", **sent).status_code == 403  # type: ignore[arg-type]
