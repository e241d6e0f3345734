"""What fails without ending the updater, and what ends it all the same."""

import signal
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import polars as pl
import pytest
from prometheus_client import CollectorRegistry

from config import load
from readmodel.spool.collector_client import CollectorClient
from readmodel.spool.pulled import PulledSpool
from updater import event_intake, following, replication
from updater.collector_pulls import CollectorPull, PullMetrics
from updater.daily_report import DailyReporter
from updater.event_intake import EventIntake
from updater.following import Follower
from updater.guarded import contained
from updater.intake_metrics import IntakeMetrics
from updater.kafka_intake import KafkaIntake, ThreadedCall
from updater.replication import Replication
from util.errors import SpoolError, Stopped
from util.metrics import UpdaterMetrics
from util.sentry_wrapper import Severity
from util.stopping import StopRequest

PANIC = pl.exceptions.PanicException("index out of bounds")


def fail(*_: object, **__: object) -> None:
    """Fail as Polars does where it has a fault."""
    raise PANIC


@pytest.mark.parametrize(
    ("error", "severity"),
    [
        (SpoolError("no folder"), Severity.HIGH),
        (ZeroDivisionError(), Severity.CRITICAL),
        (PANIC, Severity.CRITICAL),
    ],
)
def test_an_error_is_told_and_does_not_leave_the_block(
    error: BaseException, severity: Severity
) -> None:
    """An error of ours is of less severity than a fault of the program."""
    told: list[tuple[BaseException, Severity]] = []
    with contained(lambda *found: told.append(found)):
        raise error
    assert told == [(error, severity)]


@pytest.mark.parametrize(
    "error", [Stopped(signal.SIGTERM), KeyboardInterrupt(), SystemExit(1)]
)
def test_a_request_to_stop_passes(error: BaseException) -> None:
    """It is no failure."""
    with pytest.raises(type(error)), contained(fail):
        raise error


@pytest.mark.parametrize("error", [ZeroDivisionError(), PANIC])
def test_an_error_of_a_thread_is_raised_by_its_result(error: BaseException) -> None:
    """It neither ends the thread with a traceback nor is lost."""
    call = ThreadedCall(Mock(side_effect=error))
    call.wait(10)
    assert not call.is_running
    with pytest.raises(type(error)):
        call.result()


def daily_report_run(data_dir: Path, patch: pytest.MonkeyPatch) -> Callable[[], bool]:
    """A run of reports, the reading of whose figures panics."""
    patch.setattr(DailyReporter, "_send_due", fail)
    settings = load(
        {
            "DATA_DIR": str(data_dir),
            "SOURCE_URL": "sqlite:///unused.db",
            "REPORT_SENDER": "updater",
            "BEA_BASE_URL": "http://unused",
            "BEA_SECRET_KEY": "s3cret",
        }
    )
    return DailyReporter(settings, UpdaterMetrics().daily_reports, StopRequest()).run


def follow_run(data_dir: Path, patch: pytest.MonkeyPatch) -> Callable[[], bool]:
    """A run of a follower whose download panics."""
    patch.setattr(following, "follow", fail)
    settings = load({"DATA_DIR": str(data_dir), "REPLICA_URL": f"file://{data_dir}"})
    return Follower(settings, StopRequest()).run


def upload_run(data_dir: Path, patch: pytest.MonkeyPatch) -> Callable[[], bool]:
    """A run of uploads that panics."""
    patch.setattr(replication, "is_behind", fail)
    settings = load({"DATA_DIR": str(data_dir), "REPLICA_URL": f"file://{data_dir}"})
    return Replication(settings, StopRequest()).run


def drain_run(data_dir: Path, patch: pytest.MonkeyPatch) -> Callable[[], bool]:
    """A drain that panics."""
    patch.setattr(event_intake, "drain_spools", fail)
    metrics = IntakeMetrics(CollectorRegistry())
    return EventIntake(data_dir, None, [], metrics, StopRequest()).run


def kafka_run(data_dir: Path, patch: pytest.MonkeyPatch) -> Callable[[], bool]:
    """A run of Kafka's intake that panics."""
    patch.setattr(KafkaIntake, "_open", fail)
    settings = load(
        {
            "DATA_DIR": str(data_dir),
            "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9",
            "KAFKA_TOPIC": "events",
        }
    )
    metrics = IntakeMetrics(CollectorRegistry())
    return KafkaIntake(settings, metrics, StopRequest()).run


def pull_run(_: Path, patch: pytest.MonkeyPatch) -> Callable[[], bool]:
    """A pull from a collector that panics."""
    spool = PulledSpool(CollectorClient("http://unused", ""), 1)
    patch.setattr(PulledSpool, "pull", fail)
    return CollectorPull(spool, PullMetrics(CollectorRegistry())).run


@pytest.mark.parametrize(
    "prepared",
    [daily_report_run, follow_run, upload_run, drain_run, kafka_run, pull_run],
)
def test_a_panic_ends_no_run(
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    prepared: Callable[[Path, pytest.MonkeyPatch], Callable[[], bool]],
) -> None:
    """A panic of Polars is no Exception; the updater reports it and goes on."""
    data_dir.mkdir(exist_ok=True)
    run = prepared(data_dir, monkeypatch)
    assert not run()
    assert not run()
