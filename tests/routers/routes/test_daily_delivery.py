"""`GET /daily-analytics` posts its figures to the e-mail service, if one is set."""

import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import date
from pathlib import Path

import httpx
import pytest

from config import Settings
from readmodel.store.report_ledger import DailyReport, ReportState, claim_file
from readmodel.sync import report_claims
from routers.outside_calls import MOST_CALLS, MOST_WAITING
from tests.routers.conftest import (
    client_of,
    create_fixed_app,
    make_settings,
    served,
)
from tests.support.frames import NOW
from tests.support.sample import TOKEN
from tests.support.servers import StubServer, serving


@pytest.fixture
def server() -> Iterator[StubServer]:
    """A local server that stands in for the e-mail service."""
    with serving() as running:
        yield running


def delivering(data_dir: Path, server: StubServer, **changes: str) -> Settings:
    """Settings with *server* as e-mail service."""
    return make_settings(
        data_dir=data_dir,
        bea_base_url=f"{server.url}/fpp-daily-analytics",
        bea_secret_key="s3cret",
        **changes,
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


def test_a_post_posts_the_figures(read_model: Path, server: StubServer) -> None:
    """With REPORT_SENDER=api-post nothing else does, and the key is that of the day."""
    settings = delivering(read_model, server, report_sender="api-post")
    with client_of(settings) as client:
        shown = client.get("/daily-analytics")
        assert server.requests == []
        answered = client.post("/daily-analytics")
        assert client.post("/daily-analytics?period=7d").status_code == 422
    assert (answered.status_code, answered.json()) == (200, shown.json())
    assert answered.headers["cache-control"] == "no-store"
    (request,) = server.requests
    assert request.json == answered.json()
    assert request.headers["idempotency-key"].endswith(f"/last-24-hours/{NOW:%Y-%m-%d}")


def test_a_post_needs_a_service_and_the_right(
    read_model: Path, server: StubServer
) -> None:
    """409 where the updater posts, or nobody; 403 with a token that only reads."""
    settings = delivering(read_model, server, analytics_viewer_tokens="viewer")
    with client_of(settings) as client:
        viewer = {"Authorization": "Bearer viewer"}
        assert client.post("/daily-analytics", headers=viewer).status_code == 403
        assert client.post("/daily-analytics").status_code == 200
    assert len(server.requests) == 1
    for settings, said in (
        (delivering(read_model, server, report_sender="updater"), "the updater posts"),
        (make_settings(data_dir=read_model), "BEA_BASE_URL or BEA_SECRET_KEY"),
    ):
        with client_of(settings) as client:
            refused = client.post("/daily-analytics")
        assert refused.status_code == 409
        assert said in refused.json()["detail"]
    assert len(server.requests) == 1


@pytest.mark.parametrize("query", ["period=7d", "tz=UTC", "compare=previous"])
def test_a_call_with_parameters_posts_nothing(
    read_model: Path, server: StubServer, query: str
) -> None:
    """It would send a second e-mail of the day."""
    with client_of(delivering(read_model, server)) as client:
        assert client.get(f"/daily-analytics?{query}").status_code == 200
        assert client.get("/daily-analytics?perid=7d").status_code == 422
    assert not server.requests


def test_the_calls_of_one_day_have_one_idempotency_key(
    read_model: Path, server: StubServer
) -> None:
    """It is made of the installation and the day in TIMEZONE, so a retry is known."""
    settings = delivering(read_model, server, installation="berlin")
    with client_of(settings) as client:
        client.get("/daily-analytics")
        client.get("/daily-analytics")
    keys = {request.headers["idempotency-key"] for request in server.requests}
    assert keys == {f"berlin/last-24-hours/{NOW:%Y-%m-%d}"}


@pytest.mark.parametrize("sender", ["api", "updater"])
def test_a_preview_posts_nothing(
    read_model: Path, server: StubServer, sender: str
) -> None:
    """It has the figures and an ETag; preview=false is a call without parameters."""
    settings = delivering(read_model, server, report_sender=sender)
    with client_of(settings) as client:
        preview = client.get("/daily-analytics?preview=true")
        assert server.requests == []
        real = client.get("/daily-analytics?preview=false")
    assert preview.json() == real.json()
    assert "etag" in preview.headers
    assert len(server.requests) == (1 if sender == "api" else 0)


def test_the_updaters_reports_are_answered_as_they_were_posted(
    read_model: Path, server: StubServer, tmp_path: Path
) -> None:
    """The newest without a day; 404 for a day without a report, 503 for damage."""
    data_dir = tmp_path / "copy"
    shutil.copytree(read_model, data_dir, symlinks=True)
    bodies = {day: b'{"votes": %d}' % day for day in (24, 25)}
    for day, body in bodies.items():
        report = posted(day, body)
        assert report_claims.claim(data_dir, report)
    report_claims.settle(data_dir, posted(24, b""), ReportState.SENT, NOW, "")
    with client_of(make_settings(data_dir=data_dir)) as client:
        newest = client.get("/reports/daily")
        first = client.get("/reports/daily?day=2026-11-24")
        absent = client.get("/reports/daily?day=2026-11-23")
        claim_file(data_dir, date(2026, 11, 25), 1).write_bytes(b"{}")
        damaged = client.get("/reports/daily?day=2026-11-25")
        assert client.get("/reports/daily?day=yesterday").status_code == 422
    assert (newest.content, newest.headers["x-report-state"]) == (bodies[25], "unknown")
    assert (first.content, first.headers["x-report-state"]) == (bodies[24], "sent")
    assert first.headers["idempotency-key"] == "fpp/day/24"
    assert absent.status_code == 404
    assert absent.json() == {"detail": "No daily report of 2026-11-23 was posted"}
    assert damaged.status_code == 503
    assert "2026-11-25.1.claim.json is damaged" in damaged.json()["detail"]


def test_without_any_report_the_answer_is_404(read_model: Path) -> None:
    """That is so as long as the API sends them."""
    with client_of(make_settings(data_dir=read_model)) as client:
        answer = client.get("/reports/daily")
    assert answer.status_code == 404
    assert answer.json() == {"detail": "No daily report was posted yet"}


def posted(day: int, body: bytes) -> DailyReport:
    """The report of a day of November 2026."""
    return DailyReport(date(2026, 11, day), 1, NOW, f"fpp/day/{day}", body, "")


def test_a_slow_service_holds_up_nothing_else(
    read_model: Path, server: StubServer
) -> None:
    """Deliveries have threads of their own, and only some of them may wait."""
    server.delay = 60
    app = create_fixed_app(delivering(read_model, server))
    count = MOST_CALLS + MOST_WAITING
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with (
        served(app) as url,
        httpx.Client(base_url=url, headers=headers, timeout=30) as client,
        ThreadPoolExecutor(count) as pool,
    ):
        for _ in range(count):
            pool.submit(_give_up, url, headers)
        server.wait_for(MOST_CALLS)
        deliveries = app.state.deliveries._threads
        wait_until(lambda: deliveries.statistics().tasks_waiting == MOST_WAITING)
        for path in ("/room/1/stats", "/metrics", "/sync/runs", "/dashboard", "/"):
            assert client.get(path).status_code == 200
        refused = client.get("/daily-analytics")
        server.stop_delays()
    assert refused.status_code == 503
    assert "too slow" in refused.json()["detail"]


def _give_up(url: str, headers: dict[str, str]) -> None:
    with suppress(httpx.HTTPError):
        httpx.get(f"{url}/daily-analytics", headers=headers, timeout=60)


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until *condition* holds; fail after half a minute."""
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)
