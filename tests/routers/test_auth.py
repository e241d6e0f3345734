"""Authentication: the token is compared byte for byte."""

from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.routers.conftest import client_of, make_settings
from tests.support.sample import TOKEN

PROTECTED = ["/", "/daily-analytics", "/room/1/stats", "/room/0/stats", "/room/x/stats"]
RAW = TOKEN.encode()


@pytest.mark.parametrize("header", [b"Bearer ", b"bearer ", b"BEARER ", b""])
def test_the_token_is_accepted_bare_and_with_the_scheme_in_any_case(
    read_model: Path, client: TestClient, header: bytes
) -> None:
    """The analytics dashboard sends it bare."""
    assert read_model.exists()
    got = client.get("/room/1/stats", headers={b"Authorization": header + RAW})
    assert got.status_code == 200


@pytest.mark.parametrize("path", PROTECTED)
@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"Bearer",
        b"Bearer ",
        b"Bearer wrong",
        b"wrong",
        b"Bearer " + RAW[:-1],
        RAW[:-1],
        b"Bearer " + RAW + b"=",
        b"Bearer " + RAW + b" ",
        b" " + RAW,
        RAW + RAW,
        b"Basic " + RAW,
        b"Bearer Bearer " + RAW,
        b"Bearer \xff\xfe\x00",
        "Bearer ünïcode".encode(),
        RAW.upper(),
    ],
)
def test_any_other_token_is_refused(client: TestClient, path: str, sent: bytes) -> None:
    """401 precedes the validation of the path and the check for a read model."""
    got = client.get(path, headers={b"Authorization": sent})
    assert got.status_code == 401
    assert got.headers["WWW-Authenticate"] == "Bearer"
    assert got.json() == {"detail": "Missing or wrong token"}


@pytest.mark.parametrize("path", PROTECTED)
def test_no_token_and_two_tokens_are_refused(client: TestClient, path: str) -> None:
    """Two headers are ambiguous, even if one is valid."""
    del client.headers["Authorization"]
    assert client.get(path).status_code == 401
    both = [(b"Authorization", RAW), (b"Authorization", RAW)]
    assert client.get(path, headers=both).status_code == 401


def test_a_token_beyond_ascii_is_compared_as_utf_8(read_model: Path) -> None:
    """compare_digest() raises for non-ASCII text, so bytes are compared."""
    token = "schlüssel-🔑"
    settings = make_settings(data_dir=read_model, analytics_secret_token=token)
    with client_of(settings) as client:
        for sent, status in ((token, 200), ("schlussel-🔑", 401), (token[:-1], 401)):
            headers = {b"Authorization": b"Bearer " + sent.encode()}
            assert client.get("/room/1/stats", headers=headers).status_code == status


@pytest.mark.parametrize("path", ["/health", "/docs", "/openapi.json"])
def test_public_routes_need_no_token(client: TestClient, path: str) -> None:
    """/health answers 503 here, since there is no read model."""
    del client.headers["Authorization"]
    assert client.get(path).status_code in (200, 503)
