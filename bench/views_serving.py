"""Derived tables over HTTP: a page of each, beside DuckDB alone."""

import http.client
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.api import RunningApi, running_api
from bench.clients import HOST, ClientProcess, Load
from bench.data import NOW, PROJECT, sample_dir
from bench.errors import BenchError
from bench.machine import environment, peak_bytes
from bench.report import markdown, megabytes, milliseconds, progress
from bench.views import VIEWS_DIR
from readmodel.store import snapshot
from readmodel.sync.carry_over import carry_others, last_snapshot
from readmodel.sync.derived import DerivedOptions, build_derived
from readmodel.sync.lock import exclusive_lock
from readmodel.sync.snapshot_writer import SnapshotWriter

SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class ServingCost:
    """Median seconds of the first page, by the API and by DuckDB alone."""

    name: str
    rows: int
    page_rows: int
    page: float
    duckdb_page: float


@dataclass(frozen=True, slots=True)
class ViewsServing:
    """The costs of all tables, and the peak bytes of both processes."""

    scale: float
    costs: list[ServingCost]
    api_peak: int
    duckdb_peak: int


def measure(scale: float) -> ViewsServing:
    """Build the shipped tables into a copy of the sample at *scale* and request them."""
    progress(f"sending requests for derived tables at scale {scale:g}")
    with _published(scale) as data_dir:
        files, rows = _derived_files(data_dir)
        settings = {"VIEWS_DIR": str(VIEWS_DIR)}
        with running_api(data_dir, "main:app", settings) as api:
            ours = {name: _page_seconds(api, name) for name in files}
            page_rows = {name: _page_rows(api, name) for name in files}
            peak = peak_bytes(api.pid)
        alone = _duckdb_alone(files, page_rows)
    costs = [
        ServingCost(
            name, rows[name], page_rows[name], ours[name], alone["seconds"][name]
        )
        for name in files
    ]
    return ViewsServing(scale, costs, peak, alone["peak"])


@contextmanager
def _published(scale: float) -> Iterator[Path]:
    """Yield a DATA_DIR with the sample, hard-linked, and the derived tables."""
    sample = sample_dir(scale)
    last = last_snapshot(sample)
    assert last is not None
    with TemporaryDirectory(dir=sample.parent) as folder, exclusive_lock(Path(folder)):
        with SnapshotWriter(Path(folder), NOW) as writer:
            carry_others(last, writer)
            for report in build_derived(
                writer, DerivedOptions(VIEWS_DIR, seconds=1800)
            ):
                if report.message:
                    raise BenchError(f"{report.object}: {report.message}")
            writer.publish(None)
        yield Path(folder)


def _derived_files(data_dir: Path) -> tuple[dict[str, list[str]], dict[str, int]]:
    """The Parquet files and the rows of each derived table."""
    current = snapshot.current(data_dir)
    assert current.manifest is not None
    names = list(current.manifest.derived)
    files = {name: list(map(str, current.files(name))) for name in names}
    return files, {name: current.manifest.tables[name].rows for name in names}


def _page_seconds(api: RunningApi, name: str) -> float:
    """Median seconds of the first page of *name*."""
    load = Load(
        port=api.port, path=f"/views/{name}", headers=api.headers, seconds=SECONDS
    )
    return ClientProcess(load).latencies().percentile(50)


def _page_rows(api: RunningApi, name: str) -> int:
    """How many rows the first page of *name* has, by the definition's limit."""
    with closing(http.client.HTTPConnection(HOST, api.port)) as connection:
        connection.request("GET", f"/views/{name}", headers=api.headers)
        return len(json.loads(connection.getresponse().read())["rows"])


def _duckdb_alone(
    files: Mapping[str, list[str]], page_rows: Mapping[str, int]
) -> dict[str, Any]:
    tables = {name: [paths, page_rows[name]] for name, paths in files.items()}
    run = subprocess.run(
        [sys.executable, "-m", "bench.views_serving_worker", json.dumps(tables)],
        check=True,
        stdout=subprocess.PIPE,
        cwd=PROJECT,
        env=environment(),
    )
    found: dict[str, Any] = json.loads(run.stdout)
    return found


def tables(serving: ViewsServing) -> Iterator[str]:
    """Yield the figures as Markdown."""
    yield (
        f"**Derived tables over HTTP at scale {serving.scale:g}**, median ms of the "
        "first page as JSON. The API needed "
        f"{megabytes(serving.api_peak)} MB at the peak, DuckDB, which writes to a "
        f"file, {megabytes(serving.duckdb_peak)} MB."
    )
    yield markdown(
        ("table", "rows", "page", "ms", "DuckDB alone"),
        (
            (
                cost.name,
                f"{cost.rows:,}",
                f"{cost.page_rows:,} rows",
                milliseconds(cost.page),
                milliseconds(cost.duckdb_page),
            )
            for cost in serving.costs
        ),
    )
