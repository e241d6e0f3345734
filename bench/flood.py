"""A flood: a thousand clients request all statistics, while another requests /health.

    python -m bench.flood            1,000 clients for 20 seconds, and one before
    python -m bench.flood 200 5 10   200 clients for 5 seconds, at scale 10
    python -m bench.flood queries    six clients that send SQL, each for 16 MB of rows

Each client keeps its connection and sends its next request after the answer. Prints
answers per second of one client and of all, and the latencies of /health meanwhile.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from bench.api import RunningApi, running_api
from bench.clients import HOST, Latencies
from bench.data import sample_dir

CLIENTS = 1_000
SECONDS = 20.0
SCALE = 1.0

HEALTH_EVERY_SECONDS = 0.05
QUERY_CLIENTS = 6
QUERY_TOKEN = "q" * 40
QUERY = "SELECT repeat(md5(range::VARCHAR), 500) AS t FROM range(1000)"
"""16 MB of JSON."""

RETRY_SECONDS = 0.5
"""Pause after a refused request, as a considerate client makes one."""


@dataclass
class FloodTimings:
    """Answers by status, and the latencies of those with 200."""

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)

    def per_second(self, seconds: float) -> float:
        """Good answers per second."""
        return self.statuses[200] / seconds


async def _answer(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes
) -> int:
    """Send *request*; return the status after the last byte of the answer."""
    writer.write(request)
    await writer.drain()
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if b"content-length: " in head:
        length = int(head.partition(b"content-length: ")[2].split(b"\r", 1)[0])
        await reader.readexactly(length)
    return int(head[9:12])


async def _client(
    api: RunningApi, request: bytes, until: float, found: FloodTimings, pause: float
) -> None:
    while time.perf_counter() < until:
        try:
            reader, writer = await asyncio.open_connection(HOST, api.port)
        except OSError:
            found.statuses[0] += 1
            await asyncio.sleep(RETRY_SECONDS)
            continue
        try:
            while time.perf_counter() < until:
                began = time.perf_counter()
                status = await _answer(reader, writer, request)
                found.statuses[status] += 1
                if status == 200:
                    found.seconds.append(time.perf_counter() - began)
                await asyncio.sleep(pause if status == 200 else RETRY_SECONDS)
        except (OSError, EOFError, asyncio.IncompleteReadError):
            found.statuses[0] += 1
        finally:
            writer.close()


def _request(path: str, headers: Mapping[str, str]) -> bytes:
    lines = (f"GET {path} HTTP/1.1", f"Host: {HOST}", "Accept-Encoding: gzip")
    sent = (*lines, *(f"{name}: {value}" for name, value in headers.items()))
    return "\r\n".join((*sent, "", "")).encode()


def _query_request() -> bytes:
    body = json.dumps({"sql": QUERY}).encode()
    head = (
        f"POST /query HTTP/1.1\r\nHost: {HOST}\r\nX-API-Key: {QUERY_TOKEN}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _queries(
    api: RunningApi, clients: int, seconds: float
) -> tuple[FloodTimings, FloodTimings]:
    """What *clients* got that send SQL, and what /health did meanwhile."""
    queries, health = FloodTimings(), FloodTimings()
    until = time.perf_counter() + seconds
    await asyncio.gather(
        *(_client(api, _query_request(), until, queries, 0) for _ in range(clients)),
        _client(api, _request("/health", {}), until, health, HEALTH_EVERY_SECONDS),
    )
    return queries, health


def query_load(clients: int = QUERY_CLIENTS, seconds: float = SECONDS) -> None:
    """Send queries for 16 MB each, and print what came of it."""
    settings = {"SQL_TOKENS": QUERY_TOKEN, "SQL_SECONDS": "30"}
    with running_api(sample_dir(SCALE), "bench.server:app", settings) as api:
        for count in (0, clients):
            queries, health = asyncio.run(_queries(api, count, seconds))
            print(_describe(f"{count} clients, POST /query", queries, seconds))
            print(_describe("GET /health meanwhile", health, seconds))


async def _flood(
    api: RunningApi, clients: int, seconds: float
) -> tuple[FloodTimings, FloodTimings]:
    """What *clients* got that request all statistics, and what /health did meanwhile."""
    statistics, health = FloodTimings(), FloodTimings()
    until = time.perf_counter() + seconds
    question, probe = _request("/", api.headers), _request("/health", {})
    await asyncio.gather(
        *(_client(api, question, until, statistics, 0) for _ in range(clients)),
        _client(api, probe, until, health, HEALTH_EVERY_SECONDS),
    )
    return statistics, health


def _describe(name: str, found: FloodTimings, seconds: float) -> str:
    latencies = Latencies(seconds=found.seconds or [seconds])
    return (
        f"{name}: {found.per_second(seconds):.1f} answers/s, "
        f"p50 {latencies.percentile(50) * 1000:.0f} ms, "
        f"p95 {latencies.percentile(95) * 1000:.0f} ms; by status {dict(found.statuses)}"
    )


def main(
    clients: int = CLIENTS, seconds: float = SECONDS, scale: float = SCALE
) -> None:
    """Run the flood, and print what came of it."""
    with running_api(sample_dir(scale), "bench.server:app") as api:
        alone, quiet = asyncio.run(_flood(api, 1, seconds / 2))
        print(_describe("1 client, GET /", alone, seconds / 2))
        print(_describe("GET /health meanwhile", quiet, seconds / 2))
        many, busy = asyncio.run(_flood(api, clients, seconds))
        print(_describe(f"{clients:,} clients, GET /", many, seconds))
        print(_describe("GET /health meanwhile", busy, seconds))
        goodput = many.per_second(seconds) / alone.per_second(seconds / 2)
        print(f"goodput {goodput:.0%} of one client's")


if __name__ == "__main__":
    if sys.argv[1:] == ["queries"]:
        query_load()
        sys.exit()
    given = [float(argument) for argument in sys.argv[1:]]
    main(int(given[0]) if given else CLIENTS, *given[1:])
