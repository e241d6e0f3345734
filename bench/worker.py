"""One engine in a process of its own, so that its memory and its time are its own.

    python -m bench.worker ENGINE DATA_DIR ROOM_ID answers
    python -m bench.worker ENGINE DATA_DIR ROOM_ID time QUESTION SECONDS

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

from bench.cases import PERIOD, SHAPES, Asked, Engine, told
from bench.data import PROJECT
from bench.decode import Decode
from bench.machine import THREADS, environment, peak_bytes
from bench.ours import Ours
from bench.plain import Plain
from calculations.period import DateRange, Period
from util import allocator

FEWEST_RUNS = 2
MOST_RUNS = 12

ROUNDS = 3
SLOW_SECONDS = 5.0
"""What takes longer is not asked again: a machine's moods are nothing hstack it."""


def _duck(asked: Asked) -> Engine:
    from bench.duck import Duck  # only here, so that only its process holds it

    return Duck(asked, THREADS)


def _ending(day: date, days: int) -> Period:
    first = day - timedelta(days=days - 1)
    return replace(PERIOD, range=DateRange(first, day))


STRETCHES: Final = {
    "last 7 days": _ending(PERIOD.today, 7),
    "last 30 days": _ending(PERIOD.today, 30),
    "7 days a year ago": _ending(PERIOD.today - timedelta(days=365), 7),
}
"""Days that ours is also asked for, by name."""


def _about(period: Period) -> Callable[[Asked], Engine]:
    return lambda asked: Ours(asked, period=period)


ENGINES: Final[dict[str, Callable[[Asked], Engine]]] = {
    "ours": Ours,
    "in-memory": lambda asked: Ours(asked, engine=pl.InMemoryEngine()),
    "streaming": lambda asked: Ours(asked, engine=pl.StreamingEngine()),
    "DuckDB": _duck,
    "plain Polars": Plain,
    "decode": Decode,
    **{name: _about(period) for name, period in STRETCHES.items()},
}


class Timing(BaseModel):
    """Seconds of each run after a first one that warms up; memory over all of them."""

    wall: list[float]
    cpu: list[float]
    peak_bytes: int

    def __add__(self, more: "Timing") -> "Timing":
        return Timing(
            wall=self.wall + more.wall,
            cpu=self.cpu + more.cpu,
            peak_bytes=max(self.peak_bytes, more.peak_bytes),
        )

    @property
    def runs(self) -> int:
        return len(self.wall)

    @property
    def best(self) -> float:
        return min(self.wall)

    @property
    def median(self) -> float:
        return median(self.wall)

    @property
    def median_cpu(self) -> float:
        return median(self.cpu)


def answers(engine: str, asked: Asked) -> dict[str, str]:
    """Every answer of *engine*, by question, as JSON texts."""
    texts: dict[str, str] = json.loads(_run(engine, asked, "answers"))
    return texts


def timings(
    engines: Iterable[str], asked: Asked, question: str, seconds: float
) -> dict[str, Timing]:
    """How long each engine takes for *question*, measured for about *seconds*.

    They take turns, in ROUNDS: a machine that is shared is fast in one minute and slow
    in the next, and so it is fast and slow for all of them.
    """
    found = {name: timing(name, asked, question, seconds / ROUNDS) for name in engines}
    quick = [name for name, first in found.items() if first.median < SLOW_SECONDS]
    for _ in range(ROUNDS - 1):
        for name in quick:
            found[name] += timing(name, asked, question, seconds / ROUNDS)
    return found


def timing(engine: str, asked: Asked, question: str, seconds: float) -> Timing:
    """How long one engine takes for *question*, in a process of its own."""
    text = _run(engine, asked, "time", question, str(seconds))
    return Timing.model_validate_json(text)


def _run(engine: str, asked: Asked, *task: str) -> str:
    """What a process of its own prints. Raises CalledProcessError when it fails."""
    given = [engine, str(asked.data_dir), str(asked.room_id), *task]
    return subprocess.run(
        [sys.executable, "-m", "bench.worker", *given],
        cwd=PROJECT,
        # Polars is told here what the API tells it, whatever is measured.
        env=environment() | {allocator.VARIABLE: allocator.CONF},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout


def measure(ask: Callable[[], object], seconds: float) -> Timing:
    """Call *ask* once to warm up, then again and again for about *seconds*."""
    ask()
    wall: list[float] = []
    cpu: list[float] = []
    while len(wall) < FEWEST_RUNS or (len(wall) < MOST_RUNS and sum(wall) < seconds):
        began, worked = time.perf_counter(), time.process_time()
        ask()
        wall.append(time.perf_counter() - began)
        cpu.append(time.process_time() - worked)
    return Timing(wall=wall, cpu=cpu, peak_bytes=peak_bytes(os.getpid()))


def main(engine: str, data_dir: str, room_id: str, *task: str) -> None:
    asked = Asked(Path(data_dir), int(room_id))
    answering = ENGINES[engine](asked)
    match task:
        case ("answers",):
            texts = {name: told(name, answering.ask(name)) for name in SHAPES}
            print(json.dumps(texts))
        case ("time", question, seconds):
            timed = measure(lambda: answering.ask(question), float(seconds))
            print(timed.model_dump_json())


if __name__ == "__main__":
    main(*sys.argv[1:])
