"""Over HTTP: the real API on a free loopback port, with real clients."""

import http.client
import secrets
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from types import MappingProxyType

import psutil

from bench import report, targets
from bench.cases import Dataset, dataset
from bench.clients import HOST, ClientProcess, Latencies, Load
from bench.data import sample_dir
from bench.machine import THREADS, peak_bytes
from bench.targets import Target
from demo.processes import Program, free_port, running

FIRST_PORT = 5180
MANY = 8
SECONDS = 4.0
STARTS = 3
READY_WITHIN_SECONDS = 30
HEALTH_EVERY_SECONDS = 0.01

HEALTH_P95_MS = 10
UNCHANGED_FACTOR = 10
READY_SECONDS = 1.5
IDLE_MEGABYTES = 120


@dataclass(frozen=True, slots=True)
class RunningApi:
    """A running API process."""

    port: int
    pid: int
    headers: dict[str, str]
    ready_seconds: float
    """From the start of the process to the first answer of /health."""
    idle_bytes: int
    """Memory at that time."""


@dataclass(frozen=True, slots=True)
class RequestTiming:
    """Latencies of one kind of request from a number of concurrent clients."""

    request: str
    clients: int
    latencies: Latencies
    cpu: float | None = None
    """Seconds of processor time of the API per request."""


@dataclass(frozen=True, slots=True)
class ServingTimings:
    """All measurements at one scale."""

    scale: float
    requests: Sequence[RequestTiming]
    ready_seconds: float
    idle_bytes: int
    peak_bytes: int

    def percentile(self, percent: float, request: str, clients: int = 1) -> float:
        """A percentile (seconds) of the latencies of *request* by *clients*."""
        kind = (request, clients)
        timing = next(t for t in self.requests if (t.request, t.clients) == kind)
        return timing.latencies.percentile(percent)


ANALYTICS = "`GET /`"
UNCHANGED = "`GET /`, unchanged (304)"
HEALTH = "`GET /health`"
BUSY_HEALTH = f"`GET /health` while {MANY} clients request `GET /`"


def measure(scale: float) -> ServingTimings:
    """Start the API on the sample at *scale*, and send every kind of request."""
    report.progress(f"sending requests to the API at scale {scale:g}")
    data = dataset(sample_dir(scale))
    starts = []
    for _ in range(STARTS - 1):
        with running_api(data.data_dir, "main:app") as api:
            starts.append(api)
    with running_api(data.data_dir, "bench.server:app") as api:
        starts.append(api)
        requests = list(_time_requests(api, data))
        peak = peak_bytes(api.pid)
    return ServingTimings(
        scale,
        requests,
        ready_seconds=median(one.ready_seconds for one in starts),
        idle_bytes=max(one.idle_bytes for one in starts),
        peak_bytes=peak,
    )


def _time_requests(api: RunningApi, data: Dataset) -> Iterator[RequestTiming]:
    unchanged = {**api.headers, "If-None-Match": etag(api)}
    paths = {
        "`GET /room/{id}/stats`": f"/room/{data.room_id}/stats",
        "`GET /daily-analytics`": "/daily-analytics",
    }
    yield _time(api, HEALTH, _load(api, "/health"))
    yield _time(api, ANALYTICS, _load(api, "/"))
    yield _time(api, UNCHANGED, _load(api, "/", headers=unchanged, status=304))
    for request, path in paths.items():
        for clients in (1, MANY):
            yield _time(api, request, _load(api, path, clients=clients))
    yield from _time_busy(api)


def _time_busy(api: RunningApi) -> Iterator[RequestTiming]:
    """Many clients request all statistics, while another one requests /health."""
    many = ClientProcess(_load(api, "/", clients=MANY))
    health = ClientProcess(_load(api, "/health", pause_seconds=HEALTH_EVERY_SECONDS))
    yield RequestTiming(BUSY_HEALTH, 1, health.latencies())
    yield RequestTiming(ANALYTICS, MANY, many.latencies())


def _time(api: RunningApi, request: str, load: Load) -> RequestTiming:
    process = psutil.Process(api.pid)
    before = process.cpu_times()
    latencies = ClientProcess(load).latencies()
    after = process.cpu_times()
    cpu = after.user + after.system - before.user - before.system
    return RequestTiming(request, load.clients, latencies, cpu / len(latencies.seconds))


