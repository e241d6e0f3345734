"""Each report broken in every way, in each phase: the work goes on, others are told."""

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any, Final

import polars as pl
import pytest

from config import load
from readmodel.source.connect import source_from_settings
from readmodel.source.sqlite.source import SqliteSource
from readmodel.store import run_log
from readmodel.sync import run as sync_run
from readmodel.sync.snapshot_writer import SnapshotWriter
from tests.support.effort import THOROUGH, bounded, some_long
from tests.support.servers import StubServer
from updater import runner
from updater.progress import Progress
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


class Recorder:
    """Counts the calls of functions, and lets one call of one of them fail."""

    def __init__(
        self, patch: pytest.MonkeyPatch, functions: Mapping[str, tuple[object, str]]
    ) -> None:
        self.calls: Counter[str] = Counter()
        self.broken: tuple[str, int] | None = None
        self.fault: BaseException = RuntimeError("a bug")
        for name, (owner, attribute) in functions.items():
            patch.setattr(owner, attribute, self._wrapped(name, owner, attribute))

    def _wrapped(self, name: str, owner: object, attribute: str) -> Callable[..., Any]:
        original = getattr(owner, attribute)

        def recorded(*args: Any, **kwargs: Any) -> Any:
            self.calls[name] += 1
            if self.broken == (name, self.calls[name]):
                raise self.fault
            return original(*args, **kwargs)

        return recorded


def reporting_functions(updater: Runner) -> dict[str, tuple[object, str]]:
    """Everything that the updater tells anybody during a run."""
    return {
        "run log": (runner, "append_run"),
        "log of derived tables": (runner, "append_view_runs"),
        "heartbeat": (updater._heartbeat, "_push"),
        "Sentry's error": (runner, "capture_error"),
        "Sentry's check-in": (runner, "check_in"),
        "Sentry's breadcrumb": (runner, "add_error_breadcrumb"),
        "metrics": (updater.metrics.runs, "labels"),
        "log of a table": (runner, "_log_table"),
        "a step": (Progress, "begin"),
        "rows of a step": (Progress, "rows"),
        "start of the progress": (Progress, "_start"),
        "the announcement": (Runner, "_announcement"),
    }


def fail(*_: object, **__: object) -> Any:
    """A fault that nobody foresaw."""
    raise RuntimeError("a fault in this phase")


PHASES: Final[Mapping[str, tuple[object, str] | None]] = {
    "none": None,
    "opening the source": (SqliteSource, "view"),
    "making room": (sync_run, "make_room"),
    "reading the last manifest": (sync_run, "_last_manifest"),
    "describing tables": (sync_run, "table_spec"),
    "looking at stored parts": (sync_run, "_reusable"),
    "fetching and writing": (sync_run, "first_copy"),
    "carrying events over": (sync_run, "carry_events"),
    "building derived tables": (sync_run, "build_derived"),
    "publishing": (SnapshotWriter, "publish"),
    "summing up": (sync_run, "_removed"),
}
"""Phase of a run -> the function that fails in it."""


def places_of(calls: Counter[str], seed: int) -> list[tuple[str, int]]:
    """One call of each report, another one for each *seed*; all in a thorough run."""
    if THOROUGH:
        return [(name, n + 1) for name in sorted(calls) for n in range(calls[name])]
    return [(name, seed % calls[name] + 1) for name in sorted(calls)]


@pytest.mark.parametrize("phase", some_long(PHASES, 2))
def test_each_report_fails_alone_in_each_phase(
    settings: dict[str, str],
    kuma: StubServer,
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    phase: str,
) -> None:
    """Whichever call of which report fails, the run ends as it would have without.

    A run that fails in a phase is told everywhere else.
    """
    url = f"{kuma.url}/api/push/token"
    chosen = load(settings | {"UPTIMEKUMA_PUSH_URL": url, "VIEWS_DIR": "nowhere"})
    broken_phase = PHASES[phase]
    if broken_phase is not None:
        monkeypatch.setattr(*broken_phase, fail)

    def run(broken: tuple[str, int] | None = None, fault: Any = None) -> Counter[str]:
        updater = Runner(chosen, source_from_settings(chosen))
        with pytest.MonkeyPatch.context() as patch:
            recorder = Recorder(patch, reporting_functions(updater))
            recorder.broken, recorder.fault = broken, fault
            pushed, logged = len(kuma.requests), len(run_log.recent_runs(data_dir, 999))
            assert updater.run() is (broken_phase is None), broken
        name = broken[0] if broken else None
        runs = run_log.recent_runs(data_dir, 999)
        assert len(runs) == logged + (name != "run log"), broken
        if name != "run log":
            assert runs[0].success is (broken_phase is None)
        assert len(kuma.requests) == pushed + (name != "heartbeat"), broken
        if name != "heartbeat":
            status = dict(kuma.requests[-1].query)["status"]
            assert status == ("up" if broken_phase is None else "down")
        outcome = "success" if broken_phase is None else "failure"
        counted = updater.metrics.runs.labels(outcome)._value.get()
        assert counted == (name != "metrics"), broken
        return recorder.calls

    calls = run()
    assert calls["Sentry's error"] == (broken_phase is not None)
    for index, place in enumerate(places_of(calls, list(PHASES).index(phase))):
        run(place, FAULTS[index % len(FAULTS)])
