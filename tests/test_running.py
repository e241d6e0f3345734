"""The API as a process: logs, error reports and shutdown."""

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

from tests.support import preloaded
from tests.support.effort import some_long
from tests.support.programs import ROOT, environ, wait_for_api
from tests.support.sample import SAMPLE, TAKEN_AT
from tests.support.servers import StubServer, closed_port, envelope_items, serving
from tests.support.snapshots import publish

pytestmark = pytest.mark.external

TOKEN = "running-t0ken"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
EXIT_SECONDS = 10


@dataclass(frozen=True)
class Api:
    """A running uvicorn, and the file that receives its output."""

    url: str
    process: "subprocess.Popen[bytes]"
    log: Path

    def lines(self) -> list[dict[str, Any]]:
        """The log lines, each of which is JSON."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def stop(self) -> float:
        """Send SIGTERM; return the seconds until the exit."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(EXIT_SECONDS)
        return time.monotonic() - began


@contextmanager
def running(data_dir: Path, **settings: str) -> Iterator[Api]:
    """Run `uvicorn main:app --port …`, as in the README; yield once it answers."""
    port = closed_port()
    log = data_dir.parent / "api.log"
    given = {"DATA_DIR": str(data_dir), "ANALYTICS_SECRET_TOKEN": TOKEN} | settings
    with log.open("wb") as stream:
        process = preloaded.start(
            ["-m", "uvicorn", "main:app", "--port", str(port)],
            cwd=ROOT,
            env=environ(given),
            stdout=stream,
            stderr=stream,
        )
    api = Api(f"http://127.0.0.1:{port}", process, log)
    try:
        wait_for_api(api.url, process)
        yield api
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """DATA_DIR with the sample published."""
    publish(tmp_path / "data", SAMPLE, TAKEN_AT)
    return tmp_path / "data"


@pytest.fixture
def sentry() -> Iterator[StubServer]:
    """A local server that stands in for Sentry."""
    with serving() as running:
        yield running


@pytest.fixture
def mailer() -> Iterator[StubServer]:
    """A local server that stands in for the e-mail service."""
    with serving() as running:
        yield running


def damage(data_dir: Path) -> None:
    """Truncate the votes, so that every statistic of them fails."""
    part = next((data_dir / "fpp_votes.parquet").resolve().iterdir())
    part.write_bytes(part.read_bytes()[:-20])


def events(sentry: StubServer) -> list[dict[str, Any]]:
    """The events that Sentry received."""
    items = [item for request in sentry.requests for item in envelope_items(request)]
    return [load for head, load in items if head["type"] == "event"]


def test_every_log_line_has_the_same_format(data_dir: Path) -> None:
    """Including uvicorn's own lines; its access log is off."""
    with running(data_dir) as api:
        httpx.get(f"{api.url}/room/1/stats", headers=HEADERS)
        api.stop()
        lines = api.lines()
    assert {line["service"] for line in lines} == {"fpp-analytics-api"}
    assert "uvicorn.error" in {line["component"] for line in lines}
    requests = [line for line in lines if line["action"] == "request"]
    assert "/room/{room_id}/stats" in {line["route"] for line in requests}
    assert "uvicorn.access" not in {line["component"] for line in lines}


def test_damage_reaches_sentry_once_without_secrets(
    data_dir: Path, sentry: StubServer
) -> None:
    """It reaches the log once, too. Errors of callers never reach Sentry."""
    dsn = f"http://dsnKey42@127.0.0.1:{sentry.port}/7"
    given = {"SENTRY_DSN": dsn, "SENTRY_ENVIRONMENT": "production"}
    with running(data_dir, **given) as api, ExitStack() as stack:
        http = stack.enter_context(httpx.Client(base_url=api.url, headers=HEADERS))
        assert http.get("/", headers={"Authorization": "wrong"}).status_code == 401
        assert http.get("/nothing").status_code == 404
        assert http.get("/room/0/stats").status_code == 400
        assert http.get("/room/x/stats").status_code == 422
        current = data_dir / "current"
        current.rename(data_dir / "away")
        assert http.get("/").status_code == 503
        (data_dir / "away").rename(current)
        damage(data_dir)
        for _ in range(3):
            assert http.get("/room/1/stats").status_code == 503
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
    """A DSN alone is not enough: SENTRY_ENVIRONMENT must be production."""
    with running(data_dir, SENTRY_DSN=f"http://k@127.0.0.1:{sentry.port}/7") as api:
        damage(data_dir)
        assert httpx.get(f"{api.url}/", headers=HEADERS).status_code == 503
        api.stop()
    assert sentry.requests == []


