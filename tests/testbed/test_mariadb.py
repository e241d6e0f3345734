"""A private server runs until its owner stops it or dies."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import mysql.connector
import pytest

from testbed.errors import TestbedError
from testbed.mariadb import Login, MariadbServer, private_server
from tests.support.programs import ROOT

OWNER = """
import json, sys
from dataclasses import asdict
from testbed.mariadb import private_server

with private_server() as server:
    print(json.dumps(asdict(server.root)), flush=True)
    sys.stdin.read()
"""


def is_up(login: Login) -> bool:
    """Whether the server accepts connections."""
    try:
        login.connect().close()
    except mysql.connector.Error:
        return False
    return True


def test_a_server_dies_with_the_process_that_started_it() -> None:
    """Also if that process is killed, as a worker of a parallel test run may be."""
    with (
        # A killed owner removes nothing.
        TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        subprocess.Popen(
            [sys.executable, "-c", OWNER],
            cwd=ROOT,
            env=os.environ | {"TMPDIR": folder},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as owner,
    ):
        assert owner.stdout is not None
        login = Login(**json.loads(owner.stdout.readline()))
        assert is_up(login)
        owner.kill()
        deadline = time.monotonic() + 30
        while is_up(login):
            assert time.monotonic() < deadline, "the server outlives its owner"
            time.sleep(0.05)


@pytest.mark.long("test_a_server_dies_with_the_process_that_started_it")
def test_a_server_can_be_stopped_and_started_again(tmp_path: Path) -> None:
    """Its data and its port stay."""
    server = MariadbServer(tmp_path)
    try:
        server.start().root.run("CREATE DATABASE kept")
        server.stop()
        assert not is_up(server.root)
        server.start().root.run("DROP DATABASE kept")
    finally:
        server.stop()


def test_a_server_that_rejects_an_option_is_an_error_with_its_log() -> None:
    """The message has the end of the log."""
    with (
        pytest.raises(
            TestbedError, match=r"(?s)mariadbd did not start: .*no-such-option"
        ),
        private_server("--no-such-option"),
    ):
        pass
