"""The clients in JavaScript, Python and the shell, with a real collector."""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from events.spool_files import list_files
from readmodel.sync.drain import drain
from tests.support.collectors import CollectorProcess, collector
from tests.support.events import TOKEN, spooled
from tests.support.programs import ROOT
from tests.support.stored_events import NOW, event_ids

pytestmark = pytest.mark.external

HERE = Path(__file__).parent
EXAMPLES = ROOT / "clients" / "examples"


def node(*arguments: str, **options: object) -> list[str]:
    """The command that runs Node.js with *arguments*."""
    program = shutil.which("node")
    assert program, "install Node.js for the tests of the client in JavaScript"
    return [program, *arguments]


def test_the_javascript_client_and_its_hook() -> None:
    """Their own tests, in Node.js."""
    files = sorted(map(str, HERE.glob("*.test.mjs")))
    done = subprocess.run(
        node("--test", *files), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout[-5_000:]


@pytest.mark.long("test_the_javascript_client_and_its_hook")
def test_nothing_is_lost_or_doubled_while_the_collector_is_killed(
    tmp_path: Path,
) -> None:
    """SIGKILL under a client that tracks events all the time."""
    spool = tmp_path / "spool"
    with collector(spool) as running:
        command = node(str(HERE / "storm.mjs"), running.url, TOKEN)
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as client:
            wait_for_files(spool, 3)
            running.kill()
            time.sleep(0.05)  # Events are tracked while nobody listens.
            running.start()
            wait_for_files(spool, 3)
            output, _ = client.communicate(timeout=60)
    sent = json.loads(output)
    drain(tmp_path / "data", spool, lambda: NOW)
    assert len(sent) > 50
    assert event_ids(tmp_path / "data") == sorted(sent)


def wait_for_files(spool: Path, count: int) -> None:
    """Wait until there are *count* more files in the spool."""
    until = time.monotonic() + 60
    wanted = len(list_files(spool)) + count
    while len(list_files(spool)) < wanted:
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.parametrize(
    "command",
    [
        ["sh", str(EXAMPLES / "send_event.sh")],
        [sys.executable, str(EXAMPLES / "send_events.py")],
    ],
)
def test_an_example_waits_for_the_collector(command: list[str], tmp_path: Path) -> None:
    """It is started before the collector is, and sends each event once."""
    spool = tmp_path / "spool"
    running = CollectorProcess(spool)
    environ = {
        "COLLECTOR_URL": running.url,
        "EVENTS_TOKEN": TOKEN,
        "PATH": "/usr/bin:/bin:/usr/local/bin",
    }
    with subprocess.Popen(
        command, env=environ, stdout=subprocess.PIPE, text=True
    ) as example:
        running.start()
        try:
            output, _ = example.communicate(timeout=60)
        finally:
            running.kill()
    assert example.returncode == 0
    assert "accepted" in output
    lines = spooled(spool)
    assert [line["name"] for line in lines] == ["page_view", "sign_up"]
    assert lines[0]["user_id"] == "u1"
    assert len({line["event_id"] for line in lines}) == 2
