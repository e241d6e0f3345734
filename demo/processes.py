"""The real programs as child processes, with what they print kept in a file."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from config import Settings
from demo.errors import DemoError
from demo.stopping import Stop
from util import allocator

PROJECT = Path(__file__).resolve().parent.parent
GRACE_SECONDS = 10
SHOWN_LINES = 8
PORTS_TO_TRY = 100


class Program:
    """A running program: its name, its process, and the file with its output."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self.name = name
        self.process = process
        self._log = log

    def lines(self) -> list[str]:
        """What it printed so far; of JSON log lines the message."""
        text = self._log.read_text(encoding="utf-8", errors="replace")
        return [_message(line) for line in text.splitlines() if line.strip()]

    def check(self) -> None:
        """Raises DemoError with the program's own last lines when it has ended."""
        code = self.process.poll()
        if code is not None:
            said = "\n".join(f"  {line}" for line in self.lines()[-SHOWN_LINES:])
            raise DemoError(f"{self.name} ended with exit code {code}:\n{said}")

    def stop(self) -> None:
        """Ask it to stop, and insist after GRACE_SECONDS."""
        if self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def running(
    name: str, command: list[str], settings: Mapping[str, str], folder: Path
) -> Iterator[Program]:
    """Run ``python <command>`` in *folder* with *settings*, and stop it at the end.

    It gets none of the settings that this process has, no `.env`, and a session of
    its own, so that Ctrl-C reaches it only through us.
    """
    log = folder / f"{name.lower().replace(' ', '-')}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=folder,
            env=_environment(settings),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    program = Program(name, process, log)
    try:
        yield program
    finally:
        program.stop()


def finish(program: Program, stop: Stop) -> list[str]:
    """Wait for the end of *program*; what it printed. Raises DemoError if it failed."""
    while program.process.poll() is None:
        stop.pause()
    if program.process.returncode:
        program.check()
    return program.lines()


def free_port(first: int) -> int:
    """The first port from *first* on that is free on this machine's loopback."""
    for port in range(first, first + PORTS_TO_TRY):
        with socket.socket() as probe:
            # As uvicorn does, so that a port just left counts as free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise DemoError(f"no port is free from {first} to {first + PORTS_TO_TRY - 1}")


def _environment(settings: Mapping[str, str]) -> dict[str, str]:
    ours = set(Settings.model_fields)
    kept = {
        name: value
        for name, value in allocator.child_environment(os.environ).items()
        if name.lower() not in ours
    }
    return {**kept, "PYTHONPATH": str(PROJECT), **settings}


def _message(line: str) -> str:
    if not line.startswith("{"):
        return line
    try:
        return str(json.loads(line)["msg"])
    except (ValueError, KeyError):
        return line
