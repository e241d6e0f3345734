"""Callers: only valid tokens, and users for themselves only."""

import base64
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from fastapi.testclient import TestClient

from collect_events import create_app
from collector.callers import Callers, NotAuthenticated
from config import load
from tests.collector.conftest import StartCollector
from tests.support.events import SECRET, TOKEN, collector_settings, spooled
from util.errors import SettingsError

HOUR = 3_600


def claims(**changes: Any) -> dict[str, Any]:
    """Claims as the issuer writes them; None removes one."""
    now = int(time.time())
    basis = {"sub": "u1", "iat": now, "exp": now + HOUR, "type": "access", "roles": []}
    return {k: v for k, v in {**basis, **changes}.items() if v is not None}


def token(key: str = SECRET, algorithm: str = "HS256", **changes: Any) -> str:
    """A signed token."""
    return jwt.encode(claims(**changes), key, algorithm=algorithm)


def unsigned(**header: str) -> str:
    """A token with an empty signature."""
    parts = (json.dumps(part).encode() for part in (header, claims()))
    return (
        ".".join(base64.urlsafe_b64encode(p).decode().strip("=") for p in parts) + "."
    )


def post(client: TestClient, credentials: str | None, event: object = None) -> int:
    """Send an event with these credentials; return the status."""
    client.headers.pop("Authorization", None)
    headers = {"Authorization": credentials} if credentials is not None else {}
    body = event or {"name": "x"}
    return client.post("/events", json=body, headers=headers).status_code


@pytest.mark.parametrize("form", ["Bearer {}", "bearer {}", "{}"])
@pytest.mark.parametrize("secret", [TOKEN, token()])
def test_a_valid_token_is_accepted(
    form: str, secret: str, shared_client: TestClient
) -> None:
    """The scheme in any case, or the bare token."""
    assert post(shared_client, form.format(secret)) == 202


NOW = int(time.time())
BAD = {
    "none": None,
    "empty": "",
    "scheme only": "Bearer ",
    "basic": "Basic !!!",
    "another token": f"Bearer {TOKEN}x",
    "not a token": "Bearer a.b.c",
    "forged": f"Bearer {token(key='x' * 40)}",
    "expired": f"Bearer {token(exp=NOW - 120)}",
    "without exp": f"Bearer {token(exp=None)}",
    "exp is no number": f"Bearer {token(exp='soon')}",
    "not yet valid": f"Bearer {token(nbf=NOW + 24 * HOUR, exp=NOW + 25 * HOUR)}",
    "without sub": f"Bearer {token(sub=None)}",
    "sub is no text": f"Bearer {token(sub=5)}",
    "sub is empty": f"Bearer {token(sub='')}",
    "refresh token": f"Bearer {token(type='refresh')}",
    "unsigned": f"Bearer {unsigned(alg='none', typ='JWT')}",
    "unsigned HS256": f"Bearer {unsigned(alg='HS256', typ='JWT')}",
    "another algorithm": f"Bearer {token(key=SECRET * 3, algorithm='HS512')}",
}


@pytest.mark.parametrize("credentials", BAD.values(), ids=BAD.keys())
def test_anything_else_is_401(
    credentials: str | None, shared_client: TestClient
) -> None:
    """Before the body is looked at."""
    assert post(shared_client, credentials) == 401


def test_a_clock_may_be_a_minute_late(shared_client: TestClient) -> None:
    """That of the issuer or ours."""
    assert post(shared_client, f"Bearer {token(exp=int(time.time()) - 30)}") == 202


def test_an_infinite_expiry_is_no_server_error(shared_client: TestClient) -> None:
    """JSON libraries write and read Infinity."""
    assert post(shared_client, f"Bearer {token(exp=float('inf'))}") == 401


def test_a_user_sends_events_of_its_own_only(
    start: StartCollector, spool_dir: Path
) -> None:
    """403 for another user's, and nothing of that request is stored."""
    client = start()
    user = f"Bearer {token(sub='u1')}"
    assert post(client, user, [{"name": "a", "userId": "u1"}, {"name": "b"}]) == 202
    assert post(client, user, [{"name": "c"}, {"name": "d", "user_id": "u2"}]) == 403
    assert post(client, user, [{"name": "d", "user_id": ["u1"]}]) == 403
    lines = spooled(spool_dir)
    assert [line["name"] for line in lines] == ["a", "b"]
    assert {(line["user_id"], line["sender"]) for line in lines} == {("u1", "u1")}


@pytest.mark.parametrize("roles", [["service"], "service", ["user", "service"]])
def test_a_service_sends_events_of_all(roles: Any, shared_client: TestClient) -> None:
    """JWT_SERVICE_ROLES lists the roles of services."""
    service = f"Bearer {token(roles=roles)}"
    assert post(shared_client, service, {"name": "a", "user_id": "u2"}) == 202


