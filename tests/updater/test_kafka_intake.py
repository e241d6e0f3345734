"""Events from Kafka, from a real broker: each message once, whatever fails."""

import json
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from config import Settings
from readmodel.store import snapshot
from readmodel.stream import topic_reader
from readmodel.sync.drain import drain
from readmodel.sync.lock import exclusive_lock
from readmodel.sync.stream_drain import consumed_in, forget_positions
from tests.support import preloaded
from tests.support.events import line, write_spool
from tests.support.kafka import Broker, Network, broker_process
from tests.support.programs import (
    ROOT,
    environ,
    freeze,
    repeating_updater,
    run_updater,
)
from tests.support.servers import closed_port
from tests.support.storage import Bucket
from updater.intake_metrics import IntakeMetrics
from updater.kafka_intake import KafkaIntake
from util.stopping import StopRequest

pytestmark = pytest.mark.external

FAILURES = "fpp_kafka_failures_total"


@pytest.fixture
def registry() -> CollectorRegistry:
    """A registry of metrics."""
    return CollectorRegistry()


@pytest.fixture
def requesting(monkeypatch: pytest.MonkeyPatch) -> list[threading.Thread]:
    """The threads that have asked a broker something, and may have waited for it."""
    threads: list[threading.Thread] = []

    def record(ask: Callable[..., Any]) -> Callable[..., Any]:
        def recorded(*arguments: object) -> object:
            threads.append(threading.current_thread())
            return ask(*arguments)

        return recorded

    for name in ("_request", "_watermarks"):
        asking = getattr(topic_reader.TopicReader, name)
        monkeypatch.setattr(topic_reader.TopicReader, name, record(asking))
    return threads


type StartIntake = Callable[..., KafkaIntake]


@pytest.fixture
def intake_of() -> Iterator[StartIntake]:
    """Makes intakes, each as a new process has one."""
    started: list[KafkaIntake] = []

    def start(
        settings: Settings, registry: CollectorRegistry | None = None
    ) -> KafkaIntake:
        metrics = IntakeMetrics(registry or CollectorRegistry())
        started.append(KafkaIntake(settings, metrics, StopRequest()))
        return started[-1]

    yield start
    for intake in started:
        intake.close()


