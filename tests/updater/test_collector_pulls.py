"""Pulls of collectors on other hosts: reported, bounded, independent of each other."""

import logging
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from collect_events import create_app
from config import Settings, load
from events.spool_files import SUFFIX, list_files
from readmodel.spool.collector_client import CollectorClient
from readmodel.spool.pulled import PulledSpool
from readmodel.store import snapshot
from tests.routers.conftest import served
from tests.support.events import collector_settings, line, write_spool
from tests.support.pulling import pulled
from tests.support.servers import closed_port
from updater import collector_pulls, collector_status, status
from updater.collector_pulls import CollectorPull, CollectorPulls, PullMetrics
from updater.command_line import ForgetCommand
from updater.doctor.events import check_collectors
from updater.event_commands import run_forget
from updater.event_intake import EventIntake
from updater.intake_metrics import IntakeMetrics
from util.errors import SettingsError
from util.stopping import StopRequest

SPOOL_TOKEN = "token-of-the-updater-0123456789abcdef"
OTHER = "20261121T110000000000-11111111"


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address of a collector, and its spool."""
    folder = tmp_path_factory.mktemp("collector") / "spool"
    settings = collector_settings(folder, SPOOL_TOKEN=SPOOL_TOKEN)
    with served(create_app(settings)) as url:
        yield url, folder


@pytest.fixture
def spool(collector: tuple[str, Path]) -> Iterator[Path]:
    """The spool of the collector, which is empty."""
    yield collector[1]
    for file in collector[1].iterdir():
        file.unlink()


@pytest.fixture
def down() -> str:
    """The address of a collector that does not answer."""
    return f"http://127.0.0.1:{closed_port()}"


@pytest.fixture
def both(collector: tuple[str, Path], down: str, data_dir: Path) -> Settings:
    """Settings of an updater with both collectors, and no database."""
    return load(
        {
            "DATA_DIR": str(data_dir),
            "TABLES": "none",
            "COLLECTOR_URLS": f"{down}/, {collector[0]}",
            "SPOOL_TOKEN": f"updater:{SPOOL_TOKEN}",
        }
    )


def intake_of(settings: Settings, registry: CollectorRegistry) -> EventIntake:
    """What takes the events of these settings."""
    return EventIntake(
        settings.data_dir,
        settings.spool_dir,
        [],
        IntakeMetrics(registry),
        StopRequest(),
        pulls=CollectorPulls(settings, registry),
    )


def ids(data_dir: Path) -> list[str]:
    """The ids of the stored events, sorted."""
    rows = snapshot.latest(data_dir).scan("events").collect()
    return sorted(rows["event_id"].to_list())


def test_a_collector_that_is_down_holds_back_no_other(
    both: Settings, spool: Path, down: str, collector: tuple[str, Path]
) -> None:
    """A run to the end says so; the events of the others are stored and removed."""
    registry = CollectorRegistry()
    write_spool(spool, [line("e1")])
    intake = intake_of(both, registry)
    assert not intake.run_to_end()
    intake.close()
    assert ids(both.data_dir) == ["e1"]
    assert list_files(spool) == []
    up = {
        url: registry.get_sample_value("fpp_collector_up", {"collector": url})
        for url in (down, collector[0])
    }
    assert up == {down: 0, collector[0]: 1}
    labels = {"collector": collector[0]}
    assert registry.get_sample_value("fpp_collector_pulled_bytes_total", labels)


def test_pulls_and_drains_go_on_beside_each_other(both: Settings, spool: Path) -> None:
    """With `--every`, on threads; a drain never waits for them."""
    intake = intake_of(both, CollectorRegistry())
    write_spool(spool, [line("e1")])
    try:
        while list_files(spool):
            assert intake.run()
    finally:
        intake.close()
    assert ids(both.data_dir) == ["e1"]


def test_a_backlog_is_taken_to_its_end(
    both: Settings,
    spool: Path,
    collector: tuple[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Although only a part of it fits into memory."""
    monkeypatch.setattr(collector_pulls, "BUFFER_BYTES", 1)
    monkeypatch.setattr(collector_pulls, "LEAST_BUFFER_BYTES", 1)
    for number in range(1, 5):
        write_spool(spool, [line(f"e{number}")], number)
    one = both.model_copy(update={"collector_urls": collector[0]})
    intake = intake_of(one, CollectorRegistry())
    assert intake.run_to_end()
    intake.close()
    assert ids(both.data_dir) == ["e1", "e2", "e3", "e4"]
    assert list_files(spool) == []


