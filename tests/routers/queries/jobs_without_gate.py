"""A helper with a job that does what no query may do, in the process of a query."""

import json
import os
import socket
import subprocess
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from routers.queries.confinement import confine
from routers.worker import helper, jobs
from sqlfiles.session import SessionOptions, add_tables, connect


def escape(folder: Path, part: Path, secret: Path) -> bytes:
    """Try everything; the error of each attempt, or "done"."""
    options = SessionOptions(ZoneInfo("UTC"), datetime.now(UTC), reads_inline=True)
    connection = connect(options)
    confine(folder, 60, use_landlock=True)
    run = connection.execute
    # Before the session is locked, as if its settings were no limit at all.
    settings = {
        "DuckDB reads a file": lambda: run(f"FROM read_text('{secret}')"),
        "DuckDB writes a file": lambda: run(f"COPY (SELECT 1) TO '{secret}2'"),
        "DuckDB overwrites a part": lambda: run(
            f"COPY (SELECT 1) TO '{part}' (FORMAT parquet, USE_TMP_FILE false)"
        ),
        "DuckDB lists a folder": lambda: _require(
            run(f"FROM glob('{folder}/*')").fetchall()
        ),
        "DuckDB loads an extension": lambda: run("INSTALL httpfs"),
    }
    outcomes = {name: _outcome(attempt) for name, attempt in settings.items()}
    add_tables(connection, {"rounds": [part]})
    run("BEGIN TRANSACTION READ ONLY")
    attempts: Mapping[str, Callable[[], Any]] = {
        "query a part": lambda: _require(run("SELECT max(id) FROM rounds").fetchall()),
        "read a part": lambda: _require(part.read_bytes()),
        "write in a locked session": lambda: run("CREATE TABLE t (a INTEGER)"),
        "overwrite a part": lambda: part.open("r+b"),
        "append to a part": lambda: part.open("ab"),
        "cut a part": lambda: os.truncate(part, 0),
        "remove a part": part.unlink,
        "read a secret": secret.read_bytes,
        "write a new file": lambda: (secret.parent / "new").write_text("x"),
        "make a folder": (secret.parent / "new").mkdir,
        "list a folder": lambda: list(folder.iterdir()),
        "read the environment": lambda: Path("/proc/self/environ").read_bytes(),
        "know a variable": lambda: _require([*os.environ]),
        "run a program": lambda: subprocess.run(["/bin/true"], check=True),
        "use the network": lambda: socket.socket().connect(("127.0.0.1", 9)),
        "signal another process": lambda: os.kill(os.getppid(), 0),
    }
    outcomes |= {name: _outcome(attempt) for name, attempt in attempts.items()}
    return json.dumps(outcomes).encode()


def _require(found: Any) -> None:
    if not found:
        raise FileNotFoundError


def _outcome(attempt: Callable[[], Any]) -> str:
    try:
        attempt()
    except Exception as error:  # noqa: BLE001 - whatever stops it
        return f"{type(error).__name__}: {error}"
    return "done"


JOBS: Final[Mapping[str, Callable[..., bytes]]] = {"escape": escape}

if __name__ == "__main__":
    jobs.CONFINED = JOBS  # type: ignore[misc]
    helper.main()
