"""Sync: the cost of the first one, of one without changes, and of 1,000 new rows a table.

Alternatives are measured in the same run against the same server.
"""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import polars as pl
import psutil
from mysql.connector import HAVE_CEXT

from bench import sync_postgres, sync_sqlite, targets
from bench.data import NOW, PROJECT
from bench.errors import BenchError
from bench.machine import environment
from bench.report import markdown, progress
from bench.sync_worker import CopyCost
from bench.targets import Target, at_most
from demo.sample import sample
from testbed import schema
from testbed.mariadb import Login, MariadbServer, private_server

DATABASE: Final = "bench"
NEW_ROWS: Final = 1_000
MILLION_ROWS: Final = 1_000_000
OURS: Final = "this project"
DIGESTS: Final = "digest queries alone"

CURSORS: Final = "plain cursors"
LAST_ID: Final = "id > max(id)"

# Event -> the methods measured. A stateless method copies everything each time, so it is
# not measured in every event. LAST_ID without a file equals plain cursors, so it continues
# from their files.
EVENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "first sync": (OURS, "connectorx", CURSORS),
    "no change": (DIGESTS, OURS, LAST_ID),
    "1,000 new rows a table": (DIGESTS, OURS, "connectorx", LAST_ID),
}

COMPARED: Final = ("connectorx", "adbc_driver_postgresql")
"""The packages of the group `bench-sync`."""

type SyncCosts = dict[tuple[str, str], tuple[CopyCost, float]]
"""Event and method -> the client's cost, and the server's seconds of processor time."""


def run(scale: float) -> Iterator[str]:
    """Measure at scale 1 and at *scale*; yield Markdown texts one by one.

    Raises BenchError if a package is missing: its rows would be missing, too.
    """
    for package in COMPARED:
        if find_spec(package) is None:
            raise BenchError(
                f"{package} is missing, which the sync is compared with: "
                "run `make bench`, or uv sync --group bench-sync"
            )
    yield _cursors()
    measured = {}
    for one in sorted({1.0, scale}):
        yield f"Sync at scale {one:g}:"
        measured[one] = _measure(one)
        yield _table(measured[one])
        yield f"Sync from PostgreSQL at scale {one:g}:"
        postgres = sync_postgres.measure(one)
        yield _table(postgres)
        yield f"Sync from an SQLite file at scale {one:g}:"
        files = sync_sqlite.measure(one)
        yield sync_sqlite.table(files)
    yield targets.table(_check_targets(measured))
    yield targets.table(sync_postgres.check_targets(postgres))
    yield targets.table(sync_sqlite.check_targets(files))


def _cursors() -> str:
    kind = "with its C extension" if HAVE_CEXT else "in pure Python"
    return (
        f"Plain cursors are those of mysql-connector-python, {kind}; "
        f"{LAST_ID} continues from their copy."
    )


def _measure(scale: float) -> SyncCosts:
    progress(f"loading the sample at scale {scale:g} into a database")
    tables = sample(NOW, scale)
    costs: SyncCosts = {}
    with private_server("--local-infile=1") as server, TemporaryDirectory() as folder:
        _load(server.root, tables, Path(folder))
        more = {name: _later_rows(frame) for name, frame in tables.items()}
        del tables
        for event, ways in EVENTS.items():
            if event == "1,000 new rows a table":
                _load(server.root, more, Path(folder), create=False)
            for way in ways:
                progress(f"{event}: {way}")
                costs[event, way] = _cost(way, Path(folder), server)
    return costs


def _later_rows(frame: pl.DataFrame) -> pl.DataFrame:
    """NEW_ROWS copies of the last rows, with higher keys."""
    last = frame.tail(NEW_ROWS)
    key = pl.col("id")
    if frame.schema["id"] == pl.String:
        return last.with_columns(id=pl.lit("n") + key.str.slice(1))
    # Ids have gaps.
    return last.with_columns(key - last["id"].min() + frame["id"].max() + 1)


