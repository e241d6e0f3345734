"""Each report broken in every way, in each phase: the work goes on, others are told."""

import logging
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Final

import polars as pl
import pytest

from config import load
from readmodel.source.connect import source_from_settings
from readmodel.store import run_log
from tests.support.effort import bounded
from tests.support.servers import StubServer
from updater import runner
from updater.runner import Runner
from util.errors import StorageError

FAULTS: Final = (
    OSError(30, "Read-only file system"),
    RuntimeError("a bug"),
    StorageError("no room"),
    MemoryError(),
    pl.exceptions.PanicException("index out of bounds"),
)

REPORTS: Final = (
    "append_run",
    "append_view_runs",
    "capture_error",
    "check_in",
    "_log_table",
    "add_error_breadcrumb",
)
"""Functions by which a run is reported, as the runner calls them."""


@pytest.fixture(params=[True, False], ids=["succeeds", "fails"])
def succeeds(request: pytest.FixtureRequest) -> bool:
    """Whether the source can be read."""
    return bool(request.param)


@pytest.fixture
def updater(settings: dict[str, str], kuma: StubServer, succeeds: bool) -> Runner:
    """An updater that pushes to UptimeKuma."""
    chosen = load({**settings, "UPTIMEKUMA_PUSH_URL": f"{kuma.url}/api/push/token"})
    if not succeeds:
        chosen = chosen.model_copy(
            update={"tables": "missing:id", "sync_interval_seconds": 1}
        )
    return Runner(chosen, source_from_settings(chosen), lambda: datetime.now(UTC))


def assert_reported(
    updater: Runner, kuma: StubServer, data_dir: Path, *, succeeds: bool
) -> None:
    """UptimeKuma and the run log have the run, as it was."""
    pushed = dict(kuma.wait_for(1)[-1].query)
    assert pushed["status"] == ("up" if succeeds else "down")
    assert [run.success for run in run_log.recent_runs(data_dir, 9)] == [succeeds]


PAIRS: Final = bounded(list(product(REPORTS, FAULTS)), 11)


@pytest.mark.parametrize(("report", "fault"), PAIRS, ids=lambda it: str(it)[:16])
def test_a_report_that_fails_fails_nothing_else(
    updater: Runner,
    kuma: StubServer,
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    report: str,
    fault: BaseException,
    succeeds: bool,
) -> None:
    """The run has its result, and all other reports of it are made."""

    def broken(*_: object, **__: object) -> None:
        raise fault

    monkeypatch.setattr(runner, report, broken)
    assert updater.run() is succeeds
    if report != "append_run":
        assert_reported(updater, kuma, data_dir, succeeds=succeeds)
    else:
        pushed = dict(kuma.wait_for(1)[-1].query)
        assert pushed["status"] == ("up" if succeeds else "down")


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
def test_a_heartbeat_or_a_metric_that_fails_is_logged(
    updater: Runner,
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    fault: BaseException,
    succeeds: bool,
) -> None:
    """The run log has the run all the same."""

    def broken(*_: object, **__: object) -> None:
        raise fault

    monkeypatch.setattr(updater._heartbeat, "_push", broken)
    monkeypatch.setattr(updater.metrics.runs, "labels", broken)
    with caplog.at_level(logging.ERROR, logger="fpp"):
        assert updater.run() is succeeds
    assert [run.success for run in run_log.recent_runs(data_dir, 9)] == [succeeds]
    failed = [r.message for r in caplog.records if "A report failed" in r.message]
    assert len(failed) == 2


def test_a_folder_that_cannot_be_written_is_reported_down(
    settings: dict[str, str], kuma: StubServer, tmp_path: Path
) -> None:
    """The run log cannot have the run then; the next run is tried, and pushed, too."""
    blocked = tmp_path / "file"
    blocked.write_text("a file, in which no folder can be")
    chosen = load(
        {
            **settings,
            "DATA_DIR": str(blocked / "data"),
            "UPTIMEKUMA_PUSH_URL": f"{kuma.url}/api/push/token",
        }
    )
    updater = Runner(chosen, source_from_settings(chosen), lambda: datetime.now(UTC))
    assert [updater.run(), updater.run()] == [False, False]
    pushed = [dict(push.query) for push in kuma.wait_for(2)]
    assert [push["status"] for push in pushed] == ["down", "down"]
    assert all("DATA_DIR" in push["msg"] for push in pushed)
