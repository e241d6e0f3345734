"""Clients in a process of their own: each sends its next request after the answer.

    python -m bench.clients '<Load as JSON>'

Prints one Latencies as JSON. Sends requests to the loopback interface only, and stops
after the given time or number of requests.
"""

import http.client
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from math import ceil

from pydantic import BaseModel

from bench.data import PROJECT

HOST = "127.0.0.1"
TIMEOUT_SECONDS = 300
FEWEST_REQUESTS = 3


class Load(BaseModel):
    """The request, the number of clients, and how long they send it."""

    port: int
    path: str
    headers: dict[str, str] = {}
    status: int = 200
    clients: int = 1
    seconds: float = 3
    most_requests: int = 500
    """Per client."""
    pause_seconds: float = 0
    """Between an answer and the next request."""


class Latencies(BaseModel):
    """Seconds from sending each request to receiving its complete answer."""

    seconds: list[float]

    def percentile(self, percent: float) -> float:
        """The smallest latency that *percent* of all latencies do not exceed."""
        rank = ceil(len(self.seconds) * percent / 100)
        return sorted(self.seconds)[max(rank, 1) - 1]


class ClientProcess:
    """A started process with clients."""

    def __init__(self, load: Load) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.clients", load.model_dump_json()],
            cwd=PROJECT,
            stdout=subprocess.PIPE,
            text=True,
        )

    def latencies(self) -> Latencies:
        """Wait for the process. Raises CalledProcessError if a request failed."""
        output, _ = self._process.communicate()
        if self._process.returncode:
            raise subprocess.CalledProcessError(
                self._process.returncode, self._process.args
            )
        return Latencies.model_validate_json(output)


def run(load: Load) -> Latencies:
    """Generate *load*. Raises OSError or RuntimeError if a request fails."""
    with ThreadPoolExecutor(load.clients) as pool:
        clients = [pool.submit(list, _client(load)) for _ in range(load.clients)]
        return Latencies(seconds=[s for client in clients for s in client.result()])


def _client(load: Load) -> Iterator[float]:
    until = time.perf_counter() + load.seconds
    with closing(
        http.client.HTTPConnection(HOST, load.port, timeout=TIMEOUT_SECONDS)
    ) as connection:
        for number in range(load.most_requests):
            if number >= FEWEST_REQUESTS and time.perf_counter() > until:
                break
            yield _request(connection, load)
            time.sleep(load.pause_seconds)


def _request(connection: http.client.HTTPConnection, load: Load) -> float:
    began = time.perf_counter()
    connection.request("GET", load.path, headers=load.headers)
    response = connection.getresponse()
    response.read()
    took = time.perf_counter() - began
    if response.status != load.status:
        raise RuntimeError(f"GET {load.path} answered {response.status}")
    return took


if __name__ == "__main__":
    print(run(Load.model_validate_json(sys.argv[1])).model_dump_json())
