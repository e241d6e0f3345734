"""A program forked from the nursery runs as one that is started as usual."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import preloaded

pytestmark = [
    pytest.mark.external,
    pytest.mark.skipif(not preloaded.IS_USED, reason="programs start as usual"),
]

SCRIPT = """
import json, os, sys
print(json.dumps([__name__, sys.argv, sorted(os.environ.items()), os.getcwd(), sys.path[:2],
    os.getsid(0) == os.getpid(), sys.stdin.read(), sys.flags[:],
    *[(s.encoding, s.errors, s.line_buffering, s.seekable(), s.fileno())
      for s in (sys.stdin, sys.stdout, sys.stderr)],
    [m for m in ("main", "tests") if m in sys.modules], len(os.listdir("/proc/self/fd"))]))
sys.stdout.reconfigure(errors="replace")
print("warning", file=sys.stderr)
sys.exit(3)
"""


@pytest.mark.parametrize("session", [False, True])
@pytest.mark.parametrize("as_module", [False, True])
def test_it_sees_what_it_would_see_otherwise(
    tmp_path: Path, session: bool, as_module: bool
) -> None:
    """Arguments, environment, folder, streams, path, session and exit code."""
    (tmp_path / "script.py").write_text(SCRIPT)
    words = ["-m", "script"] if as_module else [str(tmp_path / "script.py")]
    environment = {"PYTHONPATH": str(preloaded.ROOT), "GREETING": "grüß dich"}
    results = []
    for kind in (subprocess.Popen, preloaded.Program):
        process = kind(
            [sys.executable, *words, "an argument"],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=session,
        )
        results.append((*process.communicate(b"input", timeout=60), process.wait()))
    usual, forked = results
    assert forked == usual
    assert usual[2] == 3


ENDINGS = {
    "the last line": "",
    "None": "sys.exit()",
    "a large number": "sys.exit(300)",
    "a text": "sys.exit('no such thing')",
    "an error": "raise ValueError('no such thing')",
    "Ctrl-C": "raise KeyboardInterrupt",
    "an error at the end": "atexit.register(lambda: 1 / 0)",
    "a closed stream": "sys.stdout.flush(); sys.stdout.close()",
    "no reader": "os.close(1); os.dup2(WRITING, 1)",
}
ENDING = """
import atexit, os, sys, threading, time, weakref
READING, WRITING = os.pipe()
os.close(READING)
def slow():
    time.sleep(0.1)
    print("a thread", end=" ")
atexit.register(print, "at exit", end=" ")
weakref.finalize(sys, print, "finalized", end=" ")
threading.Thread(target=slow).start()
print("without a newline", end=" ")
"""


@pytest.mark.parametrize("ending", ENDINGS)
def test_it_ends_as_it_would_otherwise(tmp_path: Path, ending: str) -> None:
    """Threads, functions that run at exit, buffered output, and the exit code."""
    script = tmp_path / "script.py"
    script.write_text(ENDING + ENDINGS[ending])
    forked = preloaded.run([str(script)], timeout=60, env={})
    command = [sys.executable, str(script)]
    usual = subprocess.run(command, capture_output=True, text=True, env={}, check=False)
    assert forked.returncode == usual.returncode
    assert forked.stdout == usual.stdout
    assert forked.stderr.splitlines()[-1:] == usual.stderr.splitlines()[-1:]


def test_an_exception_ends_it_with_a_traceback_and_code_1(tmp_path: Path) -> None:
    """As the interpreter does."""
    script = tmp_path / "script.py"
    script.write_text("raise ValueError('no such thing')")
    done = preloaded.run([str(script)], timeout=60, env={})
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback")
    assert done.stderr.endswith("ValueError: no such thing\n")


def test_a_signal_ends_it_and_it_is_our_child(tmp_path: Path) -> None:
    """Its exit code is the number of the signal."""
    script = tmp_path / "script.py"
    script.write_text("import time; print('up', flush=True); time.sleep(60)")
    with preloaded.start([str(script)], env={}, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        status = Path(f"/proc/{process.pid}/status").read_text()
        assert f"PPid:\t{os.getpid()}\n" in status
        process.terminate()
    assert process.returncode == -signal.SIGTERM


PARENT = """
import subprocess, sys
child = [sys.executable, "-m", "child"]
with subprocess.Popen(child, stdout=subprocess.PIPE, text=True) as process:
    answer = process.communicate()[0].split()
print(*answer, process.pid, process.returncode)
print(subprocess.run([sys.executable, "-c", "print(1)"], capture_output=True, text=True).stdout)
"""
CHILD = """
import os, sys
print("polars" in sys.modules, os.getpid())
sys.exit(4)
"""


def test_what_an_updater_starts_is_forked_and_its_child(tmp_path: Path) -> None:
    """Modules are; the rest starts as usual."""
    (tmp_path / "views").mkdir()
    (tmp_path / "views" / "any.sql").touch()
    (tmp_path / "child.py").write_text(CHILD)
    script = tmp_path / "update_readmodel.py"
    script.write_text(PARENT)
    environment = {"VIEWS_DIR": "views", "PATH": os.environ["PATH"]}
    done = preloaded.run([str(script)], 60, cwd=tmp_path, env=environment)
    assert done.stderr == ""
    first, second = done.stdout.split("\n", 1)
    preloads, pid, process, code = first.split()
    # The exit code is known of a child only.
    assert (preloads, code, second.strip()) == ("True", "4", "1")
    assert pid == process
