"""The page and its files: their addresses, caching, and the way from `/`."""

import re
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from routers.routes import dashboard
from tests.routers.conftest import client_of, make_settings
from tests.support.sample import TOKEN

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.fixture
def client(data_dir: Path) -> TestClient:
    """A client without a token, which follows no redirect."""
    client = client_of(make_settings(data_dir=data_dir))
    del client.headers["Authorization"]
    client.follow_redirects = False
    return client


def test_files_are_immutable_below_the_address_of_their_content(
    client: TestClient,
) -> None:
    """The page names that address; other addresses are revalidated."""
    page = client.get("/dashboard")
    assert page.headers["Cache-Control"] == "no-cache"
    (version,) = set(re.findall("dashboard/assets/([^/]+)/", page.text))
    assert version == dashboard.assets_version()
    assert "dashboard/assets/app.js" not in page.text
    script = client.get(f"/dashboard/assets/{version}/app.js")
    assert "immutable" in script.headers["Cache-Control"]
    unversioned = client.get("/dashboard/assets/app.js")
    assert unversioned.headers["Cache-Control"] == "no-cache"
    assert unversioned.content == script.content
    assert client.get("/dashboard/assets/0123456789abcdef/app.js").status_code == 404


def test_the_version_changes_with_any_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its content and with its name."""
    script = tmp_path / "a.js"
    script.write_text("one")
    monkeypatch.setattr(dashboard, "STATIC", tmp_path)
    compute = dashboard.assets_version.__wrapped__
    first = compute()
    script.write_text("two")
    second = compute()
    script.rename(tmp_path / "b.js")
    assert len({first, second, compute()}) == 3


def test_the_page_is_revalidated_by_its_etag(client: TestClient) -> None:
    """A page in the browser's cache costs no body."""
    page = client.get("/dashboard")
    tag = {"If-None-Match": page.headers["ETag"]}
    again = client.get("/dashboard", headers=tag)
    assert again.status_code == 304
    assert again.headers["Content-Security-Policy"] == dashboard.PAGE_POLICY
    assert client.head("/dashboard").status_code == 200


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_browser_without_a_token_is_sent_from_the_root_to_the_page(
    client: TestClient, method: str
) -> None:
    """The address is relative, so a path prefix of a proxy stays."""
    got = client.request(method, "/", headers={"Accept": BROWSER})
    assert got.status_code == 307
    assert got.headers["Location"] == "dashboard"
    assert "Accept" in got.headers["Vary"]


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/", {}),
        ("/", {"Accept": "application/json"}),
        ("/", {"Accept": BROWSER, "Authorization": "Bearer wrong"}),
        ("/sync/runs", {"Accept": BROWSER}),
    ],
)
def test_clients_of_the_api_are_not_redirected(
    client: TestClient, path: str, headers: dict[str, str]
) -> None:
    """They want JSON, send a token, or ask for something else."""
    assert client.get(path, headers={"Accept": "*/*"} | headers).status_code == 401


def test_a_browser_extension_that_sends_the_token_gets_the_data(
    client: TestClient,
) -> None:
    """The token decides, whatever is accepted."""
    headers = {"Accept": BROWSER, "Authorization": f"Bearer {TOKEN}"}
    assert client.get("/", headers=headers).status_code in (200, 503)


def test_the_page_and_its_files_are_outside_the_rate_limit(data_dir: Path) -> None:
    """One visit asks for two dozen files; the API's own routes stay limited."""
    settings = make_settings(data_dir=data_dir, rate_limit_per_minute=2)
    with client_of(settings) as client:
        for path in ("/dashboard", "/dashboard/assets/app.js") * 5:
            assert client.get(path).status_code == 200
        assert client.get("/dashboardx").status_code == 404
        statuses = [client.get("/sync/runs").status_code for _ in range(3)]
    assert statuses[-1] == 429
