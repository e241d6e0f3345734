"""The real programs as child processes, each with its output in a file."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from config import Settings
from demo.errors import DemoError
from util.allocator import child_environment
from util.stopping import StopRequest

PROJECT: Final = Path(__file__).resolve().parent.parent
GRACE_SECONDS: Final = 10
"""From SIGTERM to SIGKILL."""

SHOWN_LINES: Final = 8
PORTS_TO_TRY: Final = 100


class Program:
    """A running program: its name, its process, and the file with its output."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self.name = name
        self.process = process
        self._log = log

    def lines(self) -> list[str]:
        """Return the lines printed so far; of JSON log lines only the message."""
        text = self._log.read_text(encoding="utf-8", errors="replace")
        return [_message(line) for line in text.splitlines() if line.strip()]

    def check(self) -> None:
        """Raise DemoError with the program's last lines if it has ended."""
        code = self.process.poll()
        if code is not None:
            shown = "\n".join(f"  {line}" for line in self.lines()[-SHOWN_LINES:])
            raise DemoError(f"{self.name} ended with exit code {code}:\n{shown}")

    def stop(self) -> None:
        """Send SIGTERM, and SIGKILL after GRACE_SECONDS."""
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
    name: str,
    command: list[str],
    settings: Mapping[str, str],
    folder: Path,
    python: str = sys.executable,
) -> Iterator[Program]:
    """Run ``python <command>`` in *folder* with *settings*; stop it after the block.

    It inherits no settings, from the environment or from `.env`. It runs in a session
    of its own, so that the terminal's Ctrl-C does not reach it.
    """
    log = folder / f"{name.lower().replace(' ', '-')}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [python, *command],
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


def finish(program: Program, stop: StopRequest) -> list[str]:
    """Wait until *program* ends; return its lines. Raises DemoError if it failed."""
    while program.process.poll() is None:
        stop.pause()
    if program.process.returncode:
        program.check()
    return program.lines()


def free_port(first: int) -> int:
    """Return the first free port from *first* on, on the loopback interface."""
    for port in range(first, first + PORTS_TO_TRY):
        with socket.socket() as probe:
            # As uvicorn does: a port that was just closed counts as free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise DemoError(f"no port is free from {first} to {first + PORTS_TO_TRY - 1}")


def _environment(settings: Mapping[str, str]) -> dict[str, str]:
    ours = set(Settings.model_fields)
    others = {
        name: value
        for name, value in child_environment(os.environ).items()
        if name.lower() not in ours
    }
    return {**others, "PYTHONPATH": str(PROJECT), **settings}


def _message(line: str) -> str:
    if not line.startswith("{"):
        return line
    try:
        return str(json.loads(line)["msg"])
    except (ValueError, KeyError):
        return line
