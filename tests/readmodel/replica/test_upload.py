"""Uploads: what is sent, what is not sent again, and who may write."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from readmodel.replica.layout import POINTER, decode_pointer
from readmodel.replica.transfer import (
    read_inventory,
    read_pointer,
    replica_lock,
    write_state,
)
from readmodel.replica.upload import is_behind
from readmodel.store import snapshot
from readmodel.store.replica_state import read_state
from readmodel.sync.lock import exclusive_lock
from readmodel.sync.snapshot_writer import SnapshotWriter
from tests.support.effort import some_long
from tests.support.replicas import (
    Content,
    Replica,
    content,
    damage_unnoticed,
    publish_ids,
    utc_id,
    votes,
)
from tests.support.snapshots import TEN, column_names, flip_a_bit, ids
from util.errors import ReplicaBusy, ReplicaConflict, ReplicaError


def test_a_replica_has_every_file_of_the_snapshot(
    replica: Replica, tmp_path: Path
) -> None:
    """Each is named by its hash, and equal ones are there once."""
    data = tmp_path / "data"
    published = publish_ids(data, 0, [1], [2])
    report = replica.upload(data)
    assert report
    assert report.snapshot == utc_id(TEN)
    pointer, _ = read_pointer(replica.storage)
    assert pointer
    inventory = read_inventory(replica.storage, pointer, pointer.current)
    stored = {path: it.sha256 for path, it in inventory.files.items()}
    assert stored == {k: v for k, v in published.items() if k != "snapshot.json.copy"}
    hashes = [name.split(".")[0] for name in replica.names() if "objects/" in name]
    assert len(hashes) == len(set(hashes)) == len(set(stored.values()))


def test_only_new_files_are_sent(replica: Replica, tmp_path: Path) -> None:
    """A part that is linked in the next snapshot is in the replica already."""
    data = tmp_path / "data"
    publish_ids(data, 0, [1], [2])
    replica.upload(data)
    before = replica.names()
    assert replica.upload(data) is None
    publish_ids(data, 1, [1], [3])
    report = replica.upload(data)
    assert report
    assert report.files == 1  # the other one is equal, though it was written again
    added = replica.names() - before
    assert len(added) == 3  # the part, the manifest and the inventory
    assert report.bytes < 20_000


def test_a_later_process_does_not_read_again_what_was_sent(
    folder_replica: Replica, tmp_path: Path
) -> None:
    """A part that is damaged since then does no harm to the replica."""
    data = tmp_path / "data"
    publish_ids(data, 0, [1])
    folder_replica.upload(data)
    part = data / "current" / "fpp_votes.parquet" / "part-00000.parquet"
    damage_unnoticed(part)
    with exclusive_lock(data), SnapshotWriter(data, TEN + timedelta(1)) as writer:
        writer.configured = ("fpp_votes",)
        table = writer.table("fpp_votes", column_names(ids(1)))
        stored = snapshot.current(data).manifest
        assert stored
        table.link(stored.tables["fpp_votes"].parts[0], part)
        writer.publish()
    assert folder_replica.upload(data)
    folder_replica.follow(tmp_path / "follower")
    assert votes(tmp_path / "follower") == [1]


def test_two_writers_do_not_interleave(replica: Replica, tmp_path: Path) -> None:
    """The second DATA_DIR is told, whatever it tries, and the replica stays as it was."""
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    publish_ids(ours, 0, [1])
    replica.upload(ours)
    for minute in (1, 2):
        publish_ids(theirs, minute, [9])
        with pytest.raises(ReplicaConflict, match="written by another updater") as told:
            replica.upload(theirs)
        assert "\n" not in str(told.value)
    publish_ids(ours, 3, [1], [2])
    assert replica.upload(ours)
    replica.follow(tmp_path / "follower")
    assert votes(tmp_path / "follower") == [1, 2]


def test_a_writer_that_loses_the_last_step_is_told(
    replica: Replica, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one has written the pointer after it was read."""
    ours, copy = tmp_path / "ours", tmp_path / "copy"
    publish_ids(ours, 0, [1])
    replica.upload(ours)
    shutil.copytree(ours, copy, symlinks=True)
    publish_ids(copy, 1, [1], [2])
    expected = publish_ids(ours, 2, [1], [3])
    swap = replica.storage.swap
    put = replica.storage.put
    monkeypatch.setattr(replica.storage, "swap", lambda *_: replica_of_ours() and False)

    def replica_of_ours() -> bool:
        monkeypatch.setattr(replica.storage, "swap", swap)
        monkeypatch.setattr(replica.storage, "put", put)
        return replica.upload(ours) is not None

    with pytest.raises(ReplicaConflict, match="at the same time"):
        replica.upload(copy)
    replica.follow(tmp_path / "follower")
    assert content(tmp_path / "follower") == expected
    with pytest.raises(ReplicaConflict):
        replica.upload(copy)


