"""The sorted activity from snapshot to snapshot: linked, written anew, or left out."""

import errno
import os
import sqlite3
import time
from collections.abc import Callable, Collection
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Event

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from calculations.activity import SortedActivity, activity
from readmodel.source.sqlite.source import SqliteSource
from readmodel.store.manifest import ActivityFiles
from readmodel.store.side_files import VISITS
from readmodel.store.snapshot import MANIFEST, MANIFEST_COPY, Snapshot, latest
from readmodel.store.sorted_activity import TIMES, open_activity
from readmodel.sync import activity_files
from readmodel.sync.lock import exclusive_lock
from readmodel.sync.run import sync
from readmodel.sync.snapshot_retention import KEEP_YOUNGER
from readmodel.sync.snapshot_writer import SnapshotWriter
from readmodel.tables import Table
from tests.support.frames import at, frame
from tests.support.killing import at_each_step
from tests.support.replicas import Replica
from tests.support.snapshots import (
    TEN,
    column_names,
    cut_short,
    flip_a_bit,
    link_all,
    publish_frames,
    replace_bytes,
)
from util.errors import StorageError

FILE = "activity/part-00000.parquet"
VIEWS = "fpp_page_views"


def views(*minutes: int) -> pl.DataFrame:
    """A part of page views of two users by turns."""
    rows = [
        {"user_id": f"u{it % 2}", "viewed_at": at("2024-06-04 10:00") + it * MINUTE}
        for it in minutes
    ]
    return frame("page_views", rows).collect()


MINUTE = timedelta(minutes=1)
ESTIMATIONS = (
    frame("estimations", [{"user_id": "u0", "estimated_at": at("2024-06-04 10:05")}])
).collect()


def write(data_dir: Path, parts: list[pl.DataFrame]) -> Snapshot:
    """Publish these parts of page views and one estimation, in no other table."""
    with exclusive_lock(data_dir), SnapshotWriter(data_dir, TEN) as writer:
        for name, frames in ((VIEWS, parts), ("fpp_estimations", [ESTIMATIONS])):
            table = writer.table(name, column_names(frames[0]))
            for rows in frames:
                table.write(rows, {})
        writer.publish()
    return latest(data_dir)


def add(
    data_dir: Path,
    *rows: pl.DataFrame,
    drop: int = 0,
    retention: timedelta = KEEP_YOUNGER,
) -> Snapshot:
    """Publish the snapshot before with more parts of page views, without the last ones."""
    before = latest(data_dir)
    assert before.manifest is not None
    later = before.taken_at + timedelta(hours=1)
    with exclusive_lock(data_dir), SnapshotWriter(data_dir, later) as writer:
        writer.retention = retention
        for name, stored in before.manifest.tables.items():
            files = [Path(file) for file in before.files(name)]
            kept = len(files) - drop * (name == VIEWS)
            table = writer.table(name, stored.columns, stored.changed_at)
            for part, file in list(zip(stored.parts, files, strict=True))[:kept]:
                table.link(part, file)
            for new in rows if name == VIEWS else ():
                table.write(new, {})
        writer.publish()
    return latest(data_dir)


def record(snapshot: Snapshot) -> ActivityFiles | None:
    """The record of the activity of *snapshot*."""
    return snapshot.manifest.activity if snapshot.manifest else None


def inode(snapshot: Snapshot) -> int:
    """What tells a linked file from one that was written."""
    return (snapshot.path / FILE).stat().st_ino


def parts_of_views(snapshot: Snapshot) -> int:
    """How many parts of page views are in the activity."""
    found = record(snapshot)
    assert found is not None
    return len(found.visits[VIEWS])


def assert_right(snapshot: Snapshot) -> None:
    """The activity has the rows of all visits."""
    opened = open_activity(snapshot)
    assert opened
    found = SortedActivity(*opened).complete().collect()
    visits = (snapshot.visits(name) for name in (VIEWS, "fpp_estimations"))
    whole = activity(*visits).collect()
    assert_frame_equal(found.sort("visitor", maintain_order=True), whole)