def _load(
    api: RunningApi,
    path: str,
    *,
    headers: dict[str, str] | None = None,
    status: int = 200,
    clients: int = 1,
    pause_seconds: float = 0,
) -> Load:
    return Load(
        port=api.port,
        path=path,
        headers=headers or api.headers,
        status=status,
        clients=clients,
        seconds=SECONDS,
        pause_seconds=pause_seconds,
    )


def etag(api: RunningApi) -> str:
    """The ETag of the current answer to `GET /`."""
    with closing(http.client.HTTPConnection(HOST, api.port)) as connection:
        connection.request("GET", "/", headers=api.headers)
        response = connection.getresponse()
        response.read()
        return response.headers["ETag"]


@contextmanager
def running_api(
    data_dir: Path, app: str, more_settings: Mapping[str, str] = MappingProxyType({})
) -> Iterator[RunningApi]:
    """Run *app* on *data_dir* under uvicorn until the block ends.

    Raises DemoError if it exits early, TimeoutError if it is not ready in time.
    """
    token, port = secrets.token_hex(), free_port(FIRST_PORT)
    settings = {
        "ANALYTICS_SECRET_TOKEN": token,
        "DATA_DIR": str(data_dir),
        "RATE_LIMIT_PER_MINUTE": "0",
        "POLARS_MAX_THREADS": str(THREADS),
        **more_settings,
    }
    command = ["-m", "uvicorn", app, "--host", HOST, "--port", str(port)]
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        with running("API", command, settings, Path(folder)) as program:
            ready = _ready(program, port, began)
            pid = program.process.pid
            idle = psutil.Process(pid).memory_info().rss
            headers = {"Authorization": f"Bearer {token}"}
            yield RunningApi(port, pid, headers, ready, idle)


def _ready(program: Program, port: int, began: float) -> float:
    """Wait until /health answers; return the seconds since *began*."""
    while (waited := time.perf_counter() - began) < READY_WITHIN_SECONDS:
        program.check()
        with closing(http.client.HTTPConnection(HOST, port)) as connection:
            try:
                connection.request("GET", "/health")
                if connection.getresponse().status == 200:
                    return time.perf_counter() - began
            except ConnectionError:  # not listening yet
                time.sleep(0.005)
    raise TimeoutError(f"the API was not ready after {waited:.0f} seconds")


def tables(measured: ServingTimings) -> Iterator[str]:
    """The figures of one scale as Markdown."""
    yield f"### Over HTTP, scale {measured.scale:g}"
    yield (
        "Latency in milliseconds; each client sends its next request after the answer, "
        "and shares the processor with the API. The last column is the API's processor "
        "time per request."
    )
    yield report.markdown(
        ["", "clients", "requests", "p50", "p95", "processor"],
        (
            [
                timing.request,
                str(timing.clients),
                str(len(timing.latencies.seconds)),
                report.milliseconds(timing.latencies.percentile(50)),
                report.milliseconds(timing.latencies.percentile(95)),
                "" if timing.cpu is None else report.milliseconds(timing.cpu),
            ]
            for timing in measured.requests
        ),
    )
    yield (
        f"Ready {measured.ready_seconds:.2f} s after the start (median of {STARTS}) with "
        f"{report.megabytes(measured.idle_bytes)} MB of memory; "
        f"{report.megabytes(measured.peak_bytes)} MB at most during all requests."
    )


def check_targets(measured: ServingTimings) -> Iterator[Target]:
    """The targets for one scale."""
    scale = f"at scale {measured.scale:g}"
    if measured.scale == 1:
        yield targets.at_most(
            f"{BUSY_HEALTH}, p95, {scale}",
            measured.percentile(95, BUSY_HEALTH) * 1000,
            HEALTH_P95_MS,
            " ms",
        )
    yield targets.at_least(
        f"{ANALYTICS} computed ÷ unchanged, {scale}",
        measured.percentile(50, ANALYTICS) / measured.percentile(50, UNCHANGED),
        UNCHANGED_FACTOR,
        "",
    )
    yield targets.at_most(
        f"ready after the start, {scale}", measured.ready_seconds, READY_SECONDS, " s"
    )
    yield targets.at_most(
        f"memory when ready, {scale}",
        measured.idle_bytes / 2**20,
        IDLE_MEGABYTES,
        " MB",
    )
