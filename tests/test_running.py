"""The API as a process of its own: how it logs, reports, and leaves."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.programs import ROOT, environ
from tests.support.sample import SAMPLE, TAKEN_AT
from tests.support.servers import StubServer, closed_port, envelope_items, serving
from tests.support.snapshots import publish

TOKEN = "running-t0ken"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
GONE_SECONDS = 10


@dataclass(frozen=True)
class Api:
    """A running uvicorn, and the file that its standard error goes to."""

    url: str
    process: "subprocess.Popen[bytes]"
    log: Path

    def lines(self) -> list[dict[str, Any]]:
        """All that was logged; every line is JSON."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def stop(self) -> float:
        """SIGTERM; how many seconds it took to leave."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(GONE_SECONDS)
        return time.monotonic() - began


@contextmanager
def running(data_dir: Path, **settings: str) -> Iterator[Api]:
    """`uvicorn main:app --port …`, as the README has it, once it answers."""
    port = closed_port()
    log = data_dir.parent / "api.log"
    given = {"DATA_DIR": str(data_dir), "ANALYTICS_SECRET_TOKEN": TOKEN} | settings
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", "main:app", "--port", str(port)],
            cwd=ROOT,
            env=environ(given),
            stdout=stream,
            stderr=stream,
        )
    api = Api(f"http://127.0.0.1:{port}", process, log)
    try:
        until = time.monotonic() + 60
        while not _answers(api):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until
            time.sleep(0.05)
        yield api
    finally:
        process.kill()
        process.wait()


def _answers(api: Api) -> bool:
    try:
        return httpx.get(f"{api.url}/health").status_code in (200, 503)
    except httpx.ConnectError:
        return False


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """The sample, published."""
    publish(tmp_path / "data", SAMPLE, TAKEN_AT)
    return tmp_path / "data"


@pytest.fixture
def sentry() -> Iterator[StubServer]:
    with serving() as running:
        yield running


@pytest.fixture
def mailer() -> Iterator[StubServer]:
    with serving() as running:
        yield running


def damage(data_dir: Path) -> None:
    """Let every statistic of the votes fail, as a broken disk would."""
    part = next((data_dir / "fpp_votes.parquet").resolve().iterdir())
    part.write_bytes(part.read_bytes()[:-20])


def events(sentry: StubServer) -> list[dict[str, Any]]:
    items = [item for request in sentry.requests for item in envelope_items(request)]
    return [load for head, load in items if head["type"] == "event"]


def test_all_that_is_logged_is_one_form(data_dir: Path) -> None:
    """Uvicorn's own lines included; no access line hstack ours."""
    with running(data_dir) as api:
        httpx.get(f"{api.url}/room/1/stats", headers=HEADERS)
        api.stop()
        lines = api.lines()
    assert {line["service"] for line in lines} == {"fpp-analytics-api"}
    assert "uvicorn.error" in {line["component"] for line in lines}
    requests = [line for line in lines if line["action"] == "request"]
    assert "/room/{room_id}/stats" in {line["route"] for line in requests}
    assert "uvicorn.access" not in {line["component"] for line in lines}


def test_an_unexpected_error_reaches_sentry_once_without_secrets(
    data_dir: Path, sentry: StubServer
) -> None:
    """And the log once; expected errors reach Sentry never."""
    dsn = f"http://dsnKey42@127.0.0.1:{sentry.port}/7"
    given = {"SENTRY_DSN": dsn, "SENTRY_ENVIRONMENT": "production"}
    with running(data_dir, **given) as api, ExitStack() as stack:
        ask = stack.enter_context(httpx.Client(base_url=api.url, headers=HEADERS))
        assert ask.get("/", headers={"Authorization": "wrong"}).status_code == 401
        assert ask.get("/nothing").status_code == 404
        assert ask.get("/room/0/stats").status_code == 400
        assert ask.get("/room/x/stats").status_code == 422
        current = data_dir / "current"
        current.rename(data_dir / "away")
        assert ask.get("/").status_code == 503
        (data_dir / "away").rename(current)
        damage(data_dir)
        assert ask.get("/room/1/stats").status_code == 500
        sentry.wait_for(1)
        api.stop()
        lines = api.lines()
    (event,) = events(sentry)
    assert event["level"] == "error"
    assert event["environment"] == "production"
    assert event["tags"]["service"] == "fpp-analytics-api"
    assert event["tags"]["component"] == "api"
    assert event["tags"]["action"] == "GET /room/{room_id}/stats"
    for text in (json.dumps(event), json.dumps(lines)):
        assert TOKEN not in text
        assert "dsnKey42" not in text
    assert "127.0.0.1" not in json.dumps(event)
    assert len([line for line in lines if line["level"] >= 50]) == 1