def test_sigterm_without_requests_ends_it_at_once(data_dir: Path) -> None:
    """Idle keep-alive connections do not delay the exit."""
    with running(data_dir) as api, httpx.Client(base_url=api.url) as kept:
        assert kept.get("/health").status_code == 200
        assert api.stop() < 3


def test_sigterm_under_load_ends_it_after_the_accepted_requests(data_dir: Path) -> None:
    """Requests in progress get their whole response."""
    statuses: list[int] = []

    def send() -> None:
        try:
            while True:
                statuses.append(httpx.get(f"{api.url}/", headers=HEADERS).status_code)
        except httpx.TransportError:
            return  # it no longer listens

    with running(data_dir) as api:
        senders = [threading.Thread(target=send) for _ in range(4)]
        for sender in senders:
            sender.start()
        time.sleep(1)
        assert api.stop() < EXIT_SECONDS
        for sender in senders:
            sender.join()
    assert set(statuses) == {200}


def test_sigterm_during_an_incomplete_request_ends_it(data_dir: Path) -> None:
    """The rest of the request may never arrive."""
    with running(data_dir) as api:
        port = int(api.url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as half:
            half.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
            time.sleep(0.2)
            assert api.stop() < EXIT_SECONDS


def test_sigterm_while_the_e_mail_service_does_not_answer_ends_it_in_time(
    data_dir: Path, mailer: StubServer
) -> None:
    """Its timeout is 30 seconds, longer than a shutdown may take."""
    mailer.delay = 60
    given = {"BEA_BASE_URL": mailer.url, "BEA_SECRET_KEY": "mailKey77"}
    with running(data_dir, **given) as api:
        url = f"{api.url}/daily-analytics"

        def send() -> None:
            with pytest.raises(httpx.TransportError):
                httpx.get(url, headers=HEADERS, timeout=60)

        sender = threading.Thread(target=send)
        sender.start()
        mailer.wait_for(1)
        assert api.stop() < EXIT_SECONDS
        sender.join()


@pytest.mark.parametrize("after", some_long([0.0, 0.3, 0.6, 0.9, 1.2], 2))
def test_sigterm_during_start_up_ends_it(data_dir: Path, after: float) -> None:
    """At any moment, including before it listens."""
    process = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "main:app", "--port", str(closed_port())],
        cwd=ROOT,
        env=environ({"DATA_DIR": str(data_dir), "ANALYTICS_SECRET_TOKEN": TOKEN}),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    time.sleep(after)
    process.send_signal(signal.SIGTERM)
    assert process.wait(EXIT_SECONDS) in (0, -signal.SIGTERM, 128 + signal.SIGTERM)


def test_it_never_writes_to_data_dir(data_dir: Path) -> None:
    """No lock and no cache."""

    def state() -> dict[str, int]:
        found = [Path(at) / n for at, _, names in os.walk(data_dir) for n in names]
        return {str(path): path.stat().st_mtime_ns for path in found}

    before = state()
    with running(data_dir) as api:
        for path in ("/", "/daily-analytics", "/sync/runs", "/metrics", "/health"):
            assert httpx.get(f"{api.url}{path}", headers=HEADERS).status_code == 200
        api.stop()
    assert state() == before


def test_conflicting_tables_stop_it_at_start_with_one_line(data_dir: Path) -> None:
    """As they stop the updater."""
    done = subprocess.run(
        [sys.executable, "-m", "uvicorn", "main:app", "--port", str(closed_port())],
        cwd=ROOT,
        env=environ(
            {
                "DATA_DIR": str(data_dir),
                "ANALYTICS_SECRET_TOKEN": TOKEN,
                "SYNC_TABLES": "fpp_votes:voted_at",
            }
        ),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert "fpp_votes:voted_at, but that table's sync column is id" in done.stderr
    assert "Traceback" not in done.stderr