def test_few_rows_are_all_sorted_whenever_some_are_new(tmp_path: Path) -> None:
    """Even a single one. A snapshot without changes links the file."""
    first = write(tmp_path, [views(*range(30))])
    assert parts_of_views(first) == 1
    linked = add(tmp_path)
    assert (inode(linked), record(linked)) == (inode(first), record(first))
    changed = add(tmp_path, views(30))
    assert inode(changed) != inode(first)
    assert parts_of_views(changed) == 2
    for snapshot in (first, linked, changed):
        assert_right(snapshot)


def add_tables(writer: SnapshotWriter, *names: str) -> None:
    """Write these tables, of two parts of page views and an estimation."""
    frames = {VIEWS: [views(1, 2), views(3)], "fpp_estimations": [ESTIMATIONS]}
    for name in names:
        table = writer.table(name, column_names(frames[name][0]))
        for rows in frames[name]:
            table.write(rows, {})
    writer.begin_activity(names)


def test_it_is_written_while_other_tables_are_added(tmp_path: Path) -> None:
    """Once both of its tables are, and only once."""
    with exclusive_lock(tmp_path), SnapshotWriter(tmp_path, TEN) as writer:
        add_tables(writer, VIEWS, "fpp_estimations")
        for _ in range(1000):
            if (writer.path / FILE).exists():
                break
            time.sleep(0.01)
        assert (writer.path / FILE).exists()
        votes = frame("votes", []).collect()
        writer.table("fpp_votes", column_names(votes)).write(votes, {})
        writer.begin_activity([*TIMES, "fpp_votes"])
        writer.publish()
    assert parts_of_views(latest(tmp_path)) == 2
    assert_right(latest(tmp_path))


def test_a_disk_that_refuses_it_publishes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is added meanwhile."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(activity_files, "write_synced", full)
    with exclusive_lock(tmp_path), SnapshotWriter(tmp_path, TEN) as writer:
        add_tables(writer, VIEWS, "fpp_estimations")
        with pytest.raises(StorageError, match="No space left"):
            writer.publish()
    assert not list((tmp_path / "snapshots").iterdir())