def test_of_writers_at_the_same_time_one_succeeds(
    replica: Replica, tmp_path: Path
) -> None:
    """Copies of one DATA_DIR may all write next; the others are told."""
    origin = tmp_path / "origin"
    publish_ids(origin, 0, [1])
    replica.upload(origin)
    contents = {}
    for number in range(4):
        copy = tmp_path / f"{number}"
        shutil.copytree(origin, copy, symlinks=True)
        contents[copy] = publish_ids(copy, 1 + number, [1], [10 + number])

    def write(copy: Path) -> Content | None:
        writer = Replica(replica.url)
        try:
            return contents[copy] if writer.upload(copy) else None
        except ReplicaConflict:
            return None
        finally:
            writer.storage.close()

    with ThreadPoolExecutor(4) as pool:
        (winner,) = filter(None, pool.map(write, contents))
    replica.follow(tmp_path / "follower")
    assert content(tmp_path / "follower") == winner


def test_a_lost_answer_of_the_last_step_is_no_conflict(
    replica: Replica, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next upload sees that the write had arrived, also after further snapshots."""
    data = tmp_path / "data"
    publish_ids(data, 0, [1])
    swap = replica.storage.swap

    def lost(*arguments: object) -> bool:
        assert swap(*arguments)  # type: ignore[arg-type]
        raise ReplicaError("the connection broke")

    for minute in (1, 2):
        publish_ids(data, minute, [minute])
        with monkeypatch.context() as patched:
            patched.setattr(replica.storage, "swap", lost)
            with pytest.raises(ReplicaError, match="broke"):
                replica.upload(data)
    shutil.rmtree(data / "snapshots" / utc_id(TEN + timedelta(minutes=1)))
    publish_ids(data, 3, [3])
    assert replica.upload(data)
    pointer = decode_pointer(replica.storage.read(POINTER, 10_000).content)
    assert len(pointer.snapshots) == 3


def test_a_repeated_write_that_had_arrived_is_a_success(
    replica: Replica, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client repeats a write whose answer was lost, and its condition fails then."""
    data = tmp_path / "data"
    publish_ids(data, 0, [1])
    swap = replica.storage.swap
    monkeypatch.setattr(
        replica.storage, "swap", lambda *arguments: swap(*arguments) and False
    )
    assert replica.upload(data)
    assert not is_behind(data, replica.url)


def test_a_copy_of_data_dir_goes_on_without_its_state(
    replica: Replica, tmp_path: Path
) -> None:
    """It has the replica's snapshot, so the next one follows from it."""
    data = tmp_path / "data"
    publish_ids(data, 0, [1])
    replica.upload(data)
    (data / "replica.json").unlink()
    publish_ids(data, 1, [1], [2])
    report = replica.upload(data)
    assert report
    assert report.files == 1


@pytest.mark.parametrize("what", some_long(["part", "inventory", "current", "all"], 2))
def test_what_somebody_else_removed_is_uploaded_again(
    replica: Replica, tmp_path: Path, what: str
) -> None:
    """Once it is noticed, for which the state forgets what was uploaded."""
    data = tmp_path / "data"
    expected = publish_ids(data, 0, [1], [2])
    replica.upload(data)
    pointer, _ = read_pointer(replica.storage)
    assert pointer
    inventory = read_inventory(replica.storage, pointer, pointer.current)
    names = {
        "part": [inventory.files["fpp_votes.parquet/part-00000.parquet"].object],
        "inventory": [pointer.inventory(pointer.current)],
        "current": ["current"],
        "all": sorted(replica.names()),
    }
    replica.storage.delete(names[what])
    state = read_state(data)
    assert state
    write_state(data, replace(state, snapshot=None, objects={}))
    assert replica.upload(data)
    replica.follow(tmp_path / "follower")
    assert content(tmp_path / "follower") == expected
    write_state(data, replace(state, snapshot=None, objects={}))
    assert replica.upload(data) is None


def test_a_damaged_part_is_not_uploaded(replica: Replica, tmp_path: Path) -> None:
    """The replica keeps its snapshot; the message names the file."""
    data = tmp_path / "data"
    publish_ids(data, 0, [1])
    replica.upload(data)
    publish_ids(data, 1, [1], [2])
    flip_a_bit(data / "current" / "fpp_votes.parquet" / "part-00001.parquet")
    with pytest.raises(
        ReplicaError, match=r"fpp_votes.parquet/part-00001.parquet is dam"
    ):
        replica.upload(data)
    replica.follow(tmp_path / "follower")
    assert votes(tmp_path / "follower") == [1]


def test_a_part_that_is_gone_is_named(folder_replica: Replica, tmp_path: Path) -> None:
    """A snapshot without all of its files is not uploaded."""
    data = tmp_path / "data"
    publish_ids(data, 0, [1])
    (data / "current" / "fpp_votes.parquet" / "part-00000.parquet").unlink()
    with pytest.raises(ReplicaError, match=r"part-00000.parquet is missing"):
        folder_replica.upload(data)


def test_a_snapshot_that_is_removed_meanwhile_gives_way_to_the_newest(
    folder_replica: Replica, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow upload takes longer than snapshots are kept."""
    data = tmp_path / "data"
    publish_ids(data, 0, [1], [2])
    send = folder_replica.storage.upload

    def slow(name: str, file: Path) -> None:
        monkeypatch.setattr(folder_replica.storage, "upload", send)
        publish_ids(data, 60, [1], [2], [3])
        shutil.rmtree(data / "snapshots" / utc_id(TEN))
        send(name, file)

    monkeypatch.setattr(folder_replica.storage, "upload", slow)
    report = folder_replica.upload(data)
    assert report
    assert report.snapshot == utc_id(TEN + timedelta(hours=1))


def test_snapshots_are_thinned_out_like_the_local_ones(
    folder_replica: Replica, tmp_path: Path
) -> None:
    """Of those older than an hour one of each hour stays, then of each day."""
    data = tmp_path / "data"
    for minute in (0, 5, 70, 75, 80, 200):
        publish_ids(data, minute, [minute])
        folder_replica.now = TEN + timedelta(minutes=minute)
        folder_replica.upload(data)
    pointer, _ = read_pointer(folder_replica.storage)
    assert pointer
    expected = [utc_id(TEN + timedelta(minutes=minute)) for minute in (5, 75, 80, 200)]
    assert list(pointer.snapshots) == expected


def test_two_processes_do_not_upload_at_once(
    folder_replica: Replica, tmp_path: Path
) -> None:
    """The second one leaves it to the first."""
    publish_ids(tmp_path / "data", 0, [1])
    with replica_lock(tmp_path / "data"), pytest.raises(ReplicaBusy):
        folder_replica.upload(tmp_path / "data")


def test_without_a_read_model_nothing_is_uploaded(
    folder_replica: Replica, tmp_path: Path
) -> None:
    """Nor for the files of the earlier system."""
    assert folder_replica.upload(tmp_path / "data") is None
    assert folder_replica.names() == set()


def test_logs_and_the_ledger_of_reports_come_along(
    folder_replica: Replica, tmp_path: Path
) -> None:
    """Other files of DATA_DIR do not."""
    data = tmp_path / "data"
    publish_ids(data, 0, [1])
    (data / "reports").mkdir()
    ledger = ["2026-11-25.1.claim.json", "2026-11-25.1.outcome.json"]
    for name in (*ledger, ".2026-11-26.1.claim.json.part"):
        (data / "reports" / name).write_text(name)
    (data / "sync_runs.parquet").write_text("log")
    (data / "notes.txt").write_text("mine")
    folder_replica.upload(data)
    restored = tmp_path / "restored"
    folder_replica.restore(restored)
    found = {path.name: path.read_text() for path in (restored / "reports").iterdir()}
    assert found == {name: name for name in ledger}
    assert (restored / "sync_runs.parquet").read_text() == "log"
    assert not (restored / "notes.txt").exists()
