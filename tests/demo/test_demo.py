"""The demonstration as a process: one command, real programs, Ctrl-C."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from demo.__main__ import main
from demo.processes import PROJECT
from testbed.ports import free_port
from tests.support import preloaded
from tests.support.effort import some_long

pytestmark = pytest.mark.external

START_SECONDS = 120
STOP_SECONDS = 20
QUICK_SECONDS = 20
LAST_LINE = "Ctrl-C stops it"


class Running:
    """A running demonstration and its output."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.text = "".join(self._until_up())

    def _until_up(self) -> Iterator[str]:
        assert self.process.stdout
        deadline = time.monotonic() + START_SECONDS
        for line in self.process.stdout:
            yield line
            if LAST_LINE in line:
                return
            assert time.monotonic() < deadline
        pytest.fail(f"the demonstration ended: {self.process.stderr.read()}")  # type: ignore[union-attr]

    def curl_lines(self) -> list[str]:
        """Return the printed examples."""
        return re.findall(r"^  (curl .*)$", self.text, re.MULTILINE)

    def children(self) -> set[int]:
        """Return the process ids of its programs."""
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        if listed.exists():
            pids = map(int, listed.read_text().split())
            return {pid for pid in pids if not preloaded.is_nursery(pid)}
        found = subprocess.run(
            ["pgrep", "-P", str(self.process.pid)], capture_output=True, check=True
        )
        return set(map(int, found.stdout.split()))


