"""Pushes of the real updater: one per run, with a local server as the monitor."""

import fcntl
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.effort import some_long
from tests.support.programs import ROOT, environ, run_updater
from tests.support.servers import StubServer, closed_port

pytestmark = pytest.mark.external

TOKEN = "kumaPushT0ken"
PAGE = f"/api/push/{TOKEN}?status=up&msg=OK&ping="
GONE_SECONDS = 10
NEVER = 600  # seconds


@pytest.fixture
def monitored(settings: dict[str, str], kuma: StubServer) -> dict[str, str]:
    """Settings of an updater that pushes to the local monitor."""
    return settings | {"UPTIMEKUMA_PUSH_URL": f"{kuma.url}{PAGE}"}


def pushed(kuma: StubServer) -> dict[str, str]:
    """Return the parameters of the only push, each of which is present once."""
    (request,) = kuma.requests
    assert (request.method, request.path) == ("GET", f"/api/push/{TOKEN}")
    assert sorted(name for name, _ in request.query) == ["msg", "ping", "status"]
    parameters = dict(request.query)
    assert int(parameters["ping"]) > 0
    return parameters


def test_a_successful_run_pushes_up_with_rows_and_seconds(
    monitored: dict[str, str], kuma: StubServer
) -> None:
    """Its duration in milliseconds is the ping."""
    began = time.monotonic()
    assert run_updater(monitored).returncode == 0
    took = (time.monotonic() - began) * 1000
    parameters = pushed(kuma)
    assert parameters["status"] == "up"
    assert "rows of SQLite file" in parameters["msg"]
    assert parameters["msg"].endswith(" s")
    assert int(parameters["ping"]) < took


def test_a_run_without_a_change_pushes_up_too(
    monitored: dict[str, str], kuma: StubServer
) -> None:
    """A missing push would look like a dead updater."""
    assert run_updater(monitored).returncode == 0
    kuma.requests.clear()
    assert run_updater(monitored).returncode == 0
    parameters = pushed(kuma)
    assert parameters["status"] == "up"
    assert ", 0 fetched, " in parameters["msg"]


def test_a_database_that_is_down_pushes_down_with_the_reason(
    monitored: dict[str, str], kuma: StubServer
) -> None:
    """The reason does not contain the password."""
    port = closed_port()
    del monitored["SOURCE_URL"]
    login = {"DB_HOST": "127.0.0.1", "DB_PORT": str(port), "DB_USERNAME": "fpp"}
    login["SYNC_INTERVAL_SECONDS"] = "1"  # limits the time of retries
    done = run_updater(monitored | login | {"DB_PASSWORD": "s3cret-pw"})
    assert done.returncode == 1
    parameters = pushed(kuma)
    assert parameters["status"] == "down"
    assert f"No database answers at 127.0.0.1:{port}" in parameters["msg"]
    assert "s3cret-pw" not in str(kuma.requests) + done.stdout + done.stderr


def test_a_full_disk_pushes_down_with_the_reason(
    monitored: dict[str, str], kuma: StubServer, data_dir: Path
) -> None:
    """A limit on file size stands in for a full disk."""

    def no_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, 2_000))

    done = subprocess.run(
        [sys.executable, "update_readmodel.py"],
        cwd=ROOT,
        env=environ(monitored) | {"PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=no_room,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    parameters = pushed(kuma)
    assert parameters["status"] == "down"
    assert "DATA_DIR" in parameters["msg"]
    assert not (data_dir / "current").exists()


def test_a_monitor_that_is_down_neither_fails_nor_delays_the_run(
    settings: dict[str, str],
) -> None:
    """It is logged, with the token redacted."""
    url = f"http://127.0.0.1:{closed_port()}{PAGE}"
    done = run_updater(settings | {"UPTIMEKUMA_PUSH_URL": url})
    assert done.returncode == 0
    assert "UptimeKuma did not accept the push" in done.stderr
    assert TOKEN not in done.stderr


def test_a_slow_monitor_gets_one_push_and_does_not_block_the_run(
    monitored: dict[str, str], kuma: StubServer
) -> None:
    """A push that was received is not sent again."""
    kuma.delay = NEVER
    done = run_updater(monitored)
    assert done.returncode == 0
    assert pushed(kuma)["status"] == "up"


def test_a_monitor_that_answers_500_gets_one_push_and_is_logged(
    monitored: dict[str, str], kuma: StubServer
) -> None:
    """As UptimeKuma answers an unknown token."""
    kuma.status, kuma.answer = 500, b'{"ok": false, "msg": "Monitor not found"}'
    done = run_updater(monitored)
    assert done.returncode == 0
    assert pushed(kuma)["status"] == "up"
    assert "it answered 500 (Monitor not found)" in done.stderr
    assert TOKEN not in done.stderr


def test_a_second_updater_pushes_nothing(
    monitored: dict[str, str], kuma: StubServer, data_dir: Path
) -> None:
    """The first one pushes; a "down" would be false."""
    data_dir.mkdir()
    with (data_dir / "update.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = run_updater(monitored)
    assert done.returncode == 1
    assert "Another updater" in done.stderr
    assert kuma.requests == []


@pytest.mark.parametrize(
    "after", some_long([0.0, 0.4, 0.7, 0.9, 1.1, 1.3, 1.6, 2.0], 2)
)
def test_sigterm_at_any_moment_ends_it_without_a_down(
    monitored: dict[str, str], kuma: StubServer, data_dir: Path, after: float
) -> None:
    """It exits soon, leaves nothing half-written, and the next run succeeds."""
    process = subprocess.Popen(
        [sys.executable, "update_readmodel.py", "--every", "1"],
        cwd=ROOT,
        env=environ(monitored),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(after)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=GONE_SECONDS)
    # Before its first line the program does not handle signals yet.
    assert process.returncode in (0, -signal.SIGTERM), errors
    assert "Traceback" not in errors
    assert {dict(request.query)["status"] for request in kuma.requests} <= {"up"}
    left = [path.name for path in data_dir.rglob("*")] if data_dir.exists() else []
    assert not [name for name in left if name.startswith(".")]
    assert run_updater(monitored).returncode == 0


def test_sigterm_during_a_push_does_not_wait_for_the_monitor(
    monitored: dict[str, str], kuma: StubServer
) -> None:
    """The run has succeeded; only its push is cut short."""
    kuma.delay = NEVER
    process = subprocess.Popen(
        [sys.executable, "update_readmodel.py"],
        cwd=ROOT,
        env=environ(monitored),
        stderr=subprocess.PIPE,
        text=True,
    )
    kuma.wait_for(1, seconds=60)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "did not accept the push" not in errors
    assert pushed(kuma)["status"] == "up"