def test_a_failure_is_an_error_only_if_it_lasts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One that ends by itself is a warning; each is reported once."""
    seconds = iter([0.0, 10.0, 29.0, 31.0, 40.0])
    spool = pulled(tmp_path / "spool")
    pull = CollectorPull(spool, PullMetrics(CollectorRegistry()), seconds.__next__)
    with caplog.at_level(logging.INFO, logger="fpp"):
        assert [pull.run() for _ in range(5)] == [False] * 5
        (tmp_path / "spool").mkdir()
        assert pull.run()
        assert pull.run()
    levels = [r.levelname for r in caplog.records if r.name.startswith("fpp")]
    assert levels == ["WARNING", "ERROR", "INFO"]


def test_an_event_that_reaches_two_collectors_counts_once(tmp_path: Path) -> None:
    """A client repeats what was not answered, and the balancer has another choice."""
    registry = CollectorRegistry()
    metrics = IntakeMetrics(registry)
    write_spool(tmp_path / "spool" / "c1", [line("e1"), line("e2")])
    write_spool(tmp_path / "spool" / "c2", [line("e2"), line("e3")], instance=OTHER)
    data_dir = tmp_path / "data"
    intake = EventIntake(data_dir, tmp_path / "spool", [], metrics, StopRequest())
    assert intake.run()
    write_spool(tmp_path / "spool" / "c2", [line("e1")], 2, OTHER)
    assert intake.run()
    assert ids(data_dir) == ["e1", "e2", "e3"]
    assert registry.get_sample_value("fpp_events_repeated_total") == 2
    assert not list((tmp_path / "spool").rglob(f"*{SUFFIX}"))


def test_a_folder_that_cannot_be_read_holds_back_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is reported once. Folders of the file system are none of ours."""
    spool = tmp_path / "spool"
    write_spool(spool / "c1", [line("e1")])
    write_spool(spool / "c2", [line("e2")], instance=OTHER)
    (spool / "lost+found").mkdir()
    bad = write_spool(spool / "c3", [line("e3")], instance="x")
    read = Path.read_bytes

    def read_some(path: Path) -> bytes:
        if path == bad:
            raise OSError(5, "Input/output error")
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", read_some)
    registry = CollectorRegistry()
    metrics = IntakeMetrics(registry)
    intake = EventIntake(tmp_path / "data", spool, [], metrics, StopRequest())
    with caplog.at_level(logging.ERROR, logger="fpp"):
        assert [intake.run(), intake.run()] == [False, False]
    assert len([r for r in caplog.records if "c3 cannot be used" in r.message]) == 1
    assert ids(tmp_path / "data") == ["e1", "e2"]
    assert registry.get_sample_value("fpp_event_drains_failed_total") == 2
    monkeypatch.undo()
    assert intake.run()
    assert ids(tmp_path / "data") == ["e1", "e2", "e3"]


def test_a_copied_machine_is_reported_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """And counted as long as it is there; nothing of it is lost."""
    registry = CollectorRegistry()
    spool, metrics = tmp_path / "spool", IntakeMetrics(registry)
    intake = EventIntake(tmp_path / "data", spool, [], metrics, StopRequest())
    with caplog.at_level(logging.ERROR, logger="fpp"):
        for number in (1, 2):
            write_spool(spool / "c1", [line(f"e{number}")], number)
            write_spool(spool / "c2", [line(f"copy {number}")], number)
            assert intake.run()
    (text,) = [r.message for r in caplog.records if "instance" in r.message]
    assert "both have files of the instance" in text
    assert ids(tmp_path / "data") == ["copy 1", "copy 2", "e1", "e2"]
    assert registry.get_sample_value("fpp_events_spool_conflicts_total") == 2


