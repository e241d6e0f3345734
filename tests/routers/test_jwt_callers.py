"""JWTs of other issuers as a way in: roles map to rights, and only if it is set up."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from fastapi.testclient import TestClient

from routers.auth import require_usable_keys
from tests.routers.conftest import client_of, make_settings
from tests.support.frames import NOW
from util.errors import SettingsError

SECRET, OLD, NEW = "s" * 64, "o" * 64, "n" * 64


def settings(**values: Any) -> Any:
    """Settings of an API that takes JWTs."""
    defaults = {
        "data_dir": "no-such-folder",
        "jwt_secret_key": SECRET,
        "jwt_read_roles": "reader,auditor",
        "jwt_query_roles": "analyst",
    }
    return make_settings(**(defaults | values))


def token(key: str = SECRET, kid: str | None = None, **claims: Any) -> str:
    """A JWT that ends in a minute."""
    content = {"sub": "u1", "exp": int(time.time()) + 60, "roles": ["reader"]} | claims
    found = {name: value for name, value in content.items() if value is not None}
    return jwt.encode(found, key, "HS256", headers={"kid": kid} if kid else None)


def rights(client: TestClient, sent: str) -> set[str] | int:
    """The rights of the sender of a JWT, or the status of the refusal."""
    got = client.get("/session", headers={"Authorization": f"Bearer {sent}"})
    return set(got.json()["rights"]) if got.status_code == 200 else got.status_code


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    """An API that takes JWTs."""
    with client_of(settings(), NOW) as client:
        del client.headers["Authorization"]
        yield client


@pytest.mark.parametrize(
    ("roles", "expected"),
    [
        (["reader"], {"read"}),
        ("auditor", {"read"}),
        (["analyst"], {"read", "query"}),
        (["reader", "analyst"], {"read", "query"}),
        (["other"], 403),
        (["service"], 403),
        ([], 403),
        (None, 403),
        ([1, {}], 403),
    ],
)
def test_roles_map_to_rights(client: TestClient, roles: Any, expected: Any) -> None:
    """No role that is not named in the settings has any."""
    assert rights(client, token(roles=roles)) == expected


@pytest.mark.parametrize(
    "sent",
    [
        token(OLD),
        token(exp=int(time.time()) - 3600),
        token(exp=None),
        token(sub=None),
        token(sub=""),
        token(type="refresh"),
        jwt.encode({"sub": "u", "exp": 2**40, "roles": ["reader"]}, "", "none"),
        jwt.encode({"sub": "u", "exp": 2**40, "roles": ["reader"]}, SECRET, "HS512"),
        token()[:-2],
        "a.b.c",
    ],
)
def test_other_jwts_are_no_way_in(client: TestClient, sent: str) -> None:
    """Wrong keys and algorithms, and those that have ended or never end."""
    assert rights(client, sent) == 401


def test_without_roles_in_the_settings_jwts_are_no_way_in() -> None:
    """The collector's users must not read because the files of settings are shared."""
    plain = settings(jwt_read_roles=None, jwt_query_roles=None)
    with client_of(plain, NOW) as client:
        assert rights(client, token()) == 401


def test_a_jwt_makes_no_session_and_no_link(client: TestClient) -> None:
    """They would outlive it."""
    headers = {"Authorization": f"Bearer {token()}"}
    assert client.post("/session", headers=headers).status_code == 403
    assert client.get("/link?period=30d", headers=headers).status_code == 403


def test_keys_change_without_a_gap(tmp_path: Path) -> None:
    """Old and new ones are valid side by side."""

    def entry(kid: str, secret: str) -> dict[str, str]:
        encoded = jwt.utils.base64url_encode(secret.encode()).decode()
        return {"kid": kid, "kty": "oct", "alg": "HS256", "k": encoded}

    file = tmp_path / "jwks.json"
    file.write_text(json.dumps({"keys": [entry("old", OLD), entry("new", NEW)]}))
    with client_of(settings(jwt_secret_key=None, jwt_jwks_file=file), NOW) as client:
        assert rights(client, token(OLD, "old")) == {"read"}
        assert rights(client, token(NEW, "new")) == {"read"}
        assert rights(client, token(NEW, "old")) == 401
        assert rights(client, token(SECRET, "third")) == 401


def test_roles_without_a_usable_key_are_an_error_at_start() -> None:
    """One line that names the variable."""
    with pytest.raises(SettingsError, match="JWT_SECRET_KEY"):
        require_usable_keys(settings(jwt_secret_key=None))
    with pytest.raises(SettingsError, match="JWT_SECRET_KEY"):
        require_usable_keys(settings(jwt_secret_key="short"))
