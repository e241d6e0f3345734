"""Drains of the updater: reported once, independent of the syncs, between them."""

import logging
import time
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from events.spool_files import list_files
from readmodel.store import snapshot
from tests.support.events import line, rejected_line, write_spool
from tests.support.programs import repeating_updater, run_updater
from updater.event_intake import EventIntake
from updater.event_intakes import run_repeatedly
from updater.intake_metrics import IntakeMetrics
from util.errors import SettingsError
from util.stopping import StopRequest


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """A folder that does not exist yet."""
    return tmp_path / "spool"


@pytest.fixture
def registry() -> CollectorRegistry:
    """A registry of metrics."""
    return CollectorRegistry()


@pytest.fixture
def intake(data_dir: Path, spool: Path, registry: CollectorRegistry) -> EventIntake:
    """An intake without mirrored tables."""
    return EventIntake(data_dir, spool, [], IntakeMetrics(registry), StopRequest())


def test_a_drain_is_logged_and_counted(
    intake: EventIntake,
    spool: Path,
    registry: CollectorRegistry,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A drain without events logs nothing."""
    write_spool(spool, [line("e1"), line("e1"), line("e2"), rejected_line("r1")])
    with caplog.at_level(logging.INFO, logger="fpp"):
        assert intake.run()
        assert intake.run()
    (logged,) = [r.getMessage() for r in caplog.records if r.name == "fpp.events"]
    assert logged.startswith("Took 2 events from 1 files, 1 repeated, 1 rejected")
    assert registry.get_sample_value("fpp_events_stored_total") == 2
    assert registry.get_sample_value("fpp_events_repeated_total") == 1
    dead = registry.get_sample_value("fpp_events_dead_letters_total", {"code": "name"})
    assert dead == 1
    assert registry.get_sample_value("fpp_events_last_drain_timestamp_seconds")


def test_a_failure_is_reported_once_until_it_ends(
    data_dir: Path,
    intake: EventIntake,
    spool: Path,
    registry: CollectorRegistry,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It would be repeated every few seconds."""
    write_spool(spool, [line("e1")])
    data_dir.touch()
    with caplog.at_level(logging.INFO, logger="fpp"):
        assert [intake.run() for _ in range(3)] == [False] * 3
        data_dir.unlink()
        assert intake.run()
    levels = [r.levelname for r in caplog.records if r.name == "fpp.events"]
    assert levels == ["ERROR", "INFO", "INFO"]
    assert registry.get_sample_value("fpp_event_drains_failed_total") == 3


def test_a_mirrored_table_cannot_have_the_name_of_ours(
    data_dir: Path, spool: Path, registry: CollectorRegistry
) -> None:
    """The settings are wrong then, and the updater does not start."""
    with pytest.raises(SettingsError, match="SYNC_TABLES mirrors events"):
        EventIntake(data_dir, spool, ["events"], IntakeMetrics(registry), StopRequest())


def test_the_spool_is_drained_before_and_between_syncs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every few seconds; without a spool nothing happens between syncs."""
    steps: list[str] = []
    clock = 0.0

    def sleep(seconds: float) -> None:
        nonlocal clock
        clock += seconds
        steps.append(f"{seconds:g}")

    monkeypatch.setattr(time, "monotonic", lambda: clock)
    run_repeatedly(lambda: steps.append("drain"), 12, 5, sleep)
    assert steps == ["drain", "5", "drain", "5", "drain", "2", "drain"]


@pytest.mark.external
def test_one_run_takes_events_and_syncs(settings: dict[str, str], spool: Path) -> None:
    """If the database is down, the events are taken all the same, and it fails."""
    write_spool(spool, [line("e1")])
    with_spool = settings | {"SPOOL_DIR": str(spool)}
    assert run_updater(with_spool).returncode == 0
    found = snapshot.current(Path(settings["DATA_DIR"]))
    assert found.scan("events").collect().height == 1
    write_spool(spool, [line("e2")], 2)
    broken = with_spool | {"SOURCE_URL": "sqlite:////missing.db"}
    assert run_updater(broken).returncode == 1
    found = snapshot.current(Path(settings["DATA_DIR"]))
    assert found.scan("events").collect().height == 2


@pytest.mark.external
def test_events_are_visible_seconds_later(
    settings: dict[str, str], spool: Path
) -> None:
    """Long before the next sync."""
    timing = {"SPOOL_DIR": str(spool), "EVENTS_INTERVAL_SECONDS": "0.1"}
    data_dir = Path(settings["DATA_DIR"])
    with repeating_updater(settings | timing, 600):
        until = time.monotonic() + 60
        while not (data_dir / "fpp_votes.parquet").exists():
            assert time.monotonic() < until
            time.sleep(0.05)
        write_spool(spool, [line("e1")])
        while list_files(spool):
            assert time.monotonic() < until
            time.sleep(0.02)
        assert snapshot.current(data_dir).scan("events").collect().height == 1