@contextmanager
def demonstration(folder: Path, port: int) -> Iterator[Running]:
    """Run it on a part of the sample, and stop it after the block."""
    command = ["-m", "demo", "--folder", str(folder)]
    process = preloaded.start(
        [*command, "--port", str(port), "--scale", "0.15"],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        try:
            yield Running(process)
        finally:
            if process.poll() is None:
                process.terminate()


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the demonstration that the tests share."""
    return tmp_path_factory.mktemp("demo") / ".demo"


@pytest.fixture(scope="module")
def shared(used: Path) -> Iterator[Running]:
    """A demonstration that several tests share."""
    with demonstration(used, free_port()) as demo:
        yield demo


@pytest.fixture
def left(shared: Running, used: Path, tmp_path: Path) -> Path:
    """A copy of the files of an earlier run."""
    assert shared.text
    # Its updater may be publishing.
    staged = shutil.ignore_patterns(".staged-*")
    return shutil.copytree(used, tmp_path / ".demo", symlinks=True, ignore=staged)


def pasted(line: str) -> Any:
    """Run a printed curl line and return its JSON."""
    done = subprocess.run(["sh", "-c", line], capture_output=True, check=True)
    return json.loads(done.stdout)


def children_seconds() -> float:
    """The processor time of all processes that have ended; no busy machine changes it."""
    used = os.times()
    return used.children_user + used.children_system


def is_alive(pid: int) -> bool:
    """Return True if the process exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_printed_figures_are_those_of_the_printed_curl_lines(
    shared: Running,
) -> None:
    """Each printed line works when pasted."""
    health, daily, room, funnel, event, rejected, analytics = map(
        pasted, shared.curl_lines()
    )
    users, recent = analytics["data"]["traffic"]["unique_users"], daily["unique_users"]
    assert re.search(
        rf"^  Traffic +unique users +{users:,}$", shared.text, re.MULTILINE
    )
    assert re.search(
        rf"^  Last 24 hours +unique users +{recent}$", shared.text, re.MULTILINE
    )
    assert health["status"] == "ok"
    assert room["votes"] > 0
    assert daily["page_views"] > 0
    assert funnel["rows"][0]["users"] > 0
    assert event["status"] == "accepted"
    assert rejected.keys() >= {"total", "counts"}


def test_the_events_that_it_sends_are_stored(shared: Running) -> None:
    """Within seconds; the one without a name is a dead letter."""
    line = shared.curl_lines()[-2]
    until = time.monotonic() + START_SECONDS
    while not (answer := pasted(line))["total"]:
        assert time.monotonic() < until
        time.sleep(0.1)
    assert answer["counts"] == {"name": 1}


def test_the_token_is_needed_and_kept_for_its_owner(
    shared: Running, used: Path
) -> None:
    """Another token is refused; nobody else can read the file that holds it."""
    line = shared.curl_lines()[-1]
    assert pasted(re.sub(r"Bearer \w+", "Bearer wrong", line)).keys() == {"detail"}
    kept = used / "token"
    assert kept.read_text() in shared.text
    assert kept.stat().st_mode & 0o777 == 0o600


def test_the_printed_address_of_the_docs_works(shared: Running) -> None:
    """It shows the API's documentation."""
    address = re.search(r"^The docs: +(\S+)", shared.text, re.MULTILINE)
    assert address
    assert "swagger" in httpx.get(address[1]).text


def test_the_printed_address_of_the_dashboard_works(shared: Running) -> None:
    """It shows the page, and signs in by a fragment, which no server sees."""
    address = re.search(r"^The dashboard: +(\S+)", shared.text, re.MULTILINE)
    assert address
    page, _, token = address[1].partition("#token=")
    assert "<title>FPP Analytics</title>" in httpx.get(page).text
    assert f"Bearer {token}'" in shared.curl_lines()[-1]


def test_a_second_run_reuses_the_first_and_takes_the_next_port(
    shared: Running, used: Path
) -> None:
    """It starts with seconds of work, even while the first one runs.

    The end of one of its programs ends it: it names the program, stops the others and
    fails.
    """
    port = int(shared.curl_lines()[0].rpartition(":")[2].partition("/")[0])
    made = (used / "source.db").stat().st_mtime_ns
    before = children_seconds()
    with demonstration(used, port) as demo:
        assert "Making a sample" not in demo.text
        assert "Using the files of the demonstration that runs already" in demo.text
        assert "Mirroring" not in demo.text
        assert f":{port}/" not in demo.text
        assert pasted(demo.curl_lines()[0])["status"] == "ok"
        programs = demo.children()
        os.kill(min(programs), signal.SIGKILL)
        _, complaints = demo.process.communicate(timeout=STOP_SECONDS)
    assert children_seconds() - before < QUICK_SECONDS
    assert (used / "source.db").stat().st_mtime_ns == made
    assert demo.process.returncode == 1
    assert complaints.startswith("✗ API ended with exit code -9")
    assert "Traceback" not in complaints
    assert not any(map(is_alive, programs))


@pytest.mark.parametrize(
    ("broken", "number"),
    some_long([("source.db", signal.SIGINT), ("data/**/*.parquet", signal.SIGTERM)]),
)
def test_broken_files_are_replaced_and_a_signal_stops_everything(
    left: Path, broken: str, number: signal.Signals
) -> None:
    """Files may be truncated, as a full disk leaves them.

    After the signal it prints a line, no traceback, and leaves no program running.
    """
    files = {path.resolve() for path in left.glob(broken) if path.is_file()}
    assert files
    for path in files:
        os.truncate(path, path.stat().st_size // 2)
    port = free_port()
    with demonstration(left, port) as demo:
        assert pasted(demo.curl_lines()[-1])["data"]["votes"]["total_votes"] > 0
        programs = demo.children()
        assert len(programs) == 3
        demo.process.send_signal(number)
        printed, complaints = demo.process.communicate(timeout=STOP_SECONDS)
    assert demo.process.returncode == 0
    assert printed.strip().startswith("Stopped.")
    assert complaints == ""
    assert not any(map(is_alive, programs))
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


@pytest.mark.usefixtures("own_signals")
def test_a_folder_that_cannot_be_created_is_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The reason is shown, without a traceback."""
    (tmp_path / "file").write_text("in the way")
    assert main(["--folder", str(tmp_path / "file" / ".demo")]) == 1
    complaints = capfd.readouterr().err
    assert complaints.startswith("✗ ")
    assert complaints.count("\n") == 1
