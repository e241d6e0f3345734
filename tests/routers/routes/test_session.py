"""Ways in for people: viewer tokens, a session in a cookie, links to one view."""

import itertools
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from config import Settings
from main import app
from routers import credentials
from routers.credentials import CredentialKind
from routers.routes.session import SESSION_LENGTH
from tests.routers.conftest import client_of, make_settings
from tests.support.effort import some_long
from tests.support.frames import NOW
from tests.support.sample import TAKEN_AT, TOKEN
from tests.support.servers import serving

VIEWER = "viewers-only"
READ = ["/", "/daily-analytics", "/rooms", "/sync/runs", "/historical.csv", "/session"]


def settings_of(data_dir: Path, **values: Any) -> Settings:
    """Settings with a full token and a viewer's."""
    return make_settings(data_dir=data_dir, analytics_viewer_tokens=VIEWER, **values)


def as_caller(client: TestClient, token: str | None) -> TestClient:
    """*client* with another token, or with none."""
    if token is None:
        client.headers.pop("Authorization", None)
    else:
        client.headers["Authorization"] = f"Bearer {token}"
    return client


@pytest.fixture
def client(read_model: Path) -> Iterator[TestClient]:
    """A client with the full token."""
    with client_of(settings_of(read_model)) as client:
        yield client


@pytest.fixture
def later(read_model: Path) -> Any:
    """Returns a client without a token, whose clock shows *moment*."""

    def at(moment: datetime, **values: Any) -> TestClient:
        tokens = {"analytics_viewer_tokens": VIEWER} | values
        settings = make_settings(data_dir=read_model, **tokens)
        return as_caller(client_of(settings, moment), None)

    return at


def signed_in(client: TestClient) -> str:
    """Sign in with the client's token; the cookie's attributes. It then has no token."""
    answer = client.post("/session")
    assert answer.status_code == 204
    as_caller(client, None)
    return answer.headers["Set-Cookie"]


def link_to(client: TestClient, query: str) -> str:
    """The token of a link to *query*."""
    answer = client.get(f"/link?{query}")
    assert answer.status_code == 200, answer.text
    return str(answer.json()["token"])


def test_a_viewer_reads_and_does_nothing_else(client: TestClient) -> None:
    """403 names the right that is missing."""
    as_caller(client, VIEWER)
    for path in READ:
        assert client.get(path).status_code == 200, path
    assert client.get("/session").json() == {
        "rights": ["read"],
        "expires_at": None,
        "view": None,
    }
    refused = client.get("/metrics")
    assert refused.status_code == 403
    assert "metrics" in refused.json()["detail"]


def test_only_a_full_token_sends_the_figures(read_model: Path) -> None:
    """A viewer's GET, and that of a session, answers without sending."""
    with serving() as service:
        settings = settings_of(
            read_model, bea_base_url=f"{service.url}/x", bea_secret_key="s3cret"
        )
        with client_of(settings) as client:
            signed_in(client)
            assert client.get("/daily-analytics").status_code == 200
            client.cookies.clear()
            assert as_caller(client, VIEWER).get("/daily-analytics").status_code == 200
            assert service.requests == []
            assert as_caller(client, TOKEN).get("/daily-analytics").status_code == 200
    assert len(service.requests) == 1


def test_a_cookie_keeps_signed_in_for_reading(client: TestClient) -> None:
    """Scripts cannot read it, and other sites cannot make the browser send it."""
    cookie = signed_in(client)
    attributes = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert {"httponly", "samesite=strict", "path=/"} <= attributes
    assert "secure" not in attributes
    assert TOKEN not in cookie
    for path in READ:
        assert client.get(path).status_code == 200, path
    assert client.head("/").status_code == 200
    ends = datetime.fromisoformat(client.get("/session").json()["expires_at"])
    assert ends - (NOW + SESSION_LENGTH) < timedelta(seconds=1)


def test_the_cookie_is_secure_over_https(read_model: Path) -> None:
    """It is never sent in the clear then."""
    with client_of(settings_of(read_model)) as client:
        client.base_url = "https://analytics.example.org"
        assert "secure" in signed_in(client).lower()


