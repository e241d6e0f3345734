"""Delivery of the daily figures, with a local server as the e-mail service."""

from datetime import timedelta

import pytest

from tests.support.servers import StubServer, closed_port
from util.errors import DeliveryError, DeliveryRefused, NotDelivered
from util.http_client import daily_url, encode_daily, send_daily

FIGURES = {"votes": 3, "estimations": 12, "rooms": 2}
BODY = encode_daily(FIGURES)
ID = "fpp-analytics/day/2026-11-25"
KEY = "k3y-of-the-mailer"


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        ("mailer", "http://mailer:3010/fpp-daily-analytics"),
        (" 10.0.0.7 ", "http://10.0.0.7:3010/fpp-daily-analytics"),
        ("http://mailer:8080/daily", "http://mailer:8080/daily"),
        ("https://mail.example", "https://mail.example"),
    ],
)
def test_a_bare_host_gets_port_and_path_and_a_url_stays(
    base_url: str, url: str
) -> None:
    """The scheme decides whether the address is complete."""
    assert daily_url(base_url) == url


def test_the_figures_arrive_once_as_json_with_the_key(server: StubServer) -> None:
    """One POST with the Bearer key and the figures, and no error."""
    send_daily(f"{server.url}/daily", f" {KEY}\n", BODY, ID)
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/daily")
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["idempotency-key"] == ID
    assert request.headers["content-type"] == "application/json"
    assert request.json == FIGURES


@pytest.mark.parametrize("status", [301, 401, 404, 500, 503])
def test_any_answer_but_2xx_is_an_error_without_secrets(
    server: StubServer, status: int
) -> None:
    """The message names the status; neither key nor address shows."""
    server.status = status
    with pytest.raises(DeliveryRefused, match=f"answered {status}") as caught:
        send_daily(server.url, KEY, BODY, ID)
    assert KEY not in str(caught.value)
    assert len(server.requests) == 1


def test_a_silent_service_is_an_error_after_the_timeout(server: StubServer) -> None:
    """A service that accepts the request and never answers does not block the caller."""
    server.delay = 20
    with pytest.raises(DeliveryError, match=r"did not answer within 0\.2 s"):
        send_daily(server.url, KEY, BODY, ID, timeout=timedelta(seconds=0.2))


@pytest.mark.parametrize(
    ("base_url", "key", "message"),
    [
        pytest.param(
            f"http://127.0.0.1:{closed_port()}", KEY, "cannot be reached", id="refused"
        ),
        ("mailer.invalid", KEY, "cannot be reached"),
        ("ftp://mailer", KEY, "BEA_BASE_URL"),
        ("mailer:8080", KEY, "BEA_BASE_URL"),
        ("http://", KEY, "BEA_BASE_URL"),
    ],
)
def test_a_wrong_address_is_an_error_that_says_so(
    base_url: str, key: str, message: str
) -> None:
    """Nothing arrives at refused, unknown and malformed addresses."""
    with pytest.raises(NotDelivered, match=message):
        send_daily(base_url, key, BODY, ID)


def test_a_key_that_no_header_can_carry_is_an_error_without_the_key(
    server: StubServer,
) -> None:
    """A line break inside the key is neither sent nor shown."""
    with pytest.raises(NotDelivered, match="BEA_SECRET_KEY") as caught:
        send_daily(server.url, "broken\nkey", BODY, ID)
    assert "broken" not in str(caught.value)
    assert server.requests == []


def test_a_key_with_accents_is_sent_as_utf8(server: StubServer) -> None:
    """No UnicodeEncodeError leaves the client."""
    send_daily(server.url, "clé", BODY, ID)
    sent = server.requests[0].headers["authorization"]
    assert sent.encode("latin-1") == "Bearer clé".encode()
