"""Callers, rights and routes: who may do what."""

import hashlib
import hmac
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from routers import auth
from tests.routers.conftest import client_of, make_settings
from tests.support.frames import NOW
from tests.support.sample import TOKEN
from util import access_tokens
from util.access_tokens import parse_token

VIEWER, ANALYST = "viewer-" + "v" * 30, "analyst-" + "a" * 30


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

    monkeypatch.setattr(access_tokens, "hmac", Recording)
    scope = {"headers": [(b"x-api-key", sent.encode())], "method": "GET"}
    auth.identify(scope, client.app.state.settings)  # type: ignore[attr-defined]
    entries = [f"ops:{TOKEN}", TOKEN, f"eve:{VIEWER}", VIEWER]
    entries += [f"ann:{ANALYST}", ANALYST]
    digest = hashlib.sha256(sent.encode()).digest()
    assert {a for a, _ in compared} == {digest}
    assert sorted(b for _, b in compared) == sorted(
        hashlib.sha256(each.encode()).digest() for each in entries
    )