def test_the_cookie_causes_no_effect(client: TestClient) -> None:
    """Every method but GET and HEAD needs a token, whatever the route."""
    signed_in(client)
    changing = [
        (method, path)
        for path, methods in app.openapi()["paths"].items()
        for method in methods
        if method not in ("get", "head") and (method, path) != ("delete", "/session")
    ]
    assert len(changing) >= 2
    for method, path in changing:
        assert client.request(method, path).status_code == 401, (method, path)
    assert client.get("/metrics").status_code == 403


def test_a_wrong_token_is_not_mended_by_the_cookie(client: TestClient) -> None:
    """A caller that sends a token is taken at its word."""
    signed_in(client)
    assert as_caller(client, "wrong").get("/").status_code == 401


def test_signing_out_removes_the_cookie(client: TestClient) -> None:
    """It needs no token."""
    signed_in(client)
    assert client.delete("/session").status_code == 204
    assert client.get("/").status_code == 401


@pytest.mark.parametrize("token", [None, "wrong"])
def test_only_a_token_begins_a_session(client: TestClient, token: str | None) -> None:
    """Neither nothing, nor something else."""
    answer = as_caller(client, token).post("/session")
    assert answer.status_code == 401
    assert "Set-Cookie" not in answer.headers


def test_a_session_ends(client: TestClient, later: Any) -> None:
    """After thirty days, to the second; or as soon as its token is removed."""
    signed_in(client)
    cookies = dict(client.cookies)
    second = timedelta(seconds=1)
    for moment, status in (
        (NOW + SESSION_LENGTH - second, 200),
        (NOW + SESSION_LENGTH, 401),
    ):
        with later(moment) as browser:
            browser.cookies.update(cookies)
            assert browser.get("/").status_code == status
    with later(NOW, analytics_secret_token="another") as browser:
        browser.cookies.update(cookies)
        assert browser.get("/").status_code == 401


def test_forged_credentials_are_refused(client: TestClient) -> None:
    """Without the key, of another kind, without a signature, or changed."""
    ends = NOW + SESSION_LENGTH
    session = credentials.sign(CredentialKind.SESSION, TOKEN, ends)
    link = link_to(client, "period=7d")
    head, body, signature = session.split(".")
    unsigned = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0"
    as_caller(client, None)
    for forged in (
        credentials.sign(CredentialKind.SESSION, "another", ends),
        link,
        f"{unsigned}.{body}.",
        f"{head}.{body}.{signature[::-1]}",
        f"{head}.{body[:-2]}.{signature}",
        "ey..",
        "eyé.b.c",
    ):
        headers = {b"Cookie": b"fpp_session=" + forged.encode()}
        assert client.get("/", headers=headers).status_code == 401, forged
    # The cookie's value is no token, and the link's token begins no session.
    assert as_caller(client, session).get("/").status_code == 401
    assert as_caller(client, link).post("/session").status_code == 403


VIEWS = [
    "period=30d",
    "from=2024-07-01&to=2024-07-31&tz=Europe/Berlin",
    "period=30d&compare=previous&filter=country:DE",
]


@pytest.mark.parametrize(
    ("mine", "other"), some_long([*itertools.permutations(VIEWS, 2)], 2)
)
def test_a_link_shows_one_view(client: TestClient, mine: str, other: str) -> None:
    """The view's parts, by any interval; another range or filter is 403."""
    as_caller(client, link_to(client, mine))
    without_comparison = mine.replace("compare=previous&", "")
    for path in ("/", "/breakdown/country", "/historical", "/historical.csv"):
        query = mine if path == "/" else without_comparison
        assert client.get(f"{path}?{query}").status_code == 200, path
    assert client.get(f"/?{mine}&interval=week&sections=votes").status_code == 200
    for query in (other, "", f"{mine}&compare=year"):
        answer = client.get(f"/?{query}")
        assert answer.status_code in (403, 422), query
    assert client.get("/?" + other).status_code == 403
    assert client.get("/").json() == {
        "detail": "This link is to one view, and this is another one"
    }


def test_a_link_allows_no_other_route(client: TestClient) -> None:
    """Neither a room, the sync, the metrics, nor further links."""
    as_caller(client, link_to(client, "period=30d"))
    reached = set()
    for path, methods in app.openapi()["paths"].items():
        concrete = path.format(
            dimension="country",
            extension="csv",
            room_id="1",
            object="x",
            name="x",
        )
        for method in methods:
            answer = client.request(method, f"{concrete}?period=30d")
            if answer.status_code not in (401, 403, 405, 422):
                reached.add(f"{method} {path}")
    assert reached == {
        "get /",
        "get /historical",
        "get /historical.csv",
        "get /historical.{extension}",
        "get /breakdown/{dimension}",
        "get /breakdown/{dimension}.csv",
        "get /breakdown/{dimension}.{extension}",
        "get /v1/statistics",
    }
    assert client.get("/session").json()["view"] == {"period": "30d"}


