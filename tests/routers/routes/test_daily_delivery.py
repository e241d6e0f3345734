"""`GET /daily-analytics` posts its figures to the e-mail service, if one is set."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from config import Settings
from tests.routers.conftest import client_of, make_settings
from tests.support.servers import StubServer, serving


@pytest.fixture
def server() -> Iterator[StubServer]:
    """A local server that stands in for the e-mail service."""
    with serving() as running:
        yield running


def delivering(data_dir: Path, server: StubServer) -> Settings:
    """Settings with *server* as e-mail service."""
    return make_settings(
        data_dir=data_dir,
        bea_base_url=f"{server.url}/fpp-daily-analytics",
        bea_secret_key="s3cret",
    )


def test_each_call_posts_the_figures_it_answers(
    read_model: Path, server: StubServer
) -> None:
    """A matching If-None-Match changes nothing, since the call has an effect."""
    with client_of(delivering(read_model, server)) as client:
        first = client.get("/daily-analytics")
        client.get("/daily-analytics", headers={"If-None-Match": "*"})
    assert first.status_code == 200
    assert [request.json for request in server.requests] == [first.json()] * 2
    posted = server.requests[0]
    assert (posted.method, posted.path) == ("POST", "/fpp-daily-analytics")
    headers = {name.lower(): value for name, value in posted.headers.items()}
    assert headers["authorization"] == "Bearer s3cret"


def test_a_failed_delivery_is_502_with_a_detail(
    read_model: Path, server: StubServer
) -> None:
    """The detail contains neither the key nor the URL."""
    server.status = 500
    with client_of(delivering(read_model, server)) as client:
        got = client.get("/daily-analytics")
    assert got.status_code == 502
    assert got.json() == {"detail": "The e-mail service answered 500"}


def test_without_a_key_nothing_is_posted(read_model: Path, server: StubServer) -> None:
    """A URL alone is not enough."""
    settings = make_settings(data_dir=read_model, bea_base_url=server.url)
    with client_of(settings) as client:
        assert client.get("/daily-analytics").status_code == 200
    assert server.requests == []


@pytest.mark.parametrize("query", ["period=7d", "tz=UTC", "compare=previous"])
def test_a_call_with_parameters_posts_nothing(
    read_model: Path, server: StubServer, query: str
) -> None:
    """It would send a second e-mail of the day."""
    with client_of(delivering(read_model, server)) as client:
        assert client.get(f"/daily-analytics?{query}").status_code == 200
        assert client.get("/daily-analytics?perid=7d").status_code == 422
    assert not server.requests
