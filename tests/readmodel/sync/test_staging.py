"""Building and publishing a snapshot: all or nothing, and nothing left behind."""

import errno
import fcntl
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from readmodel.store.damage import checksum
from readmodel.store.history import kept_ids
from readmodel.store.manifest import Manifest
from readmodel.store.snapshot import MANIFEST, current, latest
from readmodel.sync import staging
from readmodel.sync.snapshot_retention import KEEP_YOUNGER
from readmodel.sync.staging import SnapshotWriter, exclusive_lock, make_room
from readmodel.tables import TABLES
from tests.support.programs import ROOT
from tests.support.snapshots import (
    TEN,
    column_names,
    ids,
    link_all,
    plain_files,
    publish_frames,
)
from tests.support.visits import TABLE, publish_visits, visits_of
from util.errors import StorageError, SyncRunning


def test_an_unchanged_part_is_a_hard_link(tmp_path: Path) -> None:
    """Linking a part costs no space and keeps its record, under its new number."""
    first = publish_frames(tmp_path, frames={"fpp_votes": [ids(1), ids(2)]})
    assert first.manifest is not None
    stored = first.manifest.tables["fpp_votes"]
    file = first.path / "fpp_votes.parquet" / "part-00001.parquet"
    with (
        exclusive_lock(tmp_path),
        SnapshotWriter(tmp_path, TEN + timedelta(hours=1)) as writer,
    ):
        writer.table("fpp_votes", stored.columns, TEN).link(stored.parts[1], file)
        writer.publish()
    second = latest(tmp_path)
    assert second.manifest is not None
    new = second.path / "fpp_votes.parquet" / "part-00000.parquet"
    assert new.samefile(file)
    (part,) = second.manifest.tables["fpp_votes"].parts
    assert part == replace(stored.parts[1], file="part-00000.parquet")
    assert part.checked_at == TEN
    assert second.scan("fpp_votes").collect()["id"].to_list() == [2]


def test_a_part_carries_its_footer_and_its_record_is_that_of_the_file(
    tmp_path: Path,
) -> None:
    """Size and checksum are those of the bytes on disk."""
    with exclusive_lock(tmp_path), SnapshotWriter(tmp_path, TEN) as writer:
        table = writer.table("fpp_votes", column_names(ids()))
        part = table.write(ids(1), {"fpp-analytics": '{"blocks": []}'})
        file = writer.path / "fpp_votes.parquet" / part.file
        footer = pl.read_parquet_metadata(file)
        assert footer["fpp-analytics"] == '{"blocks": []}'
        assert (part.rows, part.bytes) == (1, file.stat().st_size)
        assert part.crc32 == checksum(file)


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


def test_the_first_snapshot_replaces_plain_files(tmp_path: Path) -> None:
    """Each file becomes a link into the current snapshot."""
    plain_files(tmp_path)
    publish_frames(tmp_path)
    assert current(tmp_path).id == "20261121T100000.000000Z"
    for name in TABLES:
        link = tmp_path / f"{name}.parquet"
        assert str(link.readlink()) == f"current/{name}.parquet"


def test_the_link_of_a_table_no_longer_mirrored_goes(tmp_path: Path) -> None:
    """Other people's links and files stay."""
    publish_frames(tmp_path, frames={"orders": [ids(1)]})
    (tmp_path / "mine.parquet").symlink_to("/dev/null")
    assert (tmp_path / "orders.parquet").exists()
    publish_frames(tmp_path, TEN + timedelta(minutes=1))
    assert not (tmp_path / "orders.parquet").is_symlink()
    assert (tmp_path / "mine.parquet").is_symlink()


def snapshots(data_dir: Path) -> list[str]:
    """The times of day of the snapshots on disk, as HHMMSS."""
    return sorted(path.name[9:15] for path in (data_dir / "snapshots").iterdir())


def test_the_newest_and_the_young_snapshots_stay(tmp_path: Path) -> None:
    """Three whatever their age, and all of the last ten minutes."""
    for hour in range(5):
        publish_frames(tmp_path, TEN + timedelta(hours=hour))
    assert snapshots(tmp_path) == ["120000", "130000", "140000"]
    for minute in range(4, 11, 2):
        publish_frames(tmp_path, TEN + timedelta(hours=4, minutes=minute))
    assert snapshots(tmp_path) == ["140000", "140400", "140600", "140800", "141000"]
    publish_frames(tmp_path, TEN + timedelta(hours=4, minutes=10, microseconds=1))
    assert snapshots(tmp_path)[0] == "140400"


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


def test_leftovers_of_a_killed_run_are_removed(tmp_path: Path) -> None:
    """Staged folders, unfinished links, and a snapshot that never became current."""
    before = publish_frames(tmp_path)
    staged = tmp_path / "snapshots" / ".staged-20261121T110000.000000Z"
    orphan = tmp_path / "snapshots" / "20261121T110000.000000Z"
    for place in (staged, orphan):
        (place / "fpp_votes.parquet").mkdir(parents=True)
        (place / "fpp_votes.parquet" / "part-00000.parquet").write_bytes(b"PAR1")
    (tmp_path / ".link-current").symlink_to("snapshots/x")
    (tmp_path / ".current.part").symlink_to("snapshots/x")
    (tmp_path / ".sync_runs.parquet.part").write_bytes(b"PAR1")
    with exclusive_lock(tmp_path):
        pass
    assert [path.name for path in (tmp_path / "snapshots").iterdir()] == [before.id]
    assert not list(tmp_path.glob(".*"))
    assert current(tmp_path) == before


