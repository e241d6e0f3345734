"""One MariaDB server that several test processes share.

The first process that needs the server starts a *keeper*, a separate process that runs
`python -m testbed.shared_mariadb FOLDER` and owns the server. Each process that uses
the server holds a shared lock on a file in FOLDER; the keeper waits for the exclusive
lock and then stops the server. The kernel releases the locks of a dead process, so the
server is stopped after a crash or Ctrl-C, too.
"""

import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import mysql.connector

from testbed.errors import TestbedError
from testbed.mariadb import Login, private_server

PROJECT = Path(__file__).parents[1]
_LOGIN_FILE = "login.json"
_USERS_LOCK = "users.lock"
_START_LOCK = "start.lock"


@contextmanager
def shared_server(folder: Path) -> Iterator[Login]:
    """Yield an administrator's login of the server of *folder*; start it if needed.

    Raises TestbedError when the server is not installed or does not start.
    """
    with _locked(folder / _USERS_LOCK, fcntl.LOCK_SH):
        with _locked(folder / _START_LOCK, fcntl.LOCK_EX):
            login = _running_server(folder) or _start_keeper(folder)
        yield login


@contextmanager
def _locked(path: Path, kind: int) -> Iterator[None]:
    with path.open("a") as file:
        fcntl.flock(file, kind)
        yield


def _running_server(folder: Path) -> Login | None:
    try:
        login = Login(**json.loads((folder / _LOGIN_FILE).read_text()))
        login.connect().close()
    except (FileNotFoundError, mysql.connector.Error):
        return None
    return login


def _start_keeper(folder: Path) -> Login:
    # It ends once the keeper, a process of its own by then, has closed its output.
    done = subprocess.run(
        [sys.executable, "-m", "testbed.shared_mariadb", str(folder)],
        cwd=PROJECT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    login = _running_server(folder)
    if login is None:
        error = done.stdout.strip() or "the shared MariaDB server did not start"
        raise TestbedError(error)
    return login


def main(folder: Path) -> None:
    """Run the server of *folder* in the background until no process uses it.

    Writes one line to standard output: the error, empty when the server has started.
    """
    _detach()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        with private_server() as server:
            _write_login(folder, server.root)
            _report("")
            with _locked(folder / _USERS_LOCK, fcntl.LOCK_EX):
                (folder / _LOGIN_FILE).unlink()
    except TestbedError as error:
        _report(" ".join(str(error).split()))


def _detach() -> None:
    """Continue as a background process, which Ctrl-C in a terminal does not reach."""
    if os.fork():
        os._exit(0)
    os.setsid()


def _report(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _write_login(folder: Path, login: Login) -> None:
    aside = folder / f"{_LOGIN_FILE}.{os.getpid()}"
    aside.touch(mode=0o600)
    aside.write_text(json.dumps(asdict(login)))
    aside.rename(folder / _LOGIN_FILE)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