def start_updater(settings: dict[str, str]) -> "subprocess.Popen[bytes]":
    """Start an updater that takes events all the time."""
    return preloaded.start(
        [str(ROOT / "update_readmodel.py"), "--every", "600"],
        env=environ(settings),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def events(*names: str) -> list[dict[str, str]]:
    """An event with the id and the name of each of *names*."""
    return [{"id": name, "name": name} for name in names]


def stored(
    data_dir: Path, column: str = "event_id", table: str = "events"
) -> list[str]:
    """A column of the current snapshot, sorted."""
    return sorted(snapshot.latest(data_dir).scan(table).collect()[column].to_list())


def run_until(intake: KafkaIntake, is_done: Callable[[], bool]) -> None:
    """Let *intake* work until something is so."""
    until = time.monotonic() + 30
    while not is_done():
        assert time.monotonic() < until
        intake.wait(0.05)
        intake.run()


def run_until_buffered(intake: KafkaIntake) -> None:
    """Let *intake* read messages, but store none."""
    until = time.monotonic() + 30
    while not intake._pending:
        assert time.monotonic() < until
        intake.wait(0.05)
        intake._guarded(intake._open)


def position(data_dir: Path) -> dict[int, int]:
    """The recorded offsets by partition."""
    (topic,) = consumed_in(data_dir).kafka.values()
    return {number: at.offset for number, at in topic.partitions.items()}


def test_every_message_is_stored_once(
    kafka: Broker, data_dir: Path, intake_of: StartIntake
) -> None:
    """Rows and offsets are in the same snapshot, and the next run reads on."""
    topic = kafka.create(2)
    settings = kafka.settings(topic, data_dir)
    kafka.send(topic, events("a", "b"), 0)
    kafka.send(topic, events("c", "a"), 1)
    assert intake_of(settings).run_to_end()
    assert stored(data_dir) == ["a", "b", "c"]
    assert position(data_dir) == {0: 2, 1: 2}
    kafka.send(topic, events("d"), 1)
    assert intake_of(settings).run_to_end()
    assert stored(data_dir) == ["a", "b", "c", "d"]
    assert position(data_dir) == {0: 2, 1: 3}


def test_an_event_has_the_place_of_its_message(
    kafka: Broker, data_dir: Path, intake_of: StartIntake
) -> None:
    """Its batch; and the message's time, if it states none itself."""
    topic = kafka.create()
    moment = time.time_ns() // 1_000_000 - 60_000
    kafka.send(topic, [{"name": "x", "user_id": 5, "a": 1}], timestamp=moment)
    assert intake_of(kafka.settings(topic, data_dir)).run_to_end()
    (row,) = snapshot.latest(data_dir).scan("events").collect().to_dicts()
    assert row["batch"] == f"{topic}[0]@0"
    assert row["sender"] == f"kafka:{topic}"
    assert row["at"].timestamp() * 1000 == pytest.approx(moment)
    assert row["received_at"] > row["at"]
    assert (row["user_id"], row["properties"]) == ("5", '{"a":1}')
    assert row["event_id"][14] == "7"


def test_what_is_no_event_becomes_a_dead_letter(
    kafka: Broker, data_dir: Path, intake_of: StartIntake
) -> None:
    """With its place; the messages behind it are stored."""
    topic = kafka.create()
    values = [b"\xff{", {"id": "nameless"}, [1], b"", *events("good")]
    kafka.send(topic, values)
    assert intake_of(kafka.settings(topic, data_dir)).run_to_end()
    assert stored(data_dir) == ["good"]
    letters = snapshot.latest(data_dir).scan("events_rejected").collect().sort("batch")
    assert letters.select("code", "batch").rows() == [
        ("unreadable", f"{topic}[0]@0"),
        ("name", f"{topic}[0]@1"),
        ("not_an_object", f"{topic}[0]@2"),
        ("unreadable", f"{topic}[0]@3"),
    ]
    assert letters["message"][0] == f"the message {topic}[0]@0 is not JSON"
    assert letters["raw"][0] == "\ufffd{"


def test_a_small_batch_waits_for_the_interval(
    kafka: Broker, data_dir: Path, intake_of: StartIntake
) -> None:
    """A whole one does not."""
    topic = kafka.create()
    intake = intake_of(kafka.settings(topic, data_dir, BATCH_SIZE="3"))
    run_until(intake, lambda: bool(consumed_in(data_dir).kafka))
    kafka.send(topic, events("a", "b"))
    began = time.monotonic()
    intake.wait(1.2)
    assert time.monotonic() - began >= 1.2
    kafka.send(topic, events("c"))
    intake.wait(60)
    assert intake.run()
    assert stored(data_dir) == ["a", "b", "c"]


def test_two_updaters_store_every_message_once(
    kafka: Broker, data_dir: Path, intake_of: StartIntake
) -> None:
    """One that finds the position moved reads again from there."""
    topic = kafka.create()
    settings = kafka.settings(topic, data_dir)
    first, second = intake_of(settings), intake_of(settings)
    kafka.send(topic, [{"name": f"n{number}"} for number in range(5)])
    run_until_buffered(first)
    run_until_buffered(second)
    assert first.run()
    assert second.run()
    kafka.send(topic, [{"name": f"n{number}"} for number in range(5, 9)])
    run_until(second, lambda: len(stored(data_dir)) == 9)
    assert stored(data_dir, "name") == [f"n{number}" for number in range(9)]


def test_a_busy_data_dir_loses_nothing(
    kafka: Broker, data_dir: Path, intake_of: StartIntake
) -> None:
    """What was read is stored after the sync that runs meanwhile."""
    topic = kafka.create()
    kafka.send(topic, events("a"))
    intake = intake_of(kafka.settings(topic, data_dir, BATCH_SIZE="1"))
    with exclusive_lock(data_dir):
        run_until_buffered(intake)
        assert intake.run()
        began = time.monotonic()
        intake.wait(0.4)
        assert time.monotonic() - began >= 0.4  # it does not try all the time
    run_until(intake, lambda: bool(consumed_in(data_dir).kafka))
    assert stored(data_dir) == ["a"]


def test_a_topic_that_was_created_again_stops_it(
    kafka: Broker, data_dir: Path, intake_of: StartIntake
) -> None:
    """One sentence says what to do, and that is enough."""
    topic = kafka.create()
    settings = kafka.settings(topic, data_dir)
    kafka.send(topic, events("a", "b"))
    first = intake_of(settings)
    assert first.run_to_end()
    first.close()
    kafka.delete(topic)
    kafka.create(topic=topic)
    kafka.send(topic, events("b", "c", "d"))
    stopped = intake_of(settings)
    assert not stopped.run_to_end()
    assert "was created again since it was read" in str(stopped._faults.last)
    assert "update_readmodel.py kafka --restart" in str(stopped._faults.last)
    assert stored(data_dir) == ["a", "b"]
    assert run_updater(kafka.environ(topic, data_dir), "kafka", "--restart").stdout
    assert intake_of(settings).run_to_end()
    assert stored(data_dir) == ["a", "b", "c", "d"]


def test_a_running_updater_does_not_undo_a_restart(
    kafka: Broker, data_dir: Path, intake_of: StartIntake
) -> None:
    """It reads everything again, and recognises what is stored."""
    topic = kafka.create()
    intake = intake_of(kafka.settings(topic, data_dir))
    kafka.send(topic, [{"name": "without an id"}])
    run_until(intake, lambda: bool(consumed_in(data_dir).kafka))
    assert forget_positions(data_dir, topic, datetime.now(UTC))
    kafka.send(topic, [{"name": "second"}])
    run_until(intake, lambda: bool(consumed_in(data_dir).kafka))
    run_until(intake, lambda: len(stored(data_dir)) == 2)
    assert position(data_dir) == {0: 2}


def test_a_broker_that_is_away_holds_up_nothing(
    data_dir: Path,
    tmp_path: Path,
    registry: CollectorRegistry,
    intake_of: StartIntake,
    requesting: list[threading.Thread],
) -> None:
    """No call waits for it, but a thread; when it is back, it goes on."""
    network = Network()
    with broker_process(advertised=network.address) as broker:
        network.target = ("127.0.0.1", int(broker.address.partition(":")[2]))
        network.restore()
        reached = Broker(network.address)
        topic = reached.create()
        reached.send(topic, events("a"))
        intake = intake_of(reached.settings(topic, data_dir), registry)
        run_until(intake, lambda: bool(consumed_in(data_dir).kafka))
        network.cut()
        run_until(intake, lambda: registry.get_sample_value(FAILURES) == 1)
        write_spool(tmp_path / "spool", [line("spooled")])
        requesting.clear()
        assert not intake.run()
        assert threading.current_thread() not in requesting
        assert drain(data_dir, tmp_path / "spool").accepted == 1
        network.restore()
        reached.send(topic, events("b"))
        run_until(intake, lambda: "b" in stored(data_dir))
        assert stored(data_dir) == ["a", "b", "spooled"]
        assert intake.run()
        assert registry.get_sample_value("fpp_kafka_up") == 1
        network.cut()


def test_a_broker_that_dies_and_comes_back_with_its_data_is_read_on(
    bucket: Bucket, data_dir: Path, intake_of: StartIntake
) -> None:
    """From the offsets of the manifest, by the same updater and by a new one."""
    port = closed_port()
    with broker_process(port, bucket=bucket) as broker:
        topic = broker.create(2)
        settings = broker.settings(topic, data_dir)
        broker.send(topic, events("a", "b"), 0)
        broker.send(topic, events("c"), 1)
        running = intake_of(settings)
        run_until(running, lambda: running._recorded is not None)
        run_until(running, lambda: position(data_dir) == {0: 2, 1: 1})
        known = consumed_in(data_dir).kafka
        broker.send(topic, events("unread"), 1)
    with broker_process(port, bucket=bucket) as broker:
        broker.send(topic, events("d", "a"), 0)
        run_until(running, lambda: position(data_dir) == {0: 4, 1: 2})
    with broker_process(port, bucket=bucket) as broker:
        broker.send(topic, events("e"), 0)
        assert intake_of(settings).run_to_end()
    assert stored(data_dir) == ["a", "b", "c", "d", "e", "unread"]
    assert stored(data_dir, "event_id", "events_rejected") == []
    assert position(data_dir) == {0: 5, 1: 2}
    assert consumed_in(data_dir).kafka.keys() == known.keys()


def test_a_frozen_broker_is_waited_for_once(
    data_dir: Path,
    intake_of: StartIntake,
    monkeypatch: pytest.MonkeyPatch,
    requesting: list[threading.Thread],
) -> None:
    """For the seconds of one request; what was read is read again and stored once."""
    monkeypatch.setattr(topic_reader, "REQUEST_SECONDS", 0.5)
    with broker_process() as broker:
        assert broker.process
        topic = broker.create()
        broker.send(topic, events("a"))
        intake = intake_of(broker.settings(topic, data_dir))
        run_until(intake, lambda: bool(consumed_in(data_dir).kafka))
        broker.send(topic, events("b"))
        run_until_buffered(intake)
        freeze(broker.process.pid)
        requesting.clear()
        assert not intake.run()
        assert threading.current_thread() in requesting
        requesting.clear()
        assert [intake.run() for _ in range(3)] == [False] * 3
        assert threading.current_thread() not in requesting
        broker.process.send_signal(signal.SIGCONT)
        run_until(intake, lambda: stored(data_dir) == ["a", "b"])


def test_the_lag_is_a_metric(
    kafka: Broker, data_dir: Path, registry: CollectorRegistry, intake_of: StartIntake
) -> None:
    """0 once everything is stored."""
    topic = kafka.create()
    kafka.send(topic, events("a"))
    assert intake_of(kafka.settings(topic, data_dir), registry).run_to_end()
    value = registry.get_sample_value("fpp_kafka_lag_messages", {"partition": "0"})
    assert value == 0
    assert registry.get_sample_value("fpp_events_stored_total") == 1


def test_an_unknown_topic_is_one_sentence(
    kafka: Broker, data_dir: Path, intake_of: StartIntake
) -> None:
    """It names the setting."""
    intake = intake_of(kafka.settings("missing", data_dir))
    assert not intake.run_to_end()
    assert "topic missing does not exist" in str(intake._faults.last)


def test_the_program_reads_kafka_while_the_database_is_down(
    kafka: Broker, data_dir: Path
) -> None:
    """Once or repeatedly."""
    topic = kafka.create()
    kafka.send(topic, events("a"))
    settings = kafka.environ(topic, data_dir) | {"TABLES": "orders:id"}
    broken = settings | {"SOURCE_URL": "sqlite:////missing.db"}
    assert run_updater(broken).returncode == 1
    assert stored(data_dir) == ["a"]
    with repeating_updater(broken | {"FLUSH_INTERVAL": "0.1"}, 600):
        kafka.send(topic, events("b"))
        until = time.monotonic() + 60
        while stored(data_dir) != ["a", "b"]:
            assert time.monotonic() < until
            time.sleep(0.02)


def test_status_doctor_and_kafka_show_the_lag(
    kafka: Broker, data_dir: Path, tmp_path: Path, intake_of: StartIntake
) -> None:
    """As the broker says, and whether the topic and the spool can be read."""
    topic = kafka.create()
    kafka.send(topic, events("a"))
    settings = kafka.environ(topic, data_dir)
    spool = {"SPOOL_DIR": str(tmp_path / "spool")}
    assert (
        "1 messages to read in 1 partitions" in run_updater(settings, "status").stdout
    )
    examined = run_updater(settings | spool, "doctor").stdout
    assert f"✓ Kafka        {topic} can be read, 1 messages to go" in examined
    assert "! SPOOL_DIR" in examined
    assert intake_of(kafka.settings(topic, data_dir)).run_to_end()
    shown = json.loads(run_updater(settings, "status", "--json").stdout)["kafka"]
    assert shown == {"topic": topic, "lag": {"0": 0}, "error": None}
    lines = run_updater(settings, "kafka").stdout.splitlines()
    assert lines == [
        f"{topic} of Kafka: 0 messages to read in 1 partitions",
        f"  tansu_cluster/{topic} partition 0: read up to offset 1",
    ]


def test_an_updater_that_is_killed_again_and_again_stores_every_message_once(
    kafka: Broker, data_dir: Path, intake_of: StartIntake
) -> None:
    """While messages arrive, and two of them read the topic."""
    topic = kafka.create(2)
    settings = kafka.environ(topic, data_dir) | {
        "FLUSH_INTERVAL": "0.05",
        "EVENTS_INTERVAL_SECONDS": "0.05",
    }
    chance = random.Random(1)
    sent: list[str] = []
    updaters = [start_updater(settings) for _ in range(2)]
    until = time.monotonic() + 60
    while not (data_dir / "current").exists():
        assert time.monotonic() < until
        time.sleep(0.02)
    for kill in range(3):
        for partition in (0, 1):
            names = [f"{kill}-{partition}-{number}" for number in range(40)]
            # Some have no id of their own, and some are sent twice.
            kafka.send(topic, events(*names[:20], *names[:5]), partition)
            kafka.send(topic, [{"name": name} for name in names[20:]], partition)
            sent += names
        time.sleep(chance.uniform(0.1, 0.6))
        updaters[kill % 2].kill()
        updaters[kill % 2].wait()
        updaters[kill % 2] = start_updater(settings)
    for updater in updaters:
        updater.kill()
        updater.wait()
    assert intake_of(kafka.settings(topic, data_dir)).run_to_end()
    assert stored(data_dir, "name") == sorted(sent)
    assert position(data_dir) == {0: 135, 1: 135}
