"""One engine in a process of its own, which isolates its memory and time.

    python -m bench.worker ENGINE DATA_DIR ROOM_ID answers CASE…
    python -m bench.worker ENGINE DATA_DIR ROOM_ID time CASE SECONDS

The first prints every answer, the second one Timing, as JSON.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from statistics import median
from typing import Final

import polars as pl
from pydantic import BaseModel

from bench.cases import MODELS, PERIOD, Dataset, Engine, to_json
from bench.data import PROJECT
from bench.decode import DecodeEngine
from bench.machine import THREADS, environment, peak_bytes
from bench.ours import OurEngine
from bench.plain import PlainEngine
from calculations.period import DateRange, Period
from routers.filter_syntax import parse_filters
from util import allocator

FEWEST_RUNS = 2
MOST_RUNS = 12

ROUNDS = 3
SLOW_SECONDS = 5.0
"""Slower engines are not repeated: fluctuations of the machine hardly matter to them."""


def _duck(data: Dataset) -> Engine:
    from bench.duck import DuckEngine  # not in the memory of other processes

    return DuckEngine(data, THREADS)


def _period_until(day: date, days: int) -> Period:
    first = day - timedelta(days=days - 1)
    return replace(PERIOD, range=DateRange(first, day))


RANGES: Final = {
    "last 7 days": _period_until(PERIOD.today, 7),
    "last 30 days": _period_until(PERIOD.today, 30),
    "7 days a year ago": _period_until(PERIOD.today - timedelta(days=365), 7),
}
"""Name -> a range that our engine also computes."""


FILTERED: Final = "ours, two filters"
TWO_KINDS: Final = "ours, filters of two tables"
FILTERED_DUCK: Final = "DuckDB, two filters"


def _filtered(text: str) -> Callable[[Dataset], Engine]:
    return lambda data: OurEngine(data, filters=parse_filters(text))


def _filtered_duck(data: Dataset) -> Engine:
    from bench.duck import FilteredDuckEngine

    return FilteredDuckEngine(data, THREADS)


def _ours_in(period: Period) -> Callable[[Dataset], Engine]:
    return lambda data: OurEngine(data, period=period)


ENGINES: Final[dict[str, Callable[[Dataset], Engine]]] = {
    "ours": OurEngine,
    "in-memory": lambda data: OurEngine(data, engine=pl.InMemoryEngine()),
    "streaming": lambda data: OurEngine(data, engine=pl.StreamingEngine()),
    "DuckDB": _duck,
    "plain Polars": PlainEngine,
    "decode": DecodeEngine,
    FILTERED: _filtered("country:DE,device:desktop"),
    TWO_KINDS: _filtered("country:DE,source:Google Search"),
    FILTERED_DUCK: _filtered_duck,
    **{name: _ours_in(period) for name, period in RANGES.items()},
}


class Timing(BaseModel):
    """Seconds of each run after a warm-up run, and peak memory of all runs."""

    wall: list[float]
    cpu: list[float]
    peak_bytes: int

    def __add__(self, more: "Timing") -> "Timing":
        """All runs of both timings."""
        return Timing(
            wall=self.wall + more.wall,
            cpu=self.cpu + more.cpu,
            peak_bytes=max(self.peak_bytes, more.peak_bytes),
        )

    @property
    def runs(self) -> int:
        """Number of runs."""
        return len(self.wall)

    @property
    def best(self) -> float:
        """Wall time of the fastest run."""
        return min(self.wall)

    @property
    def median(self) -> float:
        """Median wall time."""
        return median(self.wall)

    @property
    def median_cpu(self) -> float:
        """Median processor time."""
        return median(self.cpu)


def answers(
    engine: str, data: Dataset, cases: Iterable[str] = MODELS
) -> dict[str, str]:
    """Case -> answer of *engine* as JSON text."""
    texts: dict[str, str] = json.loads(_run(engine, data, "answers", *cases))
    return texts


def timings(
    engines: Iterable[str], data: Dataset, case: str, seconds: float
) -> dict[str, Timing]:
    """Time each engine for *case*, about *seconds* each.

    Engines take turns in ROUNDS, because the speed of a shared machine changes from
    minute to minute: fast and slow minutes then affect all engines.
    """
    total = {name: timing(name, data, case, seconds / ROUNDS) for name in engines}
    fast = [name for name, first in total.items() if first.median < SLOW_SECONDS]
    for _ in range(ROUNDS - 1):
        for name in fast:
            total[name] += timing(name, data, case, seconds / ROUNDS)
    return total


def timing(engine: str, data: Dataset, case: str, seconds: float) -> Timing:
    """Time one engine for *case* in a process of its own."""
    text = _run(engine, data, "time", case, str(seconds))
    return Timing.model_validate_json(text)


def _run(engine: str, data: Dataset, *task: str) -> str:
    """The output of a worker process. Raises CalledProcessError if it fails."""
    arguments = [engine, str(data.data_dir), str(data.room_id), *task]
    return subprocess.run(
        [sys.executable, "-m", "bench.worker", *arguments],
        cwd=PROJECT,
        # All engines on Polars run with the API's allocator settings.
        env=environment() | {allocator.VARIABLE: allocator.FOR_ANSWERS},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout


def measure(compute: Callable[[], object], seconds: float) -> Timing:
    """Call *compute* once to warm up, then repeatedly for about *seconds*."""
    compute()
    wall: list[float] = []
    cpu: list[float] = []
    while len(wall) < FEWEST_RUNS or (len(wall) < MOST_RUNS and sum(wall) < seconds):
        began, worked = time.perf_counter(), time.process_time()
        compute()
        wall.append(time.perf_counter() - began)
        cpu.append(time.process_time() - worked)
    return Timing(wall=wall, cpu=cpu, peak_bytes=peak_bytes(os.getpid()))


def main(name: str, data_dir: str, room_id: str, *task: str) -> None:
    """Print all answers of one of ENGINES, or the timing of one case."""
    engine = ENGINES[name](Dataset(Path(data_dir), int(room_id)))
    match task:
        case ("answers", *cases):
            texts = {case: to_json(case, engine.answer(case)) for case in cases}
            print(json.dumps(texts))
        case ("time", name_of_case, seconds):
            timed = measure(lambda: engine.answer(name_of_case), float(seconds))
            print(timed.model_dump_json())


if __name__ == "__main__":
    main(*sys.argv[1:])
