"""Sync from an SQLite file: the same events as from MariaDB, in one process."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bench.data import NOW, PROJECT
from bench.machine import environment
from bench.report import markdown, progress
from bench.sync_worker import CopyCost
from bench.targets import Target, at_most
from demo.database import write_database
from demo.sample import sample
from demo.schema import COLUMNS

OURS: Final = "this project"
CONNECTORX: Final = "connectorx"
FIRST: Final = "first sync"
NO_CHANGE: Final = "no change"
NEW: Final = "1,000 new rows a table"
EVENTS: Final[Mapping[str, tuple[str, ...]]] = {
    FIRST: (OURS, CONNECTORX),
    NO_CHANGE: (OURS,),
    NEW: (OURS,),
}
NEW_ROWS: Final = 1_000
MILLION: Final = 1_000_000

type FileCosts = dict[tuple[str, str], CopyCost]


def measure(scale: float) -> FileCosts:
    """Measure every event at *scale*, on a file of its own."""
    costs: FileCosts = {}
    with TemporaryDirectory() as folder:
        file = Path(folder) / "source.db"
        write_database(file, sample(NOW, scale))
        for event, methods in EVENTS.items():
            if event == NEW:
                _add_rows(file)
            for method in methods:
                progress(f"SQLite, {event}: {method}")
                place = Path(folder) / method
                place.mkdir(exist_ok=True)
                costs[event, method] = _cost(method, place, file)
    return costs


def _add_rows(file: Path) -> None:
    """Add copies of the last rows of each table, with higher keys."""
    with closing(sqlite3.connect(file)) as database:
        for name, columns in COLUMNS.items():
            others = ", ".join(column for column in columns if column != "id")
            # No id of the sample begins with a dot.
            key = "'.' || substr(id, 2)" if name == "fpp_users" else "id + highest"
            database.execute(
                f"INSERT INTO {name} (id, {others}) SELECT {key}, {others} FROM {name}, "
                f"(SELECT MAX(id) AS highest FROM {name}) ORDER BY {name}.rowid DESC "
                f"LIMIT {NEW_ROWS}"
            )
        database.commit()


def _cost(method: str, place: Path, file: Path) -> CopyCost:
    login = ["", "0", "", "", str(file), "sqlite"]
    done = subprocess.run(
        [sys.executable, "-m", "bench.sync_worker", method, str(place), *login],
        cwd=PROJECT,
        env=environment(),
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return CopyCost.model_validate_json(done.stdout)


def table(costs: FileCosts) -> str:
    """A Markdown table with a row for each event and method."""
    head = ["", "wall s", "start CPU s", "sync CPU s", "peak MB", "rows read", "MB written"]  # fmt: skip
    rows = [
        [
            f"{event}: {method}",
            f"{cost.wall:.2f}",
            f"{cost.start_cpu:.2f}",
            f"{cost.cpu - cost.start_cpu:.2f}",
            *cost.amounts(),
        ]
        for (event, method), cost in costs.items()
    ]
    return markdown(head, rows)


def check_targets(costs: FileCosts) -> Iterator[Target]:
    """The targets for the cost of a row, without the start of the process."""
    first = costs[FIRST, OURS]
    millions = first.rows / MILLION
    if millions > 1:
        bounds = {FIRST: 3.0, NO_CHANGE: 0.5, NEW: 3.0}
        for event, bound in bounds.items():
            cost = costs[event, OURS]
            micros = (cost.cpu - cost.start_cpu) / millions
            yield at_most(f"SQLite, {event}: CPU a row", micros, bound, " µs")
    megabyte = 2**20
    peak, written = first.peak_bytes / megabyte, costs[NEW, OURS].written / megabyte
    yield at_most("SQLite, first sync: peak memory", peak, 350, " MB")
    yield at_most("SQLite, 1,000 new rows: written", written, 15, " MB")
