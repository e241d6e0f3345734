"""Over HTTP: the real API on a free port of this machine, asked by real clients."""

import http.client
import secrets
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psutil

from bench import promises, report
from bench.cases import Asked, asked
from bench.clients import HOST, Latencies, Load, Running
from bench.data import made
from bench.machine import THREADS, peak_bytes
from bench.promises import Promise
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
class Server:
    """A running API."""

    port: int
    pid: int
    headers: dict[str, str]
    ready_seconds: float
    """From starting the process until /health answered."""
    idle_bytes: int
    """Memory right then."""


@dataclass(frozen=True, slots=True)
class Asking:
    """What was asked, by how many at once, and how long they waited."""

    what: str
    clients: int
    latencies: Latencies
    worked: float | None = None
    """Seconds of processor time of the API, per request."""


@dataclass(frozen=True, slots=True)
class Served:
    """All of it, at one scale."""

    scale: float
    askings: Sequence[Asking]
    ready_seconds: float
    idle_bytes: int
    peak_bytes: int

    def p(self, percent: float, what: str, clients: int = 1) -> float:
        """A percentile (seconds) of one of the askings."""
        found = (a for a in self.askings if (a.what, a.clients) == (what, clients))
        return next(found).latencies.percentile(percent)


ANALYTICS = "`GET /`"
UNCHANGED = "`GET /`, unchanged (304)"
HEALTH = "`GET /health`"
BUSY_HEALTH = f"`GET /health` while {MANY} clients ask `GET /`"


def measure(scale: float) -> Served:
    """Start the API on the sample at *scale*, and ask it everything."""
    report.progress(f"asking the API at scale {scale:g}")
    asked_for = asked(made(scale))
    starts = []
    for _ in range(STARTS - 1):
        with serving(asked_for.data_dir, "main:app") as server:
            starts.append(server)
    with serving(asked_for.data_dir, "bench.server:app") as server:
        starts.append(server)
        askings = list(_askings(server, asked_for))
        peak = peak_bytes(server.pid)
    return Served(
        scale,
        askings,
        ready_seconds=median(one.ready_seconds for one in starts),
        idle_bytes=max(one.idle_bytes for one in starts),
        peak_bytes=peak,
    )


def _askings(server: Server, asked_for: Asked) -> Iterator[Asking]:
    unchanged = {**server.headers, "If-None-Match": _etag(server)}
    paths = {
        "`GET /room/{id}/stats`": f"/room/{asked_for.room_id}/stats",
        "`GET /daily-analytics`": "/daily-analytics",
    }
    yield _ask(server, HEALTH, _load(server, "/health"))
    yield _ask(server, ANALYTICS, _load(server, "/"))
    yield _ask(server, UNCHANGED, _load(server, "/", headers=unchanged, status=304))
    for what, path in paths.items():
        for clients in (1, MANY):
            yield _ask(server, what, _load(server, path, clients=clients))
    yield from _busy(server)


def _busy(server: Server) -> Iterator[Asking]:
    """Many clients on all statistics, and someone who asks how the API is."""
    many = Running(_load(server, "/", clients=MANY))
    health = Running(_load(server, "/health", pause_seconds=HEALTH_EVERY_SECONDS))
    yield Asking(BUSY_HEALTH, 1, health.latencies())
    yield Asking(ANALYTICS, MANY, many.latencies())


def _ask(server: Server, what: str, load: Load) -> Asking:
    api = psutil.Process(server.pid)
    before = api.cpu_times()
    latencies = Running(load).latencies()
    after = api.cpu_times()
    worked = after.user + after.system - before.user - before.system
    return Asking(what, load.clients, latencies, worked / len(latencies.seconds))


def _load(
    server: Server,
    path: str,
    *,
    headers: dict[str, str] | None = None,
    status: int = 200,
    clients: int = 1,
    pause_seconds: float = 0,
) -> Load:
    return Load(
        port=server.port,
        path=path,
        headers=headers or server.headers,
        status=status,
        clients=clients,
        seconds=SECONDS,
        pause_seconds=pause_seconds,
    )


def _etag(server: Server) -> str:
    with closing(http.client.HTTPConnection(HOST, server.port)) as connection:
        connection.request("GET", "/", headers=server.headers)
        response = connection.getresponse()
        response.read()
        return response.headers["ETag"]


@contextmanager
def serving(data_dir: Path, app: str) -> Iterator[Server]:
    """Run *app* on *data_dir* under uvicorn until the block ends.

    Raises DemoError when it ends by itself or is not ready in time.
    """
    token, port = secrets.token_hex(), free_port(FIRST_PORT)
    settings = {
        "ANALYTICS_SECRET_TOKEN": token,
        "DATA_DIR": str(data_dir),
        "RATE_LIMIT_PER_MINUTE": "0",
        "POLARS_MAX_THREADS": str(THREADS),
    }
    command = ["-m", "uvicorn", app, "--host", HOST, "--port", str(port)]
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        with running("API", command, settings, Path(folder)) as program:
            ready = _ready(program, port, began)
            pid = program.process.pid
            idle = psutil.Process(pid).memory_info().rss
            yield Server(port, pid, {"Authorization": f"Bearer {token}"}, ready, idle)


def _ready(program: Program, port: int, began: float) -> float:
    """Seconds since *began* at which /health answers."""
    while (waited := time.perf_counter() - began) < READY_WITHIN_SECONDS:
        program.check()
        with closing(http.client.HTTPConnection(HOST, port)) as connection:
            try:
                connection.request("GET", "/health")
                if connection.getresponse().status == 200:
                    return time.perf_counter() - began
            except ConnectionError:  # it does not listen yet
                time.sleep(0.005)
    raise TimeoutError(f"the API was not ready after {waited:.0f} seconds")


def tables(served: Served) -> Iterator[str]:
    """The figures of one scale, as Markdown."""
    yield f"### Over HTTP, scale {served.scale:g}"
    yield (
        "Milliseconds that clients waited; each asks again as soon as it was answered, "
        "and shares the processor with the API. Last, what the API worked per request."
    )
    yield report.markdown(
        ["", "clients", "requests", "p50", "p95", "processor"],
        (
            [
                asking.what,
                str(asking.clients),
                str(len(asking.latencies.seconds)),
                report.milliseconds(asking.latencies.percentile(50)),
                report.milliseconds(asking.latencies.percentile(95)),
                "" if asking.worked is None else report.milliseconds(asking.worked),
            ]
            for asking in served.askings
        ),
    )
    yield (
        f"Ready {served.ready_seconds:.2f} s after its start (median of {STARTS}); "
        f"{report.megabytes(served.idle_bytes)} MB of memory then, "
        f"{report.megabytes(served.peak_bytes)} MB at most while it was asked all this."
    )


def kept(served: Served) -> Iterator[Promise]:
    """The promises about one scale."""
    scale = f"at scale {served.scale:g}"
    if served.scale == 1:
        yield promises.at_most(
            f"{BUSY_HEALTH}, p95, {scale}",
            served.p(95, BUSY_HEALTH) * 1000,
            HEALTH_P95_MS,
            " ms",
        )
    yield promises.at_least(
        f"{ANALYTICS} computed ÷ unchanged, {scale}",
        served.p(50, ANALYTICS) / served.p(50, UNCHANGED),
        UNCHANGED_FACTOR,
        "",
    )
    yield promises.at_most(
        f"ready after its start, {scale}", served.ready_seconds, READY_SECONDS, " s"
    )
    yield promises.at_most(
        f"memory when ready, {scale}",
        served.idle_bytes / 2**20,
        IDLE_MEGABYTES,
        " MB",
    )
