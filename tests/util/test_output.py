"""Output whose reader goes away: no traceback, and the exit code that shells expect."""

import os
import subprocess
import sys

import pytest

from tests.support.programs import ROOT
from util.output import CLOSED_PIPE

pytestmark = pytest.mark.external

PROGRAM = """
import argparse, os, sys
from util.output import run_command

def shows():
    for number in range(100_000):
        print(number)
    return 3

def shows_little():
    print("a line that is written at the end")
    return 3

def explains():
    argparse.ArgumentParser().parse_args(["--help"])

def fails():
    read, write = os.pipe()
    os.close(read)
    os.write(write, b"x")

def complains():
    print("to the other stream", file=sys.stderr)
    return 3

sys.exit(run_command({name}))
"""


def run(
    name: str, *, stdout_is_read: bool, stderr_is_read: bool = True
) -> tuple[int, str]:
    """Exit code and standard error of a function of the program."""
    read, write = os.pipe()
    os.close(read)
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.replace("{name}", name)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL if stdout_is_read else write,
        stderr=subprocess.PIPE if stderr_is_read else write,
        text=True,
    )
    os.close(write)
    _, said = process.communicate(timeout=60)
    return process.returncode, said or ""


@pytest.mark.parametrize("name", ["shows", "shows_little", "explains"])
def test_a_reader_that_goes_away_ends_the_program(name: str) -> None:
    """Without a word, whether it goes while lines are written or before the end."""
    assert run(name, stdout_is_read=False) == (CLOSED_PIPE, "")


def test_another_broken_pipe_is_an_error_as_any_other() -> None:
    """That of a connection, for example."""
    code, said = run("fails", stdout_is_read=True)
    assert code == 1
    assert "BrokenPipeError" in said


def test_messages_that_nobody_reads_end_the_program_as_well() -> None:
    """Both streams go to the same reader after `2>&1 |`."""
    got = run("complains", stdout_is_read=True, stderr_is_read=False)
    assert got == (CLOSED_PIPE, "")


def test_a_program_without_output_streams_runs() -> None:
    """As a shell starts it after `>&-`."""
    done = subprocess.run(
        [
            *["sh", "-c", 'exec "$0" -c "$1" >&- 2>&-', sys.executable],
            PROGRAM.replace("{name}", "shows_little"),
        ],
        cwd=ROOT,
        timeout=60,
        check=False,
    )
    assert done.returncode == 3