def test_what_ends_a_sync_waits_until_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that nothing is left behind."""
    begun = Event()

    def slow(path: Path, content: bytes) -> None:
        begun.set()
        time.sleep(0.1)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def fail() -> None:
        with exclusive_lock(tmp_path), SnapshotWriter(tmp_path, TEN) as writer:
            add_tables(writer, VIEWS, "fpp_estimations")
            assert begun.wait(10)
            raise ZeroDivisionError

    monkeypatch.setattr(activity_files, "write_synced", slow)
    with pytest.raises(ZeroDivisionError):
        fail()
    assert not list((tmp_path / "snapshots").iterdir())


def test_it_is_written_again_if_a_table_is_replaced(tmp_path: Path) -> None:
    """As one is that cannot be read to its end."""
    with exclusive_lock(tmp_path), SnapshotWriter(tmp_path, TEN) as writer:
        add_tables(writer, VIEWS, "fpp_estimations")
        writer.discard(VIEWS)
        rows = views(4, 5, 6)
        writer.table(VIEWS, column_names(rows)).write(rows, {})
        writer.publish()
    assert parts_of_views(latest(tmp_path)) == 1
    assert_right(latest(tmp_path))


def test_a_first_sync_begins_to_write_it_before_the_last_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both tables are complete by then."""
    begun: list[list[str]] = []
    begin = SnapshotWriter.begin_activity

    def recorded(writer: SnapshotWriter, complete: Collection[str]) -> None:
        begun.append(sorted(complete))
        begin(writer, complete)

    monkeypatch.setattr(SnapshotWriter, "begin_activity", recorded)
    source = tmp_path / "source.db"
    with closing(sqlite3.connect(source)) as database, database:
        for name, column in TIMES.items():
            database.execute(
                f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, {column} DATETIME, "
                "user_id TEXT, room_id INTEGER, route TEXT, source TEXT)"
            )
            database.execute(
                f"INSERT INTO {name} VALUES (1, '2026-01-01 10:00:00', 'u', 1, '', '')"
            )
        database.execute("CREATE TABLE others (id INTEGER PRIMARY KEY)")
    tables = [Table(name, key="id") for name in (*TIMES, "others")]
    sync(SqliteSource(source), tmp_path / "data", tables, lambda: TEN)
    assert begun[1] == sorted(TIMES)
    assert_right(latest(tmp_path / "data"))


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let 41 rows be many, and parts of less than 20 small."""
    monkeypatch.setattr(activity_files, "FEW_ROWS", 40)
    monkeypatch.setattr(activity_files, "SMALL_SHARE", 2)
    monkeypatch.setattr(activity_files, "JOINED_ROWS", 40)


@pytest.mark.usefixtures("many")
def test_of_many_rows_small_parts_are_left_to_the_reader(tmp_path: Path) -> None:
    """They will be joined soon; new ones cost no more than their own rows."""
    first = write(tmp_path, [views(*range(40)), views(*range(40, 45))])
    assert parts_of_views(first) == 1
    more = add(tmp_path, views(46, 47))
    joined = add(tmp_path, views(*range(40, 48)), drop=2)
    assert inode(first) == inode(more) == inode(joined)
    for snapshot in (first, more, joined):
        assert_right(snapshot)


@pytest.mark.usefixtures("many")
def test_another_large_part_has_all_sorted_again(tmp_path: Path) -> None:
    """It has more than a twentieth of the rows."""
    first = write(tmp_path, [views(*range(40))])
    second = add(tmp_path, views(*range(40, 60)))
    assert inode(second) != inode(first)
    assert parts_of_views(second) == 2
    assert_right(second)


@pytest.mark.usefixtures("many")
def test_a_large_part_that_is_unsorted_may_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sorting all of it costs more than what a few rows cost the reader."""
    first = write(tmp_path, [views(*range(40))])
    monkeypatch.setattr(activity_files, "UNSORTED_SHARE", 2)
    second = add(tmp_path, views(*range(40, 60)))
    assert inode(second) == inode(first)
    assert_right(second)


@pytest.mark.usefixtures("many")
def test_a_part_that_was_changed_has_all_sorted_again(tmp_path: Path) -> None:
    """A row of it may have another visitor, or be gone."""
    write(tmp_path, [views(*range(40)), views(*range(50, 90))])
    changed = add(tmp_path, views(*range(50, 89)), drop=1)
    assert parts_of_views(changed) == 2
    assert_right(changed)


