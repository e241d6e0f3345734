"""Building a snapshot: all or nothing, and nothing left behind."""

import time
from datetime import timedelta
from pathlib import Path

import pytest

from readmodel.store.snapshot import current, latest
from readmodel.sync.lock import exclusive_lock
from readmodel.sync.snapshot_writer import SnapshotWriter
from tests.support.snapshots import (
    TEN,
    column_names,
    ids,
    publish_frames,
)


def test_a_snapshot_records_every_part_that_is_written_or_linked(
    tmp_path: Path,
) -> None:
    """In the order of the calls, each table by itself, with its instants."""
    first = publish_frames(tmp_path)
    assert first.manifest is not None
    (old,) = first.manifest.tables["fpp_votes"].parts
    checked_at, later = TEN + timedelta(minutes=5), TEN + timedelta(hours=1)
    with exclusive_lock(tmp_path), SnapshotWriter(tmp_path, later) as writer:
        votes = writer.table("fpp_votes", column_names(ids()), TEN)
        events = writer.table("fpp_events", column_names(ids()))
        votes.write(ids(2, 3), {}, checked_at)
        events.write(ids(), {})
        votes.link(old, Path(first.files("fpp_votes")[0]))
        votes.link(old, Path(first.files("fpp_votes")[0]), checked_at)
        writer.publish()
    manifest = latest(tmp_path).manifest
    assert manifest is not None
    assert list(manifest.tables) == ["fpp_votes", "fpp_events"]
    stored = manifest.tables["fpp_votes"]
    assert [part.file for part in stored.parts] == [
        f"part-0000{number}.parquet" for number in range(3)
    ]
    assert [part.rows for part in stored.parts] == [2, 1, 1]
    assert [part.checked_at for part in stored.parts] == [checked_at, TEN, checked_at]
    assert stored.changed_at == TEN
    assert manifest.tables["fpp_events"].changed_at == later
    assert manifest.tables["fpp_events"].checked_at == later


def test_two_snapshots_of_one_instant_get_two_ids(tmp_path: Path) -> None:
    """A clock that stands still does not overwrite an open snapshot."""
    first, second = publish_frames(tmp_path), publish_frames(tmp_path)
    assert first.id < second.id
    assert first.path.exists()


def fail_after_writing(data_dir: Path) -> None:
    """Stage one part, then raise ZeroDivisionError."""
    later = TEN + timedelta(hours=1)
    with exclusive_lock(data_dir), SnapshotWriter(data_dir, later) as writer:
        writer.table("fpp_votes", column_names(ids())).write(ids(1), {})
        raise ZeroDivisionError


def test_a_failed_run_leaves_nothing_behind(tmp_path: Path) -> None:
    """The snapshot before it stays current, and the staged one is removed."""
    before = publish_frames(tmp_path)
    with pytest.raises(ZeroDivisionError):
        fail_after_writing(tmp_path)
    assert current(tmp_path) == before
    assert [path.name for path in (tmp_path / "snapshots").iterdir()] == [before.id]


def test_a_table_is_discarded_after_what_is_being_written(tmp_path: Path) -> None:
    """A part that a thread still writes would turn up in the table's next build."""
    with exclusive_lock(tmp_path), SnapshotWriter(tmp_path, TEN) as writer:
        votes = writer.table("fpp_votes", column_names(ids()))

        def write_late() -> None:
            time.sleep(0.1)
            votes.write(ids(1), {})

        writing = writer.start(write_late)
        writer.discard("fpp_votes")
        assert writing.done()
        assert not (writer.path / "fpp_votes.parquet").exists()
        writer.table("fpp_votes", column_names(ids())).write(ids(2), {})
        writer.publish()
    assert latest(tmp_path).scan("fpp_votes").collect()["id"].to_list() == [2]