def test_in_development_nothing_is_sent(data_dir: Path, sentry: StubServer) -> None:
    """A DSN alone does not make it production."""
    with running(data_dir, SENTRY_DSN=f"http://k@127.0.0.1:{sentry.port}/7") as api:
        damage(data_dir)
        assert httpx.get(f"{api.url}/", headers=HEADERS).status_code == 500
        api.stop()
    assert sentry.requests == []


def test_sigterm_with_nothing_to_do_ends_it_at_once(data_dir: Path) -> None:
    """Connections that are only kept open do not hold it."""
    with running(data_dir) as api, httpx.Client(base_url=api.url) as kept:
        assert kept.get("/health").status_code == 200
        assert api.stop() < 3


def test_sigterm_under_load_ends_it_and_answers_what_it_took(data_dir: Path) -> None:
    """Who was being answered gets the answer; nobody gets half of one."""
    statuses: list[int] = []

    def ask() -> None:
        try:
            while True:
                statuses.append(httpx.get(f"{api.url}/", headers=HEADERS).status_code)
        except httpx.TransportError:
            return  # it has stopped listening

    with running(data_dir) as api:
        askers = [threading.Thread(target=ask) for _ in range(4)]
        for asker in askers:
            asker.start()
        time.sleep(1)
        assert api.stop() < GONE_SECONDS
        for asker in askers:
            asker.join()
    assert set(statuses) == {200}


def test_sigterm_while_a_caller_sends_half_a_request_ends_it(data_dir: Path) -> None:
    """The other half may never come."""
    with running(data_dir) as api:
        port = int(api.url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as half:
            half.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
            time.sleep(0.2)
            assert api.stop() < GONE_SECONDS


def test_sigterm_while_the_mailer_is_silent_ends_it_in_time(
    data_dir: Path, mailer: StubServer
) -> None:
    """The e-mail service has 30 seconds, whoever stops the process does not."""
    mailer.delay = 60
    given = {"BEA_BASE_URL": mailer.url, "BEA_SECRET_KEY": "mailKey77"}
    with running(data_dir, **given) as api:
        url = f"{api.url}/daily-analytics"

        def ask() -> None:
            with pytest.raises(httpx.TransportError):
                httpx.get(url, headers=HEADERS, timeout=60)

        asker = threading.Thread(target=ask)
        asker.start()
        mailer.wait_for(1)
        assert api.stop() < GONE_SECONDS
        asker.join()


@pytest.mark.parametrize("after", [0.0, 0.3, 0.6, 0.9, 1.2])
def test_sigterm_while_it_starts_ends_it(data_dir: Path, after: float) -> None:
    """At any moment, also before it listens."""
    process = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "main:app", "--port", str(closed_port())],
        cwd=ROOT,
        env=environ({"DATA_DIR": str(data_dir), "ANALYTICS_SECRET_TOKEN": TOKEN}),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    time.sleep(after)
    process.send_signal(signal.SIGTERM)
    assert process.wait(GONE_SECONDS) in (0, -signal.SIGTERM, 128 + signal.SIGTERM)


def test_it_never_writes_to_the_data(data_dir: Path) -> None:
    """Not even a lock or a cache."""

    def state() -> dict[str, int]:
        found = [Path(at) / n for at, _, names in os.walk(data_dir) for n in names]
        return {str(path): path.stat().st_mtime_ns for path in found}

    before = state()
    with running(data_dir) as api:
        for path in ("/", "/daily-analytics", "/sync/runs", "/metrics", "/health"):
            assert httpx.get(f"{api.url}{path}", headers=HEADERS).status_code == 200
        api.stop()
    assert state() == before
