"""The system that this project replaces, over HTTP, if PEER_DIR is its checkout.

Its programs are copied aside, since it reads plain Parquet files from its own folder, and
run by the Python of its own `.venv`. Its answers are timed, not compared: its clock cannot
be set to the last day of the sample.
"""

import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import polars as pl

from bench.api import RunningApi, ready_api
from bench.clients import HOST
from bench.errors import BenchError
from demo.processes import running
from readmodel.store import snapshot
from readmodel.tables import TABLES
from testbed.ports import free_port

VARIABLE: Final = "PEER_DIR"

PROGRAMS: Final = ("main.py", "update_readmodel.py", "calculations", "routers")
PYTHON: Final = ".venv/bin/python"
NOT_COPIED: Final = shutil.ignore_patterns(".*", "data", "tests", "__pycache__")

NO_DATABASE: Final = {
    "DB_HOST": HOST,
    "DB_PORT": "1",
    "DB_USERNAME": "nobody",
    "DB_PASSWORD": "nothing",
    "DB_NAME": "none",
}
"""It refuses to start without these settings, and its API uses no database."""


def checkout(folder: str | None) -> Path | None:
    """The checkout that PEER_DIR names; None if it is empty.

    Raises BenchError unless the earlier system is there and can run.
    """
    if not folder:
        return None
    path = Path(folder)
    lacking = [name for name in PROGRAMS if not (path / name).exists()]
    if lacking:
        raise BenchError(
            f"{VARIABLE}={folder} is no checkout of the system before: it lacks "
            + ", ".join(lacking)
        )
    if not (path / PYTHON).exists():
        raise BenchError(f"{VARIABLE}={folder} has no {PYTHON}: run `uv sync` there")
    return path


@contextmanager
def running_peer(folder: Path, data_dir: Path) -> Iterator[RunningApi]:
    """Run the system in *folder* on the tables of *data_dir* until the block ends.

    Raises DemoError if it exits early, TimeoutError if it is not ready in time.
    """
    with TemporaryDirectory() as temporary:
        copy = Path(temporary) / "peer"
        shutil.copytree(folder, copy, ignore=NOT_COPIED)
        write_plain_files(data_dir, copy / "data")
        token, port = secrets.token_hex(), free_port()
        settings = {
            **NO_DATABASE,
            "ANALYTICS_SECRET_TOKEN": token,
            "DATA_DIR": str(copy / "data"),
            "PYTHONPATH": "",
        }
        command = ["-m", "uvicorn", "main:app", "--host", HOST, "--port", str(port)]
        python = str(folder.absolute() / PYTHON)
        headers = {"Authorization": token}  # It knows no Bearer.
        began = time.perf_counter()
        with running("API before", command, settings, copy, python) as program:
            yield ready_api(program, port, headers, began)


def write_plain_files(data_dir: Path, folder: Path) -> None:
    """Write each table of the snapshot in *data_dir* as the earlier system stored it.

    One file per table, with timestamps in UTC that do not say so.
    """
    folder.mkdir(parents=True)
    source = snapshot.current(data_dir)
    for table in TABLES:
        rows = source.scan(table)
        naive = [
            pl.col(name).dt.replace_time_zone(None)
            for name, dtype in rows.collect_schema().items()
            if isinstance(dtype, pl.Datetime)
        ]
        rows.with_columns(naive).collect().write_parquet(folder / f"{table}.parquet")