@pytest.mark.parametrize("damage", [flip_a_bit, cut_short, Path.unlink])
def test_a_damaged_file_is_written_again(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    """It has the same bytes."""
    first = write(tmp_path, [views(1, 2, 3)])
    whole = (first.path / FILE).read_bytes()
    damage(first.path / FILE)
    after = link_all(tmp_path)
    assert (after.path / FILE).read_bytes() == whole
    assert_right(after)


def test_nothing_is_sorted_from_damaged_visits(tmp_path: Path) -> None:
    """Its checksum would say that it is right. The next sync writes visits and it."""
    first = write(tmp_path, [views(1, 2, 3)])
    (visits,) = first.side_files(VIEWS, VISITS)
    flip_a_bit(visits)
    (first.path / FILE).unlink()
    assert record(link_all(tmp_path)) is None


def test_events_only_link_it(tmp_path: Path) -> None:
    """They are published every second, and change no visits."""
    first = write(tmp_path, [views(1, 2, 3)])
    assert inode(publish_events(tmp_path)) == inode(first)
    (latest(tmp_path).path / FILE).unlink()
    assert record(publish_events(tmp_path)) is None
    assert_right(link_all(tmp_path))


def publish_events(data_dir: Path) -> Snapshot:
    """Publish the same tables as a drain does."""
    before = latest(data_dir)
    assert before.manifest is not None
    later = before.taken_at + timedelta(hours=1)
    with (
        exclusive_lock(data_dir),
        SnapshotWriter(data_dir, before.taken_at, later) as writer,
    ):
        for name, stored in before.manifest.tables.items():
            writer.link_table(name, stored, Path(before.files(name)[0]).parent)
        writer.publish(before.manifest)
    return latest(data_dir)


def test_tables_without_rows_have_none(tmp_path: Path) -> None:
    """Nor have those of other products."""
    empty = frame("page_views", []).collect()
    with exclusive_lock(tmp_path), SnapshotWriter(tmp_path, TEN) as writer:
        for name, rows in ((VIEWS, empty), ("fpp_estimations", ESTIMATIONS.clear())):
            writer.table(name, column_names(rows)).write(rows, {})
        writer.publish()
    assert record(latest(tmp_path)) is None
    assert not (latest(tmp_path).path / "activity").exists()
    assert record(publish_frames(tmp_path / "other")) is None


@pytest.mark.long("test_few_rows_are_all_sorted_whenever_some_are_new")
def test_whenever_a_sync_dies_a_whole_snapshot_is_there(tmp_path: Path) -> None:
    """The next one leaves nothing behind, and has the activity of its rows."""
    template = tmp_path / "template"
    write(template, [views(1, 2, 3)])
    seen = set()
    for step, folder in at_each_step(template, lambda it: add(it, views(4, 5))):
        snapshot = latest(folder)
        assert_right(snapshot)
        seen.add(parts_of_views(snapshot))
        assert_right(add(folder, views(6)))
        assert not list((folder / "snapshots").glob(".*")), step
    assert seen == {1, 2}


def test_old_snapshots_take_theirs_along(tmp_path: Path) -> None:
    """No other file of it is left."""
    write(tmp_path, [views(1, 2, 3)])
    for minute in range(4, 8):
        add(tmp_path, views(minute))
    kept = list((tmp_path / "snapshots").iterdir())
    assert len(kept) == 3
    assert all((folder / FILE).is_file() for folder in kept)


def test_snapshots_of_the_past_do_without(tmp_path: Path) -> None:
    """They keep their tables only; the newest ones, which are read, keep the file."""
    write(tmp_path, [views(1, 2, 3)])
    for minute in range(4, 8):
        add(tmp_path, views(minute), retention=timedelta(days=1))
    kept = sorted((tmp_path / "snapshots").iterdir())
    assert len(kept) == 5
    assert [(folder / FILE).is_file() for folder in kept] == [False] * 2 + [True] * 3
    assert not (kept[0] / "activity").exists()


def test_a_follower_does_without(tmp_path: Path) -> None:
    """It sorts. What is restored has the file again after the next sync."""
    (tmp_path / "drive").mkdir()
    replica = Replica(f"file://{tmp_path}/drive")
    first = write(tmp_path / "data", [views(1, 2, 3)])
    replica.upload(tmp_path / "data")
    replica.follow(tmp_path / "copy")
    copied = latest(tmp_path / "copy")
    assert record(copied) == record(first)
    assert not (copied.path / "activity").exists()
    assert open_activity(copied) is None
    replica.restore(tmp_path / "restored")
    assert open_activity(latest(tmp_path / "restored")) is None
    assert_right(link_all(tmp_path / "restored"))


def test_a_snapshot_of_an_earlier_version_gets_it(tmp_path: Path) -> None:
    """At the next sync, without a row of the database."""
    first = write(tmp_path, [views(1, 2, 3)])
    (first.path / FILE).unlink()
    assert first.manifest is not None
    earlier = replace(first.manifest, activity=None).to_json()
    assert b"activity" not in earlier
    for name in (MANIFEST, MANIFEST_COPY):
        replace_bytes(first.path / name, earlier)
    assert record(latest(tmp_path)) is None
    assert_right(link_all(tmp_path))
