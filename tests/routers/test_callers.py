"""Callers, rights and routes: who may do what."""

import hashlib
import hmac
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from config import parse_token
from main import app
from routers import auth
from tests.routers.conftest import client_of, make_settings
from tests.support.frames import NOW
from tests.support.sample import TOKEN

VIEWER, ANALYST = "viewer-" + "v" * 30, "analyst-" + "a" * 30

RIGHTS = {
    "full": {"read", "metrics", "deliver"},
    "viewer": {"read"},
    "analyst": {"read", "query"},
    "session": {"read"},
    "nobody": set[str](),
}
"""Caller -> what it may do."""

SPECIAL = {("GET", "/metrics"): "metrics", ("POST", "/query"): "query"}
"""Routes that need another right than to read."""

PUBLIC = {("GET", "/health"), ("DELETE", "/session")}


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    """An API without a read model, whose callers have names."""
    settings = make_settings(
        data_dir="no-such-folder",
        analytics_secret_token=f"ops:{TOKEN}",
        analytics_viewer_tokens=f"eve:{VIEWER}",
        sql_tokens=f"ann:{ANALYST}",
    )
    with client_of(settings, NOW) as client:
        del client.headers["Authorization"]
        yield client


def sent_by(client: TestClient, caller: str) -> dict[str, str]:
    """The headers of a caller."""
    tokens = {"full": TOKEN, "viewer": VIEWER, "analyst": ANALYST}
    client.cookies.clear()
    if caller == "session":
        headers = {"Authorization": f"Bearer {ANALYST}"}
        got = client.post("/session", headers=headers)
        name, _, value = got.headers["set-cookie"].partition(";")[0].partition("=")
        client.cookies.clear()
        return {"Cookie": f"{name}={value}"}
    return {"X-API-Key": tokens[caller]} if caller in tokens else {}


def routes() -> list[tuple[str, str]]:
    """Every operation of the document."""
    return [
        (method.upper(), path)
        for path, methods in app.openapi()["paths"].items()
        for method in methods
    ]


def is_unsafe_by_cookie(caller: str, method: str) -> bool:
    """True for requests that a page of another origin could cause."""
    return caller == "session" and method not in auth.SAFE_METHODS


@pytest.mark.parametrize("caller", RIGHTS)
def test_a_caller_may_do_what_its_rights_say(client: TestClient, caller: str) -> None:
    """401 without any right that counts, 403 without the one that is needed."""
    headers = sent_by(client, caller)
    for method, path in routes():
        right = SPECIAL.get((method, path), "read")
        got = client.request(method, path, headers=headers)
        refused = got.status_code in (401, 403)
        if (method, path) in PUBLIC:
            assert not refused, (method, path)
        elif not RIGHTS[caller] or is_unsafe_by_cookie(caller, method):
            assert got.status_code == 401, (method, path)
        else:
            assert refused is (right not in RIGHTS[caller]), (method, path)
            assert got.status_code != 401, (method, path)


def test_the_rights_are_shown(client: TestClient) -> None:
    """The page shows what the caller may do."""
    for caller, rights in RIGHTS.items():
        if rights:
            got = client.get("/session", headers=sent_by(client, caller))
            assert set(got.json()["rights"]) == rights


@pytest.mark.parametrize(
    "headers",
    [
        [("X-API-Key", TOKEN + "x")],
        [("X-API-Key", f"Bearer {TOKEN}")],
        [("X-API-Key", TOKEN), ("X-API-Key", TOKEN)],
        [("X-API-Key", TOKEN), ("Authorization", f"Bearer {TOKEN}")],
        [("X-API-Key", "ops")],
        [("X-API-Key", "ops:")],
        [("X-API-Key", f"eve:{TOKEN}")],
        [("X-API-Key", "")],
    ],
)
def test_other_keys_are_refused(client: TestClient, headers: Any) -> None:
    """One header, exactly the token; a name does not count, two are ambiguous."""
    assert client.get("/session", headers=headers).status_code == 401


@pytest.mark.parametrize("sent", [f"Bearer {TOKEN}", TOKEN, f"ops:{TOKEN}"])
def test_a_named_token_is_sent_with_or_without_its_name(
    client: TestClient, sent: str
) -> None:
    """A token with a colon was valid before tokens had names."""
    got = client.get("/session", headers={"Authorization": sent})
    assert got.status_code == 200


@pytest.mark.parametrize(
    ("entry", "name", "secret"),
    [
        ("ann:secret", "ann", "secret"),
        ("ann.b-2:a:b", "ann.b-2", "a:b"),
        ("2ann:secret", None, "2ann:secret"),
        (":secret", None, ":secret"),
        ("ann:", None, "ann:"),
        ("secret", None, "secret"),
        ("é:secret", None, "é:secret"),
    ],
)
def test_tokens_have_names(entry: str, name: str | None, secret: str) -> None:
    """Those without one are called by their hash."""
    hashed = hashlib.sha256(entry.encode()).hexdigest()[:8]
    token = parse_token(entry)
    assert (token.name, token.secret) == (name or f"token-{hashed}", secret)


@pytest.mark.parametrize("sent", ["wrong", TOKEN, TOKEN[:-1], VIEWER, ""])
def test_every_token_is_compared_by_its_digest(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, sent: str
) -> None:
    """So the time tells neither which token it was nor how much of it was right."""
    compared: list[tuple[bytes, bytes]] = []

    class Recording:
        @staticmethod
        def compare_digest(a: bytes, b: bytes) -> bool:
            compared.append((a, b))
            return hmac.compare_digest(a, b)

    monkeypatch.setattr(auth, "hmac", Recording)
    scope = {"headers": [(b"x-api-key", sent.encode())], "method": "GET"}
    auth.identify(scope, client.app.state.settings)  # type: ignore[attr-defined]
    entries = [f"ops:{TOKEN}", TOKEN, f"eve:{VIEWER}", VIEWER]
    entries += [f"ann:{ANALYST}", ANALYST]
    digest = hashlib.sha256(sent.encode()).digest()
    assert {a for a, _ in compared} == {digest}
    assert sorted(b for _, b in compared) == sorted(
        hashlib.sha256(each.encode()).digest() for each in entries
    )