def test_status_says_what_waits_where(
    both: Settings, spool: Path, collector: tuple[str, Path], down: str
) -> None:
    """It asks the collectors themselves."""
    file = write_spool(spool, [line("e1")])
    written = datetime.fromtimestamp(file.stat().st_mtime, UTC)
    late = " ".join(status.lines(both, written + timedelta(seconds=301), 0))
    assert f"! {collector[0]}: 1 files with 0.00 MB wait, the oldest for" in late
    now = " ".join(status.lines(both, written + timedelta(seconds=3), 0))
    assert f"✓ {collector[0]}: 1 files" in now
    assert f"! {down} cannot be reached" in now
    first, second = collector_status.as_json(both)["collectors"]
    assert (first["url"], first["files"]) == (down, None)
    assert first["error"].startswith(f"{down} cannot be reached")
    assert (second["files"], second["oldest_at"]) == (1, written)
    assert collector_status.as_json(load({})) == {}


def test_doctor_asks_each_collector(
    both: Settings, spool: Path, collector: tuple[str, Path], down: str
) -> None:
    """And warns of addresses by which the token travels in clear text."""
    del spool
    far = both.model_copy(
        update={"collector_urls": f"{down},{collector[0]},http://c3.invalid:1"}
    )
    found = [str(check) for check in check_collectors(far)]
    assert [(text[0], text.split(maxsplit=2)[1]) for text in found] == [
        ("✗", "collectors"),
        ("✓", "collectors"),
        ("✗", "collectors"),
        ("!", "encryption"),
    ]
    assert "no file waits" in found[1]
    assert "http://c3.invalid:1 in clear text" in found[3]
    (without,) = check_collectors(both.model_copy(update={"spool_token": None}))
    assert "SPOOL_TOKEN is missing" in str(without)


def test_forgetting_takes_what_waits_at_collectors(
    both: Settings, spool: Path, down: str
) -> None:
    """And says which of them could not be asked."""
    write_spool(spool, [line("e1", user_id="u1"), line("e2", user_id="u2")])
    lines = " ".join(run_forget(both, ForgetCommand("u1", dry_run=False)))
    assert "removed 1 events" in lines
    assert f"were not looked at: {down} cannot be reached" in lines
    assert ids(both.data_dir) == ["e2"]
    assert list_files(spool) == []


@pytest.mark.parametrize(
    "urls",
    [
        *("c1:5200", "ftp://c1", "https://", "https://u:p@c1", "https://c1?x=1"),
        *("https://c1,https://c1/", "https://c1#x"),
    ],
)
def test_malformed_addresses_are_named(urls: str) -> None:
    """At the start, by the variable."""
    with pytest.raises(SettingsError, match="COLLECTOR_URLS is malformed"):
        load({"COLLECTOR_URLS": urls})


def test_without_a_token_the_updater_does_not_start(data_dir: Path) -> None:
    """It says which variable is missing."""
    settings = load({"COLLECTOR_URLS": "https://c1", "DATA_DIR": str(data_dir)})
    with pytest.raises(SettingsError, match="SPOOL_TOKEN is missing"):
        CollectorPulls(settings, CollectorRegistry())


def test_an_unexpected_error_ends_no_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next pull is tried."""
    spool = PulledSpool(CollectorClient("http://c1", ""), 1)
    pull = CollectorPull(spool, PullMetrics(CollectorRegistry()))
    monkeypatch.setattr(PulledSpool, "pull", lambda _: 1 / 0)
    assert not pull.run()
    assert str(pull.error).startswith("ZeroDivisionError")
    monkeypatch.setattr(PulledSpool, "pull", lambda _: None)
    assert pull.run()


def test_a_request_that_begins_during_the_end_is_disconnected_too(
    both: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread connects again before it notices the end."""
    calls: list[str] = []

    def ask_once_more(_: CollectorPull, __: float, ended: threading.Event) -> None:
        ended.wait(10)
        calls.append("connects")

    monkeypatch.setattr(CollectorPull, "repeat", ask_once_more)
    monkeypatch.setattr(CollectorClient, "close", lambda _: calls.append("disconnects"))
    pulls = CollectorPulls(both, CollectorRegistry())
    pulls.start()
    pulls.close()
    assert calls.count("connects") == 2
    assert calls[-2:] == ["disconnects"] * 2