def _cost(way: str, folder: Path, server: MariadbServer) -> tuple[CopyCost, float]:
    place = folder / (CURSORS if way == LAST_ID else way)
    place.mkdir(exist_ok=True)
    login = server.root
    arguments = [login.host, str(login.port), login.user, login.password, DATABASE]
    process = psutil.Process(server.process.pid)
    before = process.cpu_times()
    done = subprocess.run(
        [sys.executable, "-m", "bench.sync_worker", way, str(place), *arguments],
        cwd=PROJECT,
        env=environment(),
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    after = process.cpu_times()
    seconds = after.user + after.system - before.user - before.system
    return CopyCost.model_validate_json(done.stdout), seconds


def _load(
    login: Login,
    tables: Mapping[str, pl.DataFrame],
    folder: Path,
    create: bool = True,
) -> None:
    if create:
        login.run(f"CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4")
    connection = login.connect(DATABASE, allow_local_infile=True)
    with closing(connection), closing(connection.cursor()) as cursor:
        cursor.execute("SET time_zone = '+00:00'")
        for name, frame in tables.items():
            if create:
                cursor.execute(schema.ddl(name))
            _load_table(cursor, name, frame, folder / "load.tsv")


def _load_table(cursor: Any, name: str, frame: pl.DataFrame, file: Path) -> None:
    frame.with_columns(pl.col(pl.Boolean).cast(pl.Int8)).write_csv(
        file,
        include_header=False,
        separator="\t",
        null_value="\\N",
        quote_style="never",
        datetime_format="%Y-%m-%d %H:%M:%S",
    )
    cursor.execute(
        f"LOAD DATA LOCAL INFILE '{file}' INTO TABLE {name} CHARACTER SET utf8mb4 "
        f"FIELDS TERMINATED BY '\\t' ({', '.join(frame.columns)})"
    )
    file.unlink()


def _table(measured: SyncCosts) -> str:
    head = ["", "wall s", "client CPU s", "server CPU s", "peak MB", "rows read", "MB written"]  # fmt: skip
    rows = [
        [
            f"{event}: {way}",
            f"{cost.wall:.2f}",
            f"{cost.cpu:.2f}",
            f"{server:.2f}",
            *cost.amounts(),
        ]
        for (event, way), (cost, server) in measured.items()
    ]
    return markdown(head, rows)


def _cost_targets(costs: SyncCosts, millions: float) -> Iterator[Target]:
    """What a row costs: alone, and as a multiple of connectorx's cost."""
    first, server = costs["first sync", OURS]
    other, other_server = costs["first sync", "connectorx"]
    _, unchanged = costs["no change", OURS]
    yield at_most(
        "first sync: client CPU a million rows", first.cpu / millions, 1.0, " s"
    )
    yield at_most(
        "first sync: wall, as a multiple of connectorx's",
        first.wall / other.wall,
        1.3,
        "",
    )
    yield at_most(
        "first sync: server CPU, as a multiple of connectorx's",
        server / other_server,
        1.5,
        "",
    )
    yield at_most("no change: server CPU a row", unchanged / millions, 0.7, " µs")


def _check_targets(measured: Mapping[float, SyncCosts]) -> Iterator[Target]:
    """The targets for the largest scale, and for growth."""
    large = measured[max(measured)]
    first, _ = large["first sync", OURS]
    new, _ = large["1,000 new rows a table", OURS]
    digests, _ = large["1,000 new rows a table", DIGESTS]
    small, _ = measured[min(measured)]["1,000 new rows a table", OURS]
    megabyte = 2**20
    if first.rows > MILLION_ROWS:  # with fewer, the interpreter dominates
        yield from _cost_targets(measured[max(measured)], first.rows / MILLION_ROWS)
    yield at_most("first sync: peak memory", first.peak_bytes / megabyte, 350, " MB")
    yield at_most("1,000 new rows: written", new.written / megabyte, 10, " MB")
    yield at_most("1,000 new rows: peak memory", new.peak_bytes / megabyte, 200, " MB")
    yield at_most("1,000 new rows: wall", new.wall, 1.5 * digests.wall + 1, " s")
    if len(measured) > 1:
        yield at_most("1,000 new rows: client CPU, as a multiple of scale 1", new.cpu / small.cpu, 1.5, "")  # fmt: skip
