"""Programs as child processes: their end, output and environment."""

import os
import socket
from pathlib import Path

import pytest

from demo.errors import DemoError
from demo.processes import finish, free_port, running
from util.errors import Stopped
from util.stopping import StopRequest


def python(code: str) -> list[str]:
    """Return the arguments with which Python runs *code*."""
    return ["-c", code]


def test_the_output_of_a_program_is_kept(tmp_path: Path) -> None:
    """Lines are in order, without empty ones."""
    with running("echo", python("print('one\\n\\ntwo')"), {}, tmp_path) as program:
        assert finish(program, StopRequest()) == ["one", "two"]


def test_a_failing_program_is_quoted(tmp_path: Path) -> None:
    """The error shows the exit code and the program's own last line."""
    code = "import sys; print('Cannot reach it', file=sys.stderr); sys.exit(3)"
    with (
        running("The updater", python(code), {}, tmp_path) as program,
        pytest.raises(DemoError, match="The updater ended with exit code 3") as raised,
    ):
        finish(program, StopRequest())
    assert "Cannot reach it" in str(raised.value)


def test_of_json_log_lines_the_message_is_quoted(tmp_path: Path) -> None:
    """People read the message, not the JSON around it; other lines stay."""
    code = """print('{"level": 50, "msg": "Disk full"}\\n{"a": 1}\\n{no json')"""
    with running("log", python(code), {}, tmp_path) as program:
        assert finish(program, StopRequest()) == ["Disk full", '{"a": 1}', "{no json"]


def test_settings_of_this_process_do_not_reach_a_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real e-mail service or database of the environment is not used."""
    monkeypatch.setenv("BEA_BASE_URL", "mail.example.com")
    monkeypatch.setenv("DB_HOST", "db.example.com")
    monkeypatch.setenv("LANGUAGE_OF_MINE", "de")
    code = (
        "import os; get = os.environ.get;"
        "print(get('BEA_BASE_URL'), get('DB_HOST'), get('LANGUAGE_OF_MINE'), get('DATA_DIR'))"
    )
    with running("env", python(code), {"DATA_DIR": "x"}, tmp_path) as program:
        assert finish(program, StopRequest()) == ["None None de x"]


def test_a_program_is_stopped_at_the_end_of_its_block(tmp_path: Path) -> None:
    """No program outlives the demonstration."""
    with running("sleeper", python("import time; time.sleep(60)"), {}, tmp_path) as it:
        assert it.process.poll() is None
    assert it.process.returncode == -15


def test_a_program_that_ignores_sigterm_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the grace period."""
    monkeypatch.setattr("demo.processes.GRACE_SECONDS", 0.2)
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "print('ready', flush=True); time.sleep(60)"
    )
    with running("stubborn", python(code), {}, tmp_path) as program:
        while program.lines() != ["ready"]:
            StopRequest().pause()
    assert program.process.returncode == -9


def test_a_stop_request_ends_waiting_for_a_program(tmp_path: Path) -> None:
    """Ctrl-C while the updater runs ends both."""
    stop = StopRequest(interrupt=False)
    stop.request("enough")
    sleeping = running("sleeper", python("import time; time.sleep(60)"), {}, tmp_path)
    with pytest.raises(Stopped), sleeping as program:
        finish(program, stop)
    assert program.process.returncode == -15


def test_a_program_runs_in_a_session_of_its_own(tmp_path: Path) -> None:
    """The terminal's Ctrl-C reaches only the demonstration."""
    code = "import os; print(os.getsid(0) == os.getpid())"
    with running("session", python(code), {}, tmp_path) as program:
        assert finish(program, StopRequest()) == ["True"]
        assert program.process.pid != os.getsid(0)


def test_a_port_in_use_is_skipped() -> None:
    """The next free port is taken."""
    with socket.socket() as used:
        used.bind(("127.0.0.1", 0))
        used.listen()
        port = used.getsockname()[1]
        assert port < free_port(port) < port + 100
