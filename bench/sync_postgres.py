"""Sync from PostgreSQL: the same events as from MariaDB, on a server of its own."""

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import polars as pl
import psutil

from bench.data import NOW, PROJECT
from bench.machine import environment
from bench.report import progress
from bench.sync_worker import CopyCost
from bench.targets import Target, at_most
from demo.sample import sample
from testbed import schema
from testbed.postgres import Database, Server, fresh_database, private_server
from testbed.schema import POSTGRES

OURS: Final = "this project"
DIGESTS: Final = "digest queries alone"
CONNECTORX: Final = "connectorx"
ADBC: Final = "ADBC"
LAST_ID: Final = "id > max(id), by ADBC"
NO_CHANGE: Final = "no change"
FIRST: Final = "first sync"
NEW: Final = "1,000 new rows a table"
EVENTS: Final[Mapping[str, tuple[str, ...]]] = {
    FIRST: (OURS, CONNECTORX, ADBC),
    NO_CHANGE: (DIGESTS, OURS, LAST_ID),
    NEW: (OURS, CONNECTORX, LAST_ID),
}
MILLION: Final = 1_000_000

type Costs = dict[tuple[str, str], tuple[CopyCost, float]]


def measure(scale: float) -> Costs:
    """Measure every event at *scale*, on a server of its own."""
    tables = sample(NOW, scale)
    added = {name: _later(frame) for name, frame in tables.items()}
    costs: Costs = {}
    with (
        private_server() as server,
        fresh_database(server.root) as database,
        TemporaryDirectory() as folder,
    ):
        for name in tables:
            database.run(schema.ddl(name, POSTGRES))
        _load(database, tables)
        del tables
        for event, methods in EVENTS.items():
            if event == NEW:
                _load(database, added)
            for method in methods:
                progress(f"PostgreSQL, {event}: {method}")
                # It continues from ADBC's copy.
                place = Path(folder) / (ADBC if method == LAST_ID else method)
                place.mkdir(exist_ok=True)
                costs[event, method] = _cost(method, place, server, database)
    return costs


def _later(frame: pl.DataFrame) -> pl.DataFrame:
    """1,000 copies of the last rows, with higher keys."""
    last = frame.tail(1_000)
    if frame.schema["id"] == pl.String:
        # No id of the sample begins with a dot.
        return last.with_columns(id=pl.lit(".") + pl.col("id").str.slice(1))
    # Ids have gaps.
    return last.with_columns(pl.col("id") - last["id"].min() + frame["id"].max() + 1)


def _load(database: Database, tables: Mapping[str, pl.DataFrame]) -> None:
    with database.connect() as connection, connection.cursor() as cursor:
        for name, frame in tables.items():
            columns = ",".join(f'"{column}"' for column in frame.columns)
            statement = f"COPY {name} ({columns}) FROM STDIN (FORMAT csv)"
            with cursor.copy(statement.encode()) as copy:
                copy.write(
                    frame.write_csv(include_header=False, quote_style="necessary")
                )
        cursor.execute("VACUUM ANALYZE")
        cursor.execute("CHECKPOINT")


def _cost(
    method: str, place: Path, server: Server, database: Database
) -> tuple[CopyCost, float]:
    reader = database.reader
    login = [reader.host, str(reader.port), reader.user, reader.password, database.name]
    before = _server_seconds(server)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "bench.sync_worker",
            method,
            str(place),
            *login,
            "postgresql",
        ],
        cwd=PROJECT,
        env=environment(),
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    time.sleep(0.5)  # until the postmaster has waited for the backend
    seconds = _server_seconds(server) - before
    return CopyCost.model_validate_json(done.stdout), seconds


def _server_seconds(server: Server) -> float:
    """Processor time of the postmaster's children, running and ended."""
    postmaster = psutil.Process(server.process.pid)
    ended = postmaster.cpu_times()
    seconds: float = ended.children_user + ended.children_system
    for child in postmaster.children():
        with suppress(psutil.Error):
            times = child.cpu_times()
            seconds += times.user + times.system
    return seconds


def check_targets(costs: Costs) -> Iterator[Target]:
    """The targets for the cost of a row; with few rows, the start dominates."""
    first, _ = costs[FIRST, OURS]
    new, _ = costs[NEW, OURS]
    millions = first.rows / MILLION
    if millions > 1:
        cpu = first.cpu / millions
        vouched = costs[NO_CHANGE, OURS][1] / millions
        digested = costs[NO_CHANGE, DIGESTS][1] / millions
        yield at_most(
            "PostgreSQL, first sync: client CPU a million rows", cpu, 2.5, " s"
        )
        yield at_most("PostgreSQL, no change: server CPU a row", vouched, 0.5, " µs")
        yield at_most("PostgreSQL, digests: server CPU a row", digested, 2.5, " µs")
    megabyte = 2**20
    yield at_most(
        "PostgreSQL, first sync: peak memory", first.peak_bytes / megabyte, 350, " MB"
    )
    yield at_most(
        "PostgreSQL, 1,000 new rows: written", new.written / megabyte, 10, " MB"
    )
