"""A PostgreSQL server of a demonstration's own, in a folder that is removed with it."""

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from demo.errors import DemoError
from demo.processes import free_port
from demo.steps import HOST, START_SECONDS
from util.stopping import StopRequest

USER: Final = "demo"
FIRST_PORT: Final = 5500
# Debian keeps the programs of each version in a folder of its own.
_VERSIONED: Final = Path("/usr/lib/postgresql")
# PostgreSQL refuses to run as root, so root runs it as one of these.
_ACCOUNTS: Final = ("postgres", "nobody")


def find_program(name: str) -> str | None:
    """The path of a program of the newest PostgreSQL installed; None without one."""
    versions = sorted(
        (path for path in _VERSIONED.glob("*/bin") if (path / name).exists()),
        key=lambda path: float(path.parent.name),
    )
    return str(versions[-1] / name) if versions else shutil.which(name)


def server_account() -> pwd.struct_passwd | None:
    """The account that root runs a server as; None for other users, who run it."""
    if os.geteuid() != 0:
        return None
    for name in _ACCOUNTS:
        with suppress(KeyError):
            return pwd.getpwnam(name)
    raise DemoError("root needs an account named postgres to run PostgreSQL as")


def account_options() -> dict[str, Any]:
    """Options of `subprocess.Popen` that run a program as the server's account."""
    account = server_account()
    if account is None:
        return {}
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def require_postgres(what: str) -> None:
    """Raise DemoError if *what* needs PostgreSQL and it is not installed."""
    if find_program("initdb") is None:
        raise DemoError(
            f"{what} needs PostgreSQL: install it, as with `apt-get install postgresql`"
        )


@contextmanager
def running_postgres(stop: StopRequest) -> Iterator[str]:
    """Run an empty server; yield the URL of a database that its user owns."""
    with TemporaryDirectory(prefix="fpp-demo-postgres-") as name:
        place, password = Path(name), secrets.token_hex(16)
        _install(place, password)
        port = free_port(FIRST_PORT)
        process = _start(place, port)
        try:
            _await(process, place, port, stop)
            yield f"postgresql://{USER}:{password}@{HOST}:{port}/postgres"
        finally:
            process.send_signal(signal.SIGINT)
            process.wait()


def _install(place: Path, password: str) -> None:
    secret = place / "password"
    secret.touch(mode=0o600)
    secret.write_text(password)
    if account := server_account():
        for path in (place, secret):
            os.chown(path, account.pw_uid, account.pw_gid)
    _run(
        "initdb",
        f"--pgdata={place / 'data'}",
        f"--username={USER}",
        f"--pwfile={secret}",
        *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"),
    )


def _run(program: str, *arguments: str) -> None:
    done = subprocess.run(
        [str(find_program(program)), *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        start_new_session=True,
        **account_options(),
    )
    if done.returncode:
        raise DemoError(f"{program} failed: {done.stderr.strip()[-500:]}")


def _start(place: Path, port: int) -> subprocess.Popen[bytes]:
    settings = (
        f"listen_addresses={HOST}",
        f"port={port}",
        f"unix_socket_directories={place}",
        "fsync=off",
    )
    words = [word for setting in settings for word in ("-c", setting)]
    with (place / "server.log").open("wb") as log:
        return subprocess.Popen(
            [str(find_program("postgres")), f"-D{place / 'data'}", *words],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            start_new_session=True,
            **account_options(),
        )


def _await(
    process: subprocess.Popen[bytes], place: Path, port: int, stop: StopRequest
) -> None:
    ready = [str(find_program("pg_isready")), "--quiet", f"--host={HOST}"]
    deadline = time.monotonic() + START_SECONDS
    command = [*ready, f"--port={port}"]
    while subprocess.run(command, check=False, start_new_session=True).returncode:
        if process.poll() is not None or time.monotonic() > deadline:
            log = (place / "server.log").read_text(errors="replace").strip()
            raise DemoError(f"PostgreSQL did not start: {log[-500:]}")
        stop.pause()
