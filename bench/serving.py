"""Over HTTP: the real API on a free loopback port, with real clients."""

import http.client
import os
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psutil

from bench import peer, report, targets
from bench.api import RunningApi, running_api
from bench.cases import Dataset, dataset
from bench.clients import HOST, ClientProcess, Latencies, Load
from bench.data import sample_dir
from bench.machine import peak_bytes
from bench.targets import Target

MANY = 8
SECONDS = 4.0
STARTS = 3
HEALTH_EVERY_SECONDS = 0.01

HEALTH_P95_MS = 10
UNCHANGED_FACTOR = 10
READY_SECONDS = 1.5
IDLE_MEGABYTES = 120


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
    answered_seconds: float
    idle_bytes: int
    peak_bytes: int
    peer: "PeerTimings | None" = None

    def percentile(self, percent: float, request: str, clients: int = 1) -> float:
        """A percentile (seconds) of the latencies of *request* by *clients*."""
        kind = (request, clients)
        timing = next(t for t in self.requests if (t.request, t.clients) == kind)
        return timing.latencies.percentile(percent)


@dataclass(frozen=True, slots=True)
class PeerTimings:
    """The same requests to the system before, from one client each."""

    requests: Sequence[RequestTiming]
    ready_seconds: float
    idle_bytes: int
    peak_bytes: int


ANALYTICS = "`GET /`"
UNCHANGED = "`GET /`, unchanged (304)"
HEALTH = "`GET /health`"
ROOM = "`GET /room/{id}/stats`"
DAILY = "`GET /daily-analytics`"
BUSY_HEALTH = f"`GET /health` while {MANY} clients request `GET /`"


PEER_FACTORS = {ANALYTICS: 20.0, ROOM: 2.0}
"""How many times as fast as the system before these requests are at least."""


def measure(scale: float) -> ServingTimings:
    """Start the API on the sample at *scale*, and send every kind of request."""
    before = peer.checkout(os.environ.get(peer.VARIABLE))
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
        answered_seconds=median(one.answered_seconds for one in starts),
        idle_bytes=max(one.idle_bytes for one in starts),
        peak_bytes=peak,
        # At a hundred times the sample it needs minutes for an answer.
        peer=measure_peer(before, data) if before and scale == 1 else None,
    )


def measure_peer(folder: Path, data: Dataset) -> PeerTimings:
    """Start the system before on the tables of *data*, and send it the same requests."""
    report.progress("sending requests to the system before")
    with peer.running_peer(folder, data.data_dir) as api:
        requests = [
            _time(api, request, _load(api, path))
            for request, path in _paths(data).items()
        ]
        peak = peak_bytes(api.pid)
    return PeerTimings(requests, api.ready_seconds, api.idle_bytes, peak)


def _paths(data: Dataset) -> dict[str, str]:
    return {
        HEALTH: "/health",
        ANALYTICS: "/",
        ROOM: f"/room/{data.room_id}/stats",
        DAILY: "/daily-analytics",
    }


def _time_requests(api: RunningApi, data: Dataset) -> Iterator[RequestTiming]:
    unchanged = {**api.headers, "If-None-Match": etag(api)}
    paths = _paths(data)
    yield _time(api, HEALTH, _load(api, paths[HEALTH]))
    yield _time(api, ANALYTICS, _load(api, paths[ANALYTICS]))
    yield _time(api, UNCHANGED, _load(api, "/", headers=unchanged, status=304))
    for request in (ROOM, DAILY):
        for clients in (1, MANY):
            yield _time(api, request, _load(api, paths[request], clients=clients))
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
        f"Ready {measured.ready_seconds:.2f} s after the start, and first answer to "
        f"{ANALYTICS} after {measured.answered_seconds:.2f} s (medians of {STARTS}), with "
        f"{report.megabytes(measured.idle_bytes)} MB of memory; "
        f"{report.megabytes(measured.peak_bytes)} MB at most during all requests."
    )
    if measured.peer:
        yield from _peer_tables(measured, measured.peer)


def _peer_tables(measured: ServingTimings, before: PeerTimings) -> Iterator[str]:
    yield "One client, and the same requests to the system before (PEER_DIR), p50:"
    yield report.markdown(
        ["", "ours", "before", "before ÷ ours"],
        (
            [
                timing.request,
                report.milliseconds(ours := measured.percentile(50, timing.request)),
                report.milliseconds(theirs := timing.latencies.percentile(50)),
                f"{theirs / ours:.1f}",
            ]
            for timing in before.requests
        ),
    )
    yield (
        f"It was ready after {before.ready_seconds:.2f} s with "
        f"{report.megabytes(before.idle_bytes)} MB of memory; "
        f"{report.megabytes(before.peak_bytes)} MB at most."
    )


def check_targets(measured: ServingTimings) -> Iterator[Target]:
    """The targets for one scale."""
    scale = f"at scale {measured.scale:g}"
    if measured.peer:
        yield from _peer_targets(measured, measured.peer)
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


def _peer_targets(measured: ServingTimings, before: PeerTimings) -> Iterator[Target]:
    for timing in before.requests:
        factor = PEER_FACTORS.get(timing.request)
        if factor:
            theirs = timing.latencies.percentile(50)
            ours = measured.percentile(50, timing.request)
            title = f"before ÷ ours, {timing.request}"
            yield targets.at_least(title, theirs / ours, factor, "")
