"""Limits: size, rate, failed logins, and unknown parameters."""

from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from routers.middleware import guesses, limits
from routers.middleware.guesses import GuessBrake
from tests.routers.conftest import client_of, create_fixed_app, make_settings
from tests.routers.middleware.test_access_log import values
from tests.support.sample import TOKEN

PATHS = ["/", "/daily-analytics", "/room/1/stats", "/sync/runs", "/metrics", "/health"]


def test_requests_above_the_rate_limit_are_429_with_retry_after(data_dir: Path) -> None:
    """The limit is RATE_LIMIT_PER_MINUTE."""
    with client_of(make_settings(data_dir=data_dir, rate_limit_per_minute=3)) as client:
        statuses = [client.get("/sync/runs").status_code for _ in range(3)]
        refused = client.get("/sync/runs")
    assert statuses == [200, 200, 200]
    assert refused.status_code == 429
    assert refused.json() == {"detail": "Too many requests: at most 3 a minute"}
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert refused.headers["X-Request-ID"]


def test_requests_are_limited_per_token_and_per_address(data_dir: Path) -> None:
    """Failed logins count towards the address, not towards a valid token."""
    settings = make_settings(
        data_dir=data_dir,
        rate_limit_per_minute=2,
        analytics_secret_token=f"{TOKEN},other",
    )

    def status(token: str) -> int:
        headers = {"Authorization": token}
        return client.get("/sync/runs", headers=headers).status_code

    with client_of(settings) as client:
        assert [status(f"wrong-{n}") for n in range(3)] == [401, 401, 429]
        assert [status(TOKEN) for _ in range(3)] == [200, 200, 429]
        assert [status("other") for _ in range(3)] == [200, 200, 429]


@pytest.mark.parametrize("path", ["/health", "/v1/health"])
def test_health_is_never_limited(data_dir: Path, path: str) -> None:
    """Otherwise a busy client could make the container restart."""
    with client_of(make_settings(data_dir=data_dir, rate_limit_per_minute=1)) as client:
        assert {client.get(path).status_code for _ in range(5)} == {503}


def test_a_limit_of_zero_disables_it(data_dir: Path) -> None:
    """For deployments whose proxy limits requests."""
    with client_of(make_settings(data_dir=data_dir, rate_limit_per_minute=0)) as client:
        assert {client.get("/sync/runs").status_code for _ in range(20)} == {200}


def test_refusals_are_counted(data_dir: Path) -> None:
    """An alert can detect them."""
    settings = make_settings(data_dir=data_dir, rate_limit_per_minute=2)
    with client_of(settings) as client:
        wrong = {"Authorization": "wrong"}
        for _ in range(4):
            client.get("/", headers=wrong)
        assert values(client, "fpp_rate_limited_total") == {"": 2}


def test_failed_logins_are_counted(client: TestClient) -> None:
    """A missing token is one, too."""
    client.get("/", headers={"Authorization": "wrong"})
    client.get("/", headers={"Authorization": ""})
    assert values(client, "fpp_failed_logins_total") == {"": 2}


def test_after_too_many_wrong_tokens_a_right_one_is_not_told_from_them(
    client: TestClient,
) -> None:
    """Whoever guesses learns nothing more; a caller known from before is not affected."""
    known = {"Authorization": f"Bearer {TOKEN}"}
    assert client.get("/sync/runs", headers=known).status_code == 200
    for n in range(guesses.MOST_PER_ADDRESS):
        wrong = {"Authorization": f"wrong-{n}"}
        assert client.get("/sync/runs", headers=wrong).status_code == 401
    refused = client.get("/sync/runs", headers={"Authorization": "wrong"})
    assert refused.status_code == 429
    assert refused.json() == {"detail": "Too many wrong tokens"}
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    # The same token, spelled as never before.
    assert client.get("/sync/runs", headers={"Authorization": TOKEN}).status_code == 429
    assert client.get("/sync/runs", headers=known).status_code == 200
    assert client.get("/health").status_code == 503


def test_guesses_from_many_addresses_are_limited_in_all() -> None:
    """And what is remembered of them is bounded."""
    brake = GuessBrake()
    brake.right("10.0.0.1", b"right")
    for n in range(guesses.MOST_IN_ALL):
        assert brake.wait_seconds(f"10.1.{n // 250}.{n % 250}", b"wrong") == 0
        brake.wrong(f"10.1.{n // 250}.{n % 250}")
    assert 0 < brake.wait_seconds("10.2.0.1", b"wrong") <= 60
    assert brake.wait_seconds("10.0.0.1", b"right") == 0


