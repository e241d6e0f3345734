"""The shared server starts once, and stops when its last user is gone."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import mysql.connector
import pytest

from testbed.errors import TestbedError
from testbed.mariadb import Login
from testbed.shared_mariadb import shared_server
from tests.support.programs import ROOT

pytestmark = pytest.mark.external

USE = """
import json, sys
from dataclasses import asdict
from pathlib import Path
from testbed.shared_mariadb import shared_server

with shared_server(Path(sys.argv[1])) as login:
    print(json.dumps(asdict(login)), flush=True)
    sys.stdin.read()
"""


@contextmanager
def user_process(folder: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process that uses the shared server of *folder* until it is killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", USE, str(folder)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def login_of(process: "subprocess.Popen[str]") -> Login:
    """The login that *process* got."""
    assert process.stdout is not None
    return Login(**json.loads(process.stdout.readline()))


def is_up(login: Login) -> bool:
    """Whether the server accepts connections."""
    try:
        login.connect().close()
    except mysql.connector.Error:
        return False
    return True


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Wait for *condition*; fail if it is not true in *seconds*."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not become true"
        time.sleep(0.05)


def test_processes_that_start_together_share_one_server(tmp_path: Path) -> None:
    """The first one starts it, the others wait for it."""
    with ExitStack() as stack:
        users = [stack.enter_context(user_process(tmp_path)) for _ in range(3)]
        logins = [login_of(user) for user in users]
        assert logins == [logins[0]] * 3
        assert is_up(logins[0])
    wait_until(lambda: not is_up(logins[0]))


@pytest.mark.long("test_processes_that_start_together_share_one_server")
def test_the_server_outlives_the_process_that_started_it(tmp_path: Path) -> None:
    """SIGKILL, as in a crash of a worker, leaves the server to the other users."""
    with user_process(tmp_path) as first:
        login = login_of(first)
        with user_process(tmp_path) as second:
            assert login_of(second) == login
            first.kill()
            first.wait()
            time.sleep(0.5)
            assert is_up(login)
        wait_until(lambda: not is_up(login))
    wait_until(lambda: not (tmp_path / "login.json").exists())


@pytest.mark.long("test_processes_that_start_together_share_one_server")
def test_a_server_that_was_stopped_is_started_again(tmp_path: Path) -> None:
    """A process may come after the last user of the server has left."""
    with user_process(tmp_path) as first:
        before = login_of(first)
    wait_until(lambda: not is_up(before))
    with user_process(tmp_path) as second:
        after = login_of(second)
        assert after != before
        assert is_up(after)
    wait_until(lambda: not is_up(after))


def test_a_server_that_cannot_start_is_an_error_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason comes from the keeper process."""
    programs = tmp_path / "bin"
    programs.mkdir()
    install = programs / "mariadb-install-db"
    install.write_text("#!/bin/sh\necho broken installation >&2\nexit 1\n")
    install.chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=os.pathsep)
    with (
        pytest.raises(TestbedError, match="mariadb-install-db failed: broken installa"),
        shared_server(tmp_path),
    ):
        pass