HOLDER = """
import signal, sys
from pathlib import Path
from readmodel.sync import staging
from readmodel.sync.snapshot_retention import KEEP_YOUNGER
from readmodel.sync.staging import exclusive_lock
with exclusive_lock(Path(sys.argv[1])):
    print("locked", flush=True)
    signal.pause()
"""


def test_a_second_writer_is_refused_and_a_killed_one_blocks_nobody(
    tmp_path: Path,
) -> None:
    """The lock belongs to the process, not to the file."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        with (
            pytest.raises(SyncRunning, match="Another updater"),
            exclusive_lock(tmp_path),
        ):
            raise AssertionError("two writers at once")
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with (
        exclusive_lock(tmp_path),
        (tmp_path / "update.lock").open() as lock,
        pytest.raises(BlockingIOError),
    ):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    """DATA_DIR is a file: one sentence with its path and the reason."""
    place = tmp_path / "data"
    place.write_text("")
    with (
        pytest.raises(StorageError, match=f"DATA_DIR {place} cannot be used: File"),
        exclusive_lock(place),
    ):
        raise AssertionError("a file served as a folder")


def test_a_linked_part_has_its_visits_linked_too(tmp_path: Path) -> None:
    """Nothing is computed or written again."""
    before = publish_visits(tmp_path)
    after = link_all(tmp_path)
    assert after.id != before.id
    for one, other in zip(visits_of(before), visits_of(after), strict=True):
        assert one.samefile(other)


def of_another_hash(manifest: Manifest) -> Manifest:
    """The manifest that another version of Polars would have written."""
    return with_visits(manifest, "another")


def of_an_earlier_version(manifest: Manifest) -> Manifest:
    """The manifest of a version without visits."""
    return with_visits(manifest, None)


def with_visits(manifest: Manifest, hash_fingerprint: str | None) -> Manifest:
    """Record visits of this hash, or none."""
    tables = {
        name: replace(
            stored,
            parts=tuple(
                replace(
                    part,
                    visits=replace(part.visits, hash_fingerprint=hash_fingerprint)
                    if part.visits and hash_fingerprint
                    else None,
                )
                for part in stored.parts
            ),
        )
        for name, stored in manifest.tables.items()
    }
    return replace(manifest, tables=tables)


@pytest.mark.parametrize("changed", [of_another_hash, of_an_earlier_version])
def test_unusable_visits_are_ignored_and_written_again(
    tmp_path: Path, changed: Callable[[Manifest], Manifest]
) -> None:
    """Until the next sync they are derived from the rows."""
    published = publish_visits(tmp_path)
    right = published.visits(TABLE).collect()
    for file in visits_of(published):
        file.write_bytes(b"PAR1 hashes that mean nothing here")
    assert published.manifest is not None
    manifest = changed(published.manifest)
    (published.path / MANIFEST).write_bytes(manifest.to_json())
    assert_frame_equal(current(tmp_path).visits(TABLE).collect(), right)
    after = link_all(tmp_path)
    assert "fpp_estimations.visits" in after.visits(TABLE).explain()
    assert_frame_equal(after.visits(TABLE).collect(), right)


def test_a_damaged_part_is_linked_without_visits(tmp_path: Path) -> None:
    """Linking reads no rows; comparing checksums will find the damage."""
    published = publish_visits(tmp_path)
    visits_of(published)[0].unlink()
    Path(published.files(TABLE)[0]).write_bytes(b"no Parquet")
    after = link_all(tmp_path)
    assert after.manifest is not None
    found = [part.visits is not None for part in after.manifest.tables[TABLE].parts]
    assert found == [False, True]


def test_old_snapshots_go_before_a_new_one_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is full stays full otherwise: nothing is published that could free it."""
    for minute in range(3):
        publish_frames(tmp_path, TEN + timedelta(minutes=minute))
    full = SimpleNamespace(free=0)
    monkeypatch.setattr("shutil.disk_usage", lambda _: full)
    soon, later = TEN + timedelta(minutes=12), TEN + timedelta(minutes=13)
    for moment, left in ((soon, 3), (later, 1)):
        make_room(tmp_path, moment, KEEP_YOUNGER)
        assert len(kept_ids(tmp_path)) == left


def test_a_full_disk_says_how_much_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that somebody can make room."""
    publish_frames(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=3 * 2**20))

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(staging, "write_synced", refuse)
    match = "is full.*3 MB are free; make room for 1 MB more"
    with pytest.raises(StorageError, match=match):
        publish_frames(tmp_path, TEN + timedelta(hours=1))
