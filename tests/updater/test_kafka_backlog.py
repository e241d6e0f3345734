"""A backlog of Kafka, judged by several processes: each message once, whatever fails."""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import polars as pl
import psutil
import pytest
from prometheus_client import CollectorRegistry

from config import Settings
from readmodel.store import snapshot
from readmodel.sync.lock import exclusive_lock
from readmodel.sync.stream_drain import consumed_in
from readmodel.sync.verify_audit import verify_audit
from tests.support import preloaded
from tests.support.kafka import Broker
from tests.support.programs import ROOT, environ
from updater import judge_pool, message_chunks, message_judging
from updater.intake_metrics import IntakeMetrics
from updater.kafka_intake import KafkaIntake
from util.stopping import StopRequest

pytestmark = pytest.mark.external

MESSAGES = 300
BOUNDS = (
    *((message_chunks, "CHUNK_MESSAGES", 10), (message_judging, "CHUNK_MESSAGES", 10)),
    *((message_chunks, "MAX_MESSAGES", 40), (message_chunks, "AHEAD_MESSAGES", 30)),
    (message_judging, "BACKLOG_MESSAGES", 50),
)


@pytest.fixture(autouse=True)
def small_bounds(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A hundred messages are a backlog; two processes, whatever processors there are."""
    for module, name, value in BOUNDS:
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(message_judging, "process_count", lambda: 2)
    with preloaded.used_by(judge_pool):
        yield


def contents() -> list[object]:
    """Good events, repeated ones, conflicts, events without an id, and dead letters."""
    found: list[object] = []
    for number in range(MESSAGES // 6):
        event = {"id": f"e{number}", "name": "x", "user_id": f"u{number}"}
        found += [event, {"name": f"n{number}"}, b"{", {"id": f"nameless{number}"}]
        found += [event, {**event, "name": "other"}]
    return found


@pytest.fixture(scope="module")
def topic(kafka: Broker) -> str:
    """A topic with MESSAGES in two partitions; tests only read it."""
    name = kafka.create(2)
    for partition in range(2):
        kafka.send(name, contents()[partition::2], partition)
    return name


def intake_of(settings: Settings) -> KafkaIntake:
    """An intake as a new process has it."""
    return KafkaIntake(settings, IntakeMetrics(CollectorRegistry()), StopRequest())


def stored(data_dir: Path, table: str) -> pl.DataFrame:
    """The rows of the current snapshot by their ids, without the instant of arrival."""
    rows = snapshot.latest(data_dir).scan(table).collect().drop("received_at")
    return rows.sort(rows.columns[0])


@pytest.fixture(scope="module")
def judged_alone(
    kafka: Broker, topic: str, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A read model with all messages, which no other process has judged."""
    data_dir = tmp_path_factory.mktemp("alone")
    with closing(intake_of(kafka.settings(topic, data_dir))) as intake:
        assert intake.run_to_end()
    return data_dir


def require_all(data_dir: Path, judged_alone: Path) -> None:
    """Assert that all messages are stored once, and recorded in the audit log."""
    accepted = stored(data_dir, "events")
    assert accepted.height == MESSAGES // 3
    # Which of two events with one id comes first depends on the partitions' order.
    ids = accepted["event_id"].to_list()
    assert ids == stored(judged_alone, "events")["event_id"].to_list()
    codes = stored(data_dir, "events_rejected")["code"].value_counts().sort("code")
    expected = stored(judged_alone, "events_rejected")["code"].value_counts()
    assert codes.equals(expected.sort("code"))
    (position,) = consumed_in(data_dir).kafka.values()
    ends = {number: at.offset for number, at in position.partitions.items()}
    assert ends == {0: MESSAGES // 2, 1: MESSAGES // 2}
    (audit,) = verify_audit(data_dir)
    assert not audit.differences


def run_until_stored(intake: KafkaIntake, data_dir: Path) -> None:
    """Let *intake* work as between two syncs, until all messages are stored."""
    until = time.monotonic() + 60
    while True:
        intake.wait(0.05)
        intake.run()
        if positions := list(consumed_in(data_dir).kafka.values()):
            read = sum(at.offset for at in positions[0].partitions.values())
            if read == MESSAGES:
                return
        assert time.monotonic() < until


@pytest.mark.parametrize("is_repeating", [False, True])
def test_a_backlog_is_stored_as_without_other_processes(
    kafka: Broker, topic: str, data_dir: Path, judged_alone: Path, is_repeating: bool
) -> None:
    """By a run that ends, and between syncs."""
    with closing(intake_of(kafka.settings(topic, data_dir))) as intake:
        if is_repeating:
            run_until_stored(intake, data_dir)
        else:
            assert intake.run_to_end()
        assert intake._judging._pool
    require_all(data_dir, judged_alone)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_processes_that_are_killed_or_stopped_lose_nothing(
    kafka: Broker,
    topic: str,
    data_dir: Path,
    judged_alone: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    number: signal.Signals,
) -> None:
    """Their messages are judged by the updater; the log says so."""
    monkeypatch.setattr(judge_pool, "ANSWER_SECONDS", 0.5)
    submit = judge_pool.JudgePool.submit

    def strike(pool: judge_pool.JudgePool, asked: object) -> object:
        answer = submit(pool, asked)  # type: ignore[arg-type]
        for pid in pool.pids:
            os.kill(pid, number)
        return answer

    monkeypatch.setattr(judge_pool.JudgePool, "submit", strike)
    with (
        caplog.at_level(logging.WARNING, logger="fpp"),
        closing(intake_of(kafka.settings(topic, data_dir))) as intake,
    ):
        assert intake.run_to_end()
    assert "they are judged by the updater itself" in caplog.text
    require_all(data_dir, judged_alone)


def test_a_busy_data_dir_loses_no_verdict(
    kafka: Broker, topic: str, data_dir: Path, judged_alone: Path
) -> None:
    """What other processes have judged is stored after the sync that runs meanwhile."""
    with closing(intake_of(kafka.settings(topic, data_dir))) as intake:
        with exclusive_lock(data_dir):
            until = time.monotonic() + 30
            while not any(chunk.answer for chunk in intake._pending.chunks):
                assert time.monotonic() < until
                intake.wait(0.05)
            assert intake.run()
        run_until_stored(intake, data_dir)
    require_all(data_dir, judged_alone)


def test_two_updaters_store_a_backlog_once(
    kafka: Broker, topic: str, data_dir: Path, judged_alone: Path
) -> None:
    """One that finds the position moved forgets what it has read and judged."""
    settings = kafka.settings(topic, data_dir)
    with closing(intake_of(settings)) as first, closing(intake_of(settings)) as second:
        for _ in range(5):
            for intake in (first, second):
                intake.wait(0.05)
                intake.run()
        run_until_stored(second, data_dir)
    require_all(data_dir, judged_alone)


def test_a_stopped_updater_leaves_no_process_behind(
    kafka: Broker, topic: str, data_dir: Path, judged_alone: Path
) -> None:
    """Also while it waits for processes that hang; the next one stores everything."""
    bounds = "\n".join(
        f"import {module.__name__} as m; m.{name} = {value}"
        for module, name, value in BOUNDS
    )
    hanging = (sys.executable, "-c", "import time; time.sleep(1000)")
    text = (
        f"{bounds}\nm.process_count = lambda: 2\nimport updater.judge_pool as p\n"
        f"p._COMMAND = {hanging!r}\nimport runpy\nimport sys\n"
        "sys.argv = ['update_readmodel.py', '--every', '600']\n"
        "runpy.run_path('update_readmodel.py', run_name='__main__')"
    )
    updater = subprocess.Popen(
        [sys.executable, "-c", text],
        cwd=ROOT,
        env=environ(kafka.environ(topic, data_dir)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until = time.monotonic() + 60
        while len(children := psutil.Process(updater.pid).children()) < 2:
            assert time.monotonic() < until
            time.sleep(0.02)
        updater.terminate()
        assert updater.wait(20) == 0
        assert psutil.wait_procs(children, 10)[1] == []
    finally:
        updater.kill()
        updater.wait()
    with closing(intake_of(kafka.settings(topic, data_dir))) as intake:
        assert intake.run_to_end()
    require_all(data_dir, judged_alone)
