"""The worker's side: plans find the files of their content, or are refused."""

import io
import os
import shutil
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from calculations.analytics import analytics, collect
from cluster import tasks
from cluster.running import PlanRunner, PlanTask
from cluster.versions import differences, own_versions
from readmodel.store.content import HeldContents, content_of, portable
from readmodel.store.snapshot import SNAPSHOTS, Snapshot, current
from routers.tables import open_tables
from tests.support.frames import period
from tests.support.sample import SAMPLE, TAKEN_AT
from tests.support.snapshots import flip_a_bit, plain_files, publish
from util.errors import ClusterError, ReadModelDamaged


@pytest.fixture
def snapshot(tmp_path: Path) -> Snapshot:
    """The API's read model."""
    return publish(tmp_path / "data", SAMPLE, TAKEN_AT)


@pytest.fixture
def elsewhere(snapshot: Snapshot, tmp_path: Path) -> Path:
    """A copy of it in the DATA_DIR of a worker; the original is gone."""
    copy = tmp_path / "elsewhere"
    shutil.copytree(tmp_path / "data", copy, symlinks=True)
    return copy


@pytest.fixture
def runner(
    elsewhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> PlanRunner:
    """A worker, whose working directory is a folder of its own."""
    own = tmp_path / "own"
    own.mkdir()
    monkeypatch.chdir(own)
    return PlanRunner(elsewhere, own)


def task_of(snapshot: Snapshot) -> PlanTask:
    """All statistics of *snapshot*."""
    there = portable(snapshot)
    assert there is not None
    plan = analytics(open_tables(there), period())
    return PlanTask(plan.serialize(), str(there.scan_folder), is_streaming=False)


def test_a_plan_reads_the_files_of_the_worker(
    snapshot: Snapshot, runner: PlanRunner, tmp_path: Path
) -> None:
    """They are in another folder; the plan names none of either."""
    expected = collect(analytics(open_tables(snapshot), period()))
    task = task_of(snapshot)
    assert str(tmp_path).encode() not in task.plan
    shutil.rmtree(tmp_path / "data")
    rows = pl.read_ipc(io.BytesIO(runner.run(task)))
    assert rows.equals(expected)
    assert rows.schema == expected.schema


def test_a_content_that_is_not_here_is_refused(
    runner: PlanRunner, tmp_path: Path
) -> None:
    """Another table's rows are another content."""
    other = publish(tmp_path / "other", {**SAMPLE, "rooms": []}, TAKEN_AT)
    assert not runner.holds(str(content_of(other)))
    with pytest.raises(
        ClusterError, match="does not have the same snapshot"
    ) as refused:
        runner.run(task_of(other))
    assert refused.value.reason == "snapshot"


def test_a_damaged_file_is_noticed(
    snapshot: Snapshot, runner: PlanRunner, elsewhere: Path
) -> None:
    """Checksums are compared here, too."""
    flip_a_bit(Path(current(elsewhere).files("fpp_votes")[0]))
    with pytest.raises(ReadModelDamaged, match="is damaged"):
        runner.run(task_of(snapshot))


def test_a_removed_snapshot_is_replaced_by_one_with_the_same_files(
    snapshot: Snapshot, runner: PlanRunner, elsewhere: Path
) -> None:
    """Retention removes folders while the content stays."""
    task = task_of(snapshot)
    rows = runner.run(task)
    first = current(elsewhere)
    later = publish(elsewhere, SAMPLE, TAKEN_AT + timedelta(minutes=10))
    assert content_of(later) == content_of(first)
    shutil.rmtree(first.path)
    assert runner.run(task) == rows
    assert os.path.realpath(task.content) == str(later.path)


def test_an_earlier_snapshot_serves_plans_as_well(
    snapshot: Snapshot, runner: PlanRunner, elsewhere: Path
) -> None:
    """The API may be behind, or may have been asked for an earlier instant."""
    publish(elsewhere, {**SAMPLE, "votes": []}, TAKEN_AT + timedelta(minutes=10))
    assert runner.holds(str(content_of(snapshot)))
    assert runner.run(task_of(snapshot))


def test_unreadable_snapshots_are_passed_over(
    snapshot: Snapshot, elsewhere: Path
) -> None:
    """And a folder without a read model has no content."""
    (elsewhere / SNAPSHOTS / "20200101T000000.000000Z").mkdir()
    (elsewhere / "current").unlink()
    content = str(content_of(snapshot))
    assert HeldContents(elsewhere).find(content)
    assert HeldContents(elsewhere / "none").find(content) is None


def test_files_of_the_earlier_system_have_no_content(tmp_path: Path) -> None:
    """They have no checksums, so nobody knows whether others are equal."""
    plain_files(tmp_path)
    assert portable(current(tmp_path)) is None


def test_versions_are_compared_with_each_plan(
    snapshot: Snapshot, runner: PlanRunner
) -> None:
    """A worker may have been restarted since it was asked."""
    tasks.serve(runner)
    task = task_of(snapshot)
    arguments = (task.plan, task.content, task.is_streaming)
    assert tasks.run_plan(*arguments, own_versions())
    with pytest.raises(ClusterError, match=r"polars .* instead of 9") as refused:
        tasks.run_plan(*arguments, {**own_versions(), "polars": "9"})
    assert refused.value.reason == "versions"
    assert tasks.describe(task.content) == (own_versions(), True)
    assert tasks.describe(None) == (own_versions(), False)


def test_all_differences_are_named() -> None:
    """Also those that one side does not know."""
    assert differences({"a": "1"}, {"a": "1"}) == ""
    assert differences({"a": "1", "b": "2"}, {"b": "3", "c": "4"}) == (
        "a none instead of 1, b 3 instead of 2, c 4 instead of none"
    )


def test_a_worker_of_another_program_runs_no_plans() -> None:
    """It has no DATA_DIR."""
    tasks._runners.clear()
    with pytest.raises(ClusterError, match=r"not started by run_cluster\.py"):
        tasks.describe("content")
