"""Clients that send batches of events, in a process of their own.

    python -m bench.event_clients '<EventLoad as JSON>'

Each sends its next batch after the answer. Prints one SentEvents as JSON. They speak HTTP
by themselves, so that they take little of the processor that they share with the server.
"""

import socket
import sys
import threading
import time
from datetime import UTC, datetime

from pydantic import BaseModel

from events.ids import new_id

HOST = "127.0.0.1"


class EventLoad(BaseModel):
    """Where to send batches, how large, by how many clients and for how long."""

    port: int
    token: str
    clients: int
    batch: int
    seconds: float


class SentEvents(BaseModel):
    """The number of events, and the seconds from sending each batch to its answer."""

    events: int
    latencies: list[float]
    seconds: float

    @property
    def rate(self) -> float:
        """Events per second."""
        return self.events / self.seconds

    def percentile(self, percent: float) -> float:
        """The latency in seconds that *percent* of all do not exceed."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def body(count: int) -> bytes:
    """*count* events as JSON, each with an id of its own."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    start = time.time_ns() // 1_000
    events = (
        f'{{"event_id":"{new_id(start + number)}","name":"video_heartbeat",'
        f'"user_id":"user-{number % 97}","timestamp":"{now}","app_id":"openstream",'
        f'"properties":{{"video_id":"v{number % 89}","channel_id":"c7","watch_time":10,'
        f'"position_sec":{number / 7},"quality":"1080p"}}}}'
        for number in range(count)
    )
    return f"[{','.join(events)}]".encode()


def request(load: EventLoad, content: bytes) -> bytes:
    """A whole request with *content*."""
    head = (
        f"POST /events HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {load.token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def run(load: EventLoad) -> SentEvents:
    """Generate *load*. Raises RuntimeError if a request fails."""
    latencies: list[float] = []
    failures: list[str] = []
    until = time.perf_counter() + load.seconds
    clients = [
        threading.Thread(target=_client, args=(load, until, latencies, failures))
        for _ in range(load.clients)
    ]
    began = time.perf_counter()
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    if failures:
        raise RuntimeError(failures[0])
    seconds = time.perf_counter() - began
    return SentEvents(
        events=len(latencies) * load.batch, latencies=latencies, seconds=seconds
    )


def _client(
    load: EventLoad, until: float, latencies: list[float], failures: list[str]
) -> None:
    with socket.create_connection((HOST, load.port), timeout=60) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while time.perf_counter() < until:
            message = request(load, body(load.batch))
            began = time.perf_counter()
            connection.sendall(message)
            answer = _answer(connection)
            latencies.append(time.perf_counter() - began)
            if b" 202 " not in answer[:16]:
                failures.append(answer.decode(errors="replace"))
                return


def _answer(connection: socket.socket) -> bytes:
    received = b""
    while True:
        received += connection.recv(65_536)
        head, end, rest = received.partition(b"\r\n\r\n")
        if end and len(rest) >= _length(head):
            return received


def _length(head: bytes) -> int:
    value = head.lower().partition(b"content-length:")[2]
    return int(value.partition(b"\r\n")[0])


if __name__ == "__main__":
    print(run(EventLoad.model_validate_json(sys.argv[1])).model_dump_json())
