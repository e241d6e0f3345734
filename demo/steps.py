"""The steps of a demonstration: their names on the terminal, and waiting for programs."""

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx

from demo.errors import DemoError
from demo.processes import Program
from util.stopping import StopRequest

HOST: Final = "127.0.0.1"
START_SECONDS: Final = 60
TOKEN_BYTES: Final = 24


@contextmanager
def step(name: str) -> Iterator[None]:
    """Print *name* at the start of the block and the duration at its end."""
    print(f"▸ {name} … ", end="", flush=True)
    began = time.monotonic()
    try:
        yield
    except BaseException:
        # Also at a stop: the message that follows starts on a new line.
        print(flush=True)
        raise
    print(f"{time.monotonic() - began:.1f} s", flush=True)


def await_health(program: Program, url: str, stop: StopRequest) -> None:
    """Wait until the program at *url* is healthy. Raises DemoError if it is not."""
    deadline = time.monotonic() + START_SECONDS
    with httpx.Client(timeout=START_SECONDS) as client:
        while time.monotonic() < deadline:
            program.check()
            try:
                if client.get(f"{url}/health").is_success:
                    return
            except httpx.TransportError:
                pass  # not listening yet
            stop.pause()
    raise DemoError(
        f"the {program.name} was not healthy within {START_SECONDS} seconds"
    )


def new_token() -> str:
    """A random token."""
    return secrets.token_hex(TOKEN_BYTES)


def kept_token(path: Path) -> str:
    """Return the token of earlier runs or a new one. Only the owner may read the file."""
    if path.exists() and (token := path.read_text().strip()):
        return token
    token = new_token()
    path.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    with os.fdopen(os.open(path, flags, 0o600), "w") as file:
        file.write(token)
    return token