def test_public_routes_have_a_limit_of_their_own(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flood of them is refused, and does not use up the limit of other routes."""
    monkeypatch.setattr(limits, "LEAST_PUBLIC", 5)
    monkeypatch.setattr(limits, "PUBLIC_FACTOR", 2)
    settings = make_settings(data_dir=data_dir, rate_limit_per_minute=1)
    with client_of(settings) as client:
        statuses = [
            client.get("/openapi.json", headers={"If-None-Match": "*"}).status_code
            for _ in range(limits.LEAST_PUBLIC + 1)
        ]
        assert statuses[-1] == 429
        assert 429 not in statuses[:-1]
        assert client.get("/sync/runs").status_code == 200


def test_the_page_and_its_files_are_never_limited(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A visitor whose files are refused sees an empty page."""
    monkeypatch.setattr(limits, "LEAST_PUBLIC", 30)
    settings = make_settings(data_dir=data_dir, rate_limit_per_minute=1)
    paths = ("/dashboard", "/dashboard/assets/icon.svg", "/dashboard/assets/none.js")
    with client_of(settings) as client:
        for path in paths:
            found = {
                client.get(path).status_code for _ in range(limits.LEAST_PUBLIC + 1)
            }
            assert found == {404 if "none" in path else 200}
        assert client.get("/health").status_code == 503


def test_with_a_root_path_routes_are_told_apart_as_without(data_dir: Path) -> None:
    """A proxy serves the API below a path; the page's files do not use up the limit."""
    app = create_fixed_app(make_settings(data_dir=data_dir, rate_limit_per_minute=2))
    with TestClient(app, root_path="/stats") as client:
        for path in ("/health", "/dashboard", "/dashboard/assets/dashboard.js"):
            for _ in range(3):
                assert client.get(f"/stats{path}").status_code != 429
        statuses = [client.get("/stats/sync/runs").status_code for _ in range(3)]
    assert statuses == [401, 401, 429]


def test_a_query_with_too_many_parameters_is_refused_unread(client: TestClient) -> None:
    """One error message for each would take long, and needs no token."""
    names = "&".join(f"a{n}=1" for n in range(limits.MAX_PARAMETERS))
    assert client.get(f"/health?{names}").status_code == 422
    assert client.get(f"/health?{names}&b=1").status_code == 414


def test_oversized_headers_are_refused(client: TestClient) -> None:
    """Just below the limit they pass; above it the response is 431."""
    least = sum(len(k) + len(v) for k, v in client.headers.raw) + 64
    room = limits.MAX_HEADER_BYTES - least
    assert client.get("/health", headers={"X-A": "x" * room}).status_code == 503
    assert client.get("/health", headers={"X-A": "x" * (room + 64)}).status_code == 431


def test_oversized_urls_are_refused(client: TestClient) -> None:
    """Path and query count together."""
    assert client.get("/" + "x" * limits.MAX_URL_BYTES).status_code == 414
    query = {"q": "x" * limits.MAX_URL_BYTES}
    assert client.get("/health", params=query).status_code == 414


@pytest.mark.parametrize("path", PATHS)
def test_unknown_query_parameters_are_refused(
    read_model: Path, client: TestClient, path: str
) -> None:
    """A misspelled parameter must not be ignored."""
    assert read_model.exists()
    assert client.get(path).status_code == 200
    got = client.get(path, params={"limt": "5"})
    assert got.status_code == 422
    (problem,) = got.json()["errors"]
    assert (problem["location"], problem["parameter"]) == ("query", "limt")


def test_each_of_two_tokens_is_accepted_so_that_one_can_be_rotated(
    data_dir: Path,
) -> None:
    """The old or the new one, but not both in one header."""
    both = "old-token, new-token"
    settings = make_settings(data_dir=data_dir, analytics_secret_token=both)
    with client_of(settings) as client:
        for sent, status in (
            ("old-token", 200),
            ("Bearer new-token", 200),
            (both, 401),
            ("old-token,new-token", 401),
            (",", 401),
            ("", 401),
        ):
            got = client.get("/sync/runs", headers={"Authorization": sent})
            assert got.status_code == status, sent
