"""Uploads, followers and restores that are killed, or find the disk full, at each step."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.killing import Killed, at_each_step, full_from, killed_before
from tests.support.replicas import Content, Replica, content, publish_ids
from util.errors import StorageError


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """A writer with a second snapshot, a replica and a follower with the first one."""
    folder = tmp_path / "template"
    (folder / "drive").mkdir(parents=True)
    publish_ids(folder / "data", 0, [1], [2])
    (folder / "data" / "sync_runs.parquet").write_text("log")
    replica = Replica(f"file://{folder}/drive")
    replica.upload(folder / "data")
    replica.follow(folder / "copy")
    publish_ids(folder / "data", 1, [1], [3], [4])
    return folder


def killed_at_each_step(
    template: Path, work: Callable[[Path], object]
) -> Iterator[tuple[int, Path]]:
    """Yield copies of *template* in which *work* was killed, each one step later."""
    yield from at_each_step(template, work, killed_before, Killed)


def replica_in(folder: Path) -> Replica:
    """The replica of the template."""
    return Replica(f"file://{folder}/drive")


def contents(template: Path) -> tuple[Content, Content]:
    """The first snapshot and the second one."""
    return content(template / "copy"), content(template / "data")


def test_whenever_an_upload_dies_the_replica_has_a_whole_snapshot(
    template: Path,
) -> None:
    """It is the one before or the new one, and the next upload completes it."""
    first, second = contents(template)
    seen = []
    for step, folder in killed_at_each_step(
        template, lambda it: replica_in(it).upload(it / "data")
    ):
        replica = replica_in(folder)
        replica.follow(folder / "other")
        seen.append(content(folder / "other"))
        assert seen[-1] in (first, second), step
        replica.upload(folder / "data")
        replica.follow(folder / "copy")
        assert content(folder / "copy") == second, step
    assert first in seen
    assert second in seen


def test_whenever_a_follower_dies_it_has_a_whole_snapshot(template: Path) -> None:
    """It is the one before or the new one, and the next one leaves nothing behind."""
    replica_in(template).upload(template / "data")
    first, second = contents(template)
    seen = []
    for step, folder in killed_at_each_step(
        template, lambda it: replica_in(it).follow(it / "copy")
    ):
        copy = folder / "copy"
        seen.append(content(copy))
        assert seen[-1] in (first, second), step
        replica_in(folder).follow(copy)
        assert content(copy) == second, step
        hidden = [path.name for path in copy.rglob(".*")]
        assert hidden == [], step
    assert first in seen
    assert second in seen


def test_whenever_the_disk_is_full_a_follower_has_a_whole_snapshot(
    template: Path,
) -> None:
    """It says so, serves what it has, and goes on once there is room."""
    replica_in(template).upload(template / "data")
    first, second = contents(template)
    messages = set()

    def follow(folder: Path) -> None:
        try:
            replica_in(folder).follow(folder / "copy")
        except StorageError as error:
            messages.add(str(error).partition("(")[2].partition(")")[0])
            raise

    for step, folder in at_each_step(template, follow, full_from, StorageError):
        copy = folder / "copy"
        assert content(copy) in (first, second), step
        replica_in(folder).follow(copy)
        assert content(copy) == second, step
        assert [path.name for path in copy.rglob(".*")] == [], step
    assert messages == {"No space left on device"}


@pytest.mark.long("test_whenever_an_upload_dies_the_replica_has_a_whole_snapshot")
def test_whenever_a_restore_dies_it_can_be_repeated(template: Path) -> None:
    """There is no snapshot, or the whole one."""
    replica_in(template).upload(template / "data")
    _, second = contents(template)
    seen = []
    for step, folder in killed_at_each_step(
        template, lambda it: replica_in(it).restore(it / "new")
    ):
        new = folder / "new"
        seen.append(content(new))
        assert seen[-1] in ({}, second), step
        if not seen[-1]:
            replica_in(folder).restore(new)
        assert content(new) == second, step
        publish_ids(new, 2, [1], [3], [5])
        assert replica_in(folder).upload(new), step
    assert {} in seen
    assert second in seen
