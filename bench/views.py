"""Derived tables: what building the shipped ones costs, beside DuckDB alone."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.data import NOW, PROJECT, sample_dir
from bench.errors import BenchError
from bench.machine import environment
from bench.report import markdown, megabytes, milliseconds, progress
from readmodel.store import snapshot
from readmodel.sync.derived_client import DerivedWorker
from readmodel.sync.derived_messages import (
    BUILD_REPLY,
    CATALOGUE_REPLY,
    BuildOutcome,
    BuildRequest,
    CatalogueRequest,
    DerivedSpec,
)
from readmodel.sync.snapshot_writer import SnapshotWriter
from readmodel.tables import TABLES

VIEWS_DIR = PROJECT / "views"
MEMORY_MB = 512
DISK_MB = 4096
DEADLINE_SECONDS = 1800.0


@dataclass(frozen=True, slots=True)
class ViewCost:
    """Seconds and peak bytes of a build, by the updater's process and by DuckDB alone."""

    name: str
    rows: int
    seconds: float
    peak: int
    duckdb_seconds: float
    duckdb_peak: int


def measure(scale: float) -> list[ViewCost]:
    """Build every shipped table once at *scale*."""
    data_dir = sample_dir(scale)
    with DerivedWorker() as worker:
        request = CatalogueRequest(str(VIEWS_DIR), tuple(TABLES), "UTC")
        specs = worker.ask(request, CATALOGUE_REPLY, DEADLINE_SECONDS).specs
    return [_cost(spec, data_dir, scale) for spec in specs]


def _cost(spec: DerivedSpec, data_dir: Path, scale: float) -> ViewCost:
    progress(f"{spec.object} at scale {scale:g}")
    sample = snapshot.current(data_dir)
    files = {name: tuple(sample.files(name)) for name in spec.inputs}
    with (
        TemporaryDirectory(dir=data_dir.parent) as folder,
        SnapshotWriter(Path(folder), NOW),
        DerivedWorker() as worker,
    ):
        # A first request starts the process, which a sync does once for all tables.
        warm_up = CatalogueRequest(folder, (), "UTC")
        worker.ask(warm_up, CATALOGUE_REPLY, DEADLINE_SECONDS)
        request = BuildRequest(spec, files, folder, NOW, MEMORY_MB, DISK_MB)
        started = time.perf_counter()
        reply = worker.ask(request, BUILD_REPLY, DEADLINE_SECONDS)
        seconds = time.perf_counter() - started
        if reply.outcome is not BuildOutcome.BUILT:
            raise BenchError(f"{spec.object} cannot be built: {reply.message}")
        peak = _peak(worker.pid)
    alone = _duckdb_alone(spec.object, files)
    return ViewCost(
        spec.object, reply.rows, seconds, peak, alone["seconds"], int(alone["peak"])
    )


def _peak(pid: int | None) -> int:
    """The largest resident size of a running process, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def _duckdb_alone(name: str, files: dict[str, tuple[str, ...]]) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.views_worker", name, str(VIEWS_DIR)]
    run = subprocess.run(
        [*command, json.dumps(files)],
        check=True,
        stdout=subprocess.PIPE,
        cwd=PROJECT,
        env=environment(),
    )
    found: dict[str, float] = json.loads(run.stdout)
    return found


def tables(scale: float, costs: list[ViewCost]) -> Iterator[str]:
    """Yield the figures as Markdown."""
    yield f"**Derived tables at scale {scale:g}**, ms and MB at the peak"
    yield markdown(
        ("table", "rows", "updater", "MB", "DuckDB alone", "MB"),
        (
            (
                cost.name,
                f"{cost.rows:,}",
                milliseconds(cost.seconds),
                megabytes(cost.peak),
                milliseconds(cost.duckdb_seconds),
                megabytes(cost.duckdb_peak),
            )
            for cost in costs
        ),
    )