@pytest.mark.parametrize("roles", [["user"], "services", None, 5, {"service": 1}, [[]]])
def test_other_roles_are_those_of_users(roles: Any, shared_client: TestClient) -> None:
    """Whatever the claim is."""
    user = f"Bearer {token(roles=roles)}"
    assert post(shared_client, user, {"name": "a", "user_id": "u2"}) == 403


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"aud": "events", "iss": "auth"}, 202),
        ({"aud": ["x", "events"], "iss": "auth"}, 202),
        ({"aud": "other", "iss": "auth"}, 401),
        ({"iss": "auth"}, 401),
        ({"aud": "events", "iss": "other"}, 401),
        ({"aud": "events"}, 401),
    ],
)
def test_audience_and_issuer_must_be_those_configured(
    changes: dict[str, Any], status: int, audience_client: TestClient
) -> None:
    """JWT_AUDIENCE and JWT_ISSUER."""
    assert post(audience_client, f"Bearer {token(**changes)}") == status


@pytest.fixture(scope="module")
def audience_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A collector for tokens of one issuer and audience."""
    settings = collector_settings(
        tmp_path_factory.mktemp("spool"), JWT_AUDIENCE="events", JWT_ISSUER="auth"
    )
    with TestClient(create_app(settings)) as client:
        yield client


def test_an_audience_is_ignored_if_none_is_configured(
    shared_client: TestClient,
) -> None:
    """PyJWT alone would refuse the token."""
    assert post(shared_client, f"Bearer {token(aud='other')}") == 202


def private_key(kind: str) -> Any:
    """A new key pair."""
    if kind == "rsa":
        return rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    return ec.generate_private_key(ec.SECP256R1())


def jwk(key: Any, kid: str) -> dict[str, Any]:
    """The public key as an entry of a JWKS."""
    kinds = jwt.algorithms.RSAAlgorithm, jwt.algorithms.ECAlgorithm
    algorithm = kinds[isinstance(key, ec.EllipticCurvePrivateKey)]
    return {**json.loads(algorithm.to_jwk(key.public_key())), "kid": kid}


@pytest.mark.parametrize(("kind", "algorithm"), [("rsa", "RS256"), ("ec", "ES256")])
def test_a_public_key_verifies_by_its_own_algorithm(
    kind: str, algorithm: str, tmp_path: Path
) -> None:
    """A token signed with the public key as a shared secret is the known forgery."""
    key = private_key(kind)
    entry = jwk(key, "k1")
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps({"keys": [entry, jwk(private_key("ec"), "k2")]}))
    callers = Callers.of(load({"JWT_JWKS_FILE": str(file)}))
    signed = jwt.encode(claims(), key, algorithm=algorithm, headers={"kid": "k1"})
    assert callers.identify(f"Bearer {signed}").user == "u1"
    for kid, secret, signed_by in [
        ("k1", json.dumps(entry) + "x" * 40, "HS256"),
        ("k2", key, algorithm),
        ("k3", key, algorithm),
        (None, key, algorithm),
    ]:
        headers = {"kid": kid} if kid else None
        other = jwt.encode(claims(), secret, algorithm=signed_by, headers=headers)
        with pytest.raises(NotAuthenticated):
            callers.identify(f"Bearer {other}")


def test_a_single_public_key_needs_no_key_id(tmp_path: Path) -> None:
    """Many issuers have one key and do not name it."""
    key = private_key("ec")
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps({"keys": [jwk(key, "k1")]}))
    callers = Callers.of(load({"JWT_JWKS_FILE": str(file)}))
    signed = jwt.encode(claims(), key, algorithm="ES256")
    assert callers.identify(f"Bearer {signed}").user == "u1"


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({}, "JWT_SECRET_KEY and INGEST_TOKENS are missing"),
        ({"JWT_SECRET_KEY": "", "INGEST_TOKENS": " , "}, "are missing"),
        ({"JWT_SECRET_KEY": "x" * 31}, "JWT_SECRET_KEY has less than 32 bytes"),
        ({"INGEST_TOKENS": f"{TOKEN},short"}, "INGEST_TOKENS has a token"),
        ({"JWT_JWKS_FILE": "missing.json"}, "JWT_JWKS_FILE missing.json"),
    ],
)
def test_without_a_secret_there_is_no_start(
    settings: dict[str, str], named: str
) -> None:
    """No secret has a default, and a weak one is none."""
    with pytest.raises(SettingsError, match=named):
        Callers.of(load(settings))


@pytest.mark.parametrize(
    "content", ["", "[]", '{"keys": 5}', '{"keys": [{"kid": "a", "kty": "x"}]}']
)
def test_a_malformed_key_file_is_one_line(content: str, tmp_path: Path) -> None:
    """It names the variable."""
    file = tmp_path / "jwks.json"
    file.write_text(content)
    with pytest.raises(SettingsError, match="JWT_JWKS_FILE"):
        Callers.of(load({"JWT_JWKS_FILE": str(file)}))


def test_a_dead_letter_keeps_what_it_took_over_from_its_request(
    start: StartCollector, spool_dir: Path
) -> None:
    """Without the user of the token and the time of sending it could not be replayed."""
    client = start()
    client.headers["Authorization"] = f"Bearer {token(sub='u1')}"
    sent = {"sentAt": "2026-01-01T00:00:00Z", "batch": [{"event": ""}]}
    client.post("/v1/batch", json=sent)
    (letter,) = spooled(spool_dir)
    assert json.loads(letter["raw"]) == {
        "event": "",
        "user_id": "u1",
        "sent_at": "2026-01-01T00:00:00Z",
    }