def test_a_link_to_a_room_shows_that_room(client: TestClient) -> None:
    """Only it, and only in its range."""
    as_caller(client, link_to(client, "period=all&room=1"))
    assert client.get("/rooms/1?period=all&interval=month").status_code == 200
    for path in ("/rooms/2?period=all", "/rooms/1?period=7d", "/?period=all"):
        assert client.get(path).status_code == 403


def test_a_link_ends(client: TestClient, later: Any) -> None:
    """After the days that its creator chose, or when the creator's token goes."""
    token = link_to(as_caller(client, VIEWER), "period=all&days=2")
    second = timedelta(seconds=1)
    for moment, status in (
        (NOW + timedelta(days=2) - second, 200),
        (NOW + timedelta(days=2), 401),
    ):
        with later(moment) as reader:
            answer = as_caller(reader, token).get("/?period=all")
            assert answer.status_code == status
    with later(NOW, analytics_viewer_tokens="others") as reader:
        assert as_caller(reader, token).get("/?period=all").status_code == 401


def test_an_earlier_instant_does_not_revive_what_has_ended(
    client: TestClient, later: Any
) -> None:
    """`as_of` is the instant of the data, and not that of the caller."""
    token = link_to(client, "period=all&days=2")
    signed_in(client)
    instant = NOW.strftime("%Y-%m-%dT%H:%M:%SZ")
    with later(NOW + SESSION_LENGTH) as reader:
        reader.cookies.update(dict(client.cookies))
        assert reader.get(f"/?as_of={instant}").status_code == 401
        reader.cookies.clear()
        as_caller(reader, token)
        assert reader.get(f"/?period=all&as_of={instant}").status_code == 401


def test_a_link_fixes_the_instant(client: TestClient) -> None:
    """Its readers see the data of no other one, also if it names none."""
    instant = TAKEN_AT.strftime("%Y-%m-%dT%H:%M:%SZ")
    now, then = (
        link_to(client, f"period=all{query}") for query in ("", f"&as_of={instant}")
    )
    for token, mine, other in (
        (now, "", f"&as_of={instant}"),
        (then, f"&as_of={instant}", ""),
    ):
        as_caller(client, token)
        assert client.get(f"/?period=all{mine}").status_code == 200
        assert client.get(f"/?period=all{other}").status_code == 403
    # It ends as many days after it was made as any other.
    as_caller(client, TOKEN)
    ends = client.get(f"/link?period=all&days=2&as_of={instant}").json()["expires_at"]
    assert datetime.fromisoformat(ends) == NOW + timedelta(days=2)


@pytest.mark.parametrize(
    "query",
    [
        "period=7d&days=0",
        "period=7d&days=91",
        "period=7d&room=0",
        "period=7d&room=1&filter=country:DE",
        "period=fortnight",
        "filter=planet:Mars",
        "compare=previous",
        "",
        "interval=week",
    ],
)
def test_a_link_to_nothing_is_refused(client: TestClient, query: str) -> None:
    """When it is made, not when it is opened."""
    assert client.get(f"/link?{query}").status_code == 422


def test_readers_of_a_link_do_not_use_up_its_creators_requests(
    read_model: Path,
) -> None:
    """They count per address."""
    settings = settings_of(read_model, rate_limit_per_minute="3")
    with client_of(settings) as client:
        token = link_to(client, "period=7d")
        as_caller(client, token)
        statuses = [client.get("/?period=7d").status_code for _ in range(4)]
        assert statuses == [200, 200, 200, 429]
        assert as_caller(client, TOKEN).get("/session").status_code == 200


def test_tokens_of_viewers_are_secrets() -> None:
    """They are redacted from logs, and a session's cookie does not contain them."""
    settings = make_settings(analytics_viewer_tokens=f"{VIEWER}, second")
    assert dict(settings.access.tokens)["analytics_viewer_tokens"] == (VIEWER, "second")
    assert {VIEWER, "second"} <= set(settings.secrets)
