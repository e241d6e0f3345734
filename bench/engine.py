"""Engine: all of `GET /` by the API alone, and by a cluster of two workers beside it.

The workers share the cores of the machine, so they show what a cluster costs, and what
part of an answer a worker with cores of its own would take off the API's host.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final

import polars as pl
import psutil
from prometheus_client import CollectorRegistry

from bench import report
from bench.cases import PERIOD
from bench.data import sample_dir
from bench.errors import BenchError
from calculations.analytics import SECTIONS, collect, engine_for
from calculations.filters import NO_FILTERS
from calculations.period import DateRange, Period
from cluster.address import cluster_address
from cluster.connection import ClusterConnection
from cluster.metrics import ClusterMetrics
from config import Settings
from readmodel.store import snapshot
from readmodel.store.content import current_content
from readmodel.store.snapshot import Snapshot
from routers.cluster_answers import ClusterAnswers
from routers.plan_cache import PlanCache
from testbed.cluster import LocalCluster, local_cluster

WORKERS: Final = 2
ROUNDS: Final = 7
WAIT_SECONDS: Final = 60.0

_MONTH: Final = DateRange(PERIOD.today - timedelta(days=29), PERIOD.today)
QUESTIONS: Final[Mapping[str, Period]] = {
    "all days": PERIOD,
    "last 30 days": replace(PERIOD, range=_MONTH),
}

type Ask = Callable[[Period], pl.DataFrame]


@dataclass(frozen=True, slots=True)
class EngineRun:
    """Medians for one question: seconds, and processor seconds.

    The latter here, of all workers, and of the one that had most to do.
    """

    wall: float
    own_cpu: float
    workers_cpu: float
    busiest_cpu: float


@dataclass(frozen=True, slots=True)
class EngineTimings:
    """Timings of one scale: question -> by the API alone, and by the cluster."""

    scale: float
    runs: Mapping[str, tuple[EngineRun, EngineRun]]


def measure(scale: float) -> EngineTimings:
    """Time QUESTIONS both ways, in turns. Raises BenchError if answers differ."""
    data_dir = sample_dir(scale)
    opened = snapshot.current(data_dir)
    report.progress(f"starting a cluster at scale {scale:g}")
    with local_cluster(*[data_dir] * WORKERS) as cluster:
        workers = [psutil.Process(worker.pid) for worker in cluster.workers]
        with _connected(cluster, data_dir) as answers:
            asks: Sequence[Ask] = (
                partial(_alone, PlanCache(), opened),
                partial(_by_cluster, answers, opened),
            )
            report.progress(f"timing both at scale {scale:g}")
            runs = {
                name: _in_turns(asks, period, workers)
                for name, period in QUESTIONS.items()
            }
    return EngineTimings(scale, runs)


@contextmanager
def _connected(cluster: LocalCluster, data_dir: Path) -> Iterator[ClusterAnswers]:
    """Answers by all workers of *cluster*."""
    connection = ClusterConnection(
        cluster_address(Settings(engine_url=cluster.url)),
        partial(current_content, data_dir),
        ClusterMetrics(CollectorRegistry()),
        seconds=WAIT_SECONDS,
        pause=0.2,
        probe_seconds=WAIT_SECONDS,
    )
    connection.start()
    try:
        until = time.monotonic() + WAIT_SECONDS
        while connection.workers < WORKERS:
            if time.monotonic() > until:
                raise BenchError(f"the cluster does not run plans: {connection.why}")
            time.sleep(0.1)
        yield ClusterAnswers(connection, 0)
    finally:
        connection.close()


def _alone(plans: PlanCache, opened: Snapshot, period: Period) -> pl.DataFrame:
    plan = plans.analytics(opened, period, SECTIONS)
    return collect(plan, engine_for(opened.rows, period.fraction))


def _by_cluster(
    answers: ClusterAnswers, opened: Snapshot, period: Period
) -> pl.DataFrame:
    rows = answers.rows(opened, [period], SECTIONS, NO_FILTERS)
    if rows is None:
        raise BenchError("the cluster did not compute an answer")
    return rows[0]


def _in_turns(
    asks: Sequence[Ask], period: Period, workers: Sequence[psutil.Process]
) -> tuple[EngineRun, EngineRun]:
    alone, by_cluster = (ask(period) for ask in asks)  # warms up
    if not alone.equals(by_cluster):
        raise BenchError("the answers of the API and of the cluster differ")
    timed = [[_timed(ask, period, workers) for ask in asks] for _ in range(ROUNDS)]
    first, second = map(_median, zip(*timed, strict=True))
    return first, second


def _timed(ask: Ask, period: Period, workers: Sequence[psutil.Process]) -> EngineRun:
    theirs, own, began = _cpu(workers), time.process_time(), time.perf_counter()
    ask(period)
    wall = time.perf_counter() - began
    used = [now - then for now, then in zip(_cpu(workers), theirs, strict=True)]
    return EngineRun(wall, time.process_time() - own, sum(used), max(used))


def _cpu(processes: Sequence[psutil.Process]) -> list[float]:
    times = [process.cpu_times() for process in processes]
    return [one.user + one.system for one in times]


def _median(runs: Sequence[EngineRun]) -> EngineRun:
    columns = zip(*map(astuple, runs), strict=True)
    return EngineRun(*map(median, columns))


def tables(measured: EngineTimings) -> Iterator[str]:
    """The figures of one scale as Markdown."""
    yield (
        f"Milliseconds at scale {measured.scale:g} (medians of {ROUNDS}; both take turns), "
        f"with {WORKERS} workers:"
    )
    yield report.markdown(
        [
            "",
            "API alone",
            "with the cluster",
            "cluster ÷ alone",
            "processor, alone",
            "processor, API with cluster",
            "processor, workers",
            "the busiest of them",
        ],
        (_row(name, *runs) for name, runs in measured.runs.items()),
    )


def _row(name: str, alone: EngineRun, by_cluster: EngineRun) -> list[str]:
    ms = report.milliseconds
    return [
        name,
        ms(alone.wall),
        ms(by_cluster.wall),
        f"{by_cluster.wall / alone.wall:.2f}",
        ms(alone.own_cpu),
        ms(by_cluster.own_cpu),
        ms(by_cluster.workers_cpu),
        ms(by_cluster.busiest_cpu),
    ]
