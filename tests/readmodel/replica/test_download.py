"""Following and restoring: equal bytes, little traffic, nothing of others replaced."""

import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from readmodel.replica.layout import file_object
from readmodel.replica.transfer import read_inventory, read_pointer
from readmodel.store import history, snapshot
from readmodel.store.replica_state import read_state
from tests.support.replicas import (
    Replica,
    content,
    damage_unnoticed,
    publish_ids,
    utc_id,
    votes,
)
from tests.support.snapshots import TEN, flip_a_bit, plain_files
from util.errors import ObjectMissing, ReplicaConflict, ReplicaError


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The DATA_DIR of the updater."""
    return tmp_path / "data"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The DATA_DIR of another host."""
    return tmp_path / "copy"


def test_a_follower_has_the_snapshot_byte_for_byte(
    replica: Replica, data: Path, copy: Path
) -> None:
    """It is published as by a sync: `current`, and a link per table."""
    published = publish_ids(data, 0, [1], [2])
    replica.upload(data)
    report = replica.follow(copy)
    assert report
    assert report.snapshot == snapshot.current(copy).id == utc_id(TEN)
    assert content(copy) == published
    assert (copy / "fpp_votes.parquet").readlink() == Path("current/fpp_votes.parquet")
    assert votes(copy) == [1, 2]
    assert replica.follow(copy) is None


def test_a_follower_downloads_what_is_new_and_links_the_rest(
    replica: Replica, data: Path, copy: Path
) -> None:
    """A part that did not change is the same file as before."""
    publish_ids(data, 0, [1], [2])
    replica.upload(data)
    replica.follow(copy)
    part = copy / "current" / "fpp_votes.parquet" / "part-00000.parquet"
    inode = part.stat().st_ino
    published = publish_ids(data, 1, [1], [3])
    replica.upload(data)
    report = replica.follow(copy)
    assert report
    assert report.files == 2  # the manifest and the part
    assert content(copy) == published
    assert part.stat().st_ino == inode
    assert not (copy / ".replica").exists()


def test_a_linked_file_that_is_damaged_is_downloaded(
    folder_replica: Replica, data: Path, copy: Path
) -> None:
    """So small a snapshot is compared as a whole each time."""
    publish_ids(data, 0, [1], [2])
    folder_replica.upload(data)
    folder_replica.follow(copy)
    part = copy / "current" / "fpp_votes.parquet" / "part-00000.parquet"
    damage_unnoticed(part)
    published = publish_ids(data, 1, [1], [3])
    folder_replica.upload(data)
    folder_replica.follow(copy)
    assert content(copy) == published


def test_a_damaged_object_is_refused(replica: Replica, data: Path, copy: Path) -> None:
    """The follower keeps what it has, and nothing of the object stays there."""
    publish_ids(data, 0, [1])
    replica.upload(data)
    replica.follow(copy)
    publish_ids(data, 1, [1], [2])
    replica.upload(data)
    pointer, _ = read_pointer(replica.storage)
    assert pointer
    inventory = read_inventory(replica.storage, pointer, pointer.current)
    name = inventory.files["fpp_votes.parquet/part-00001.parquet"].object
    intact = replica.storage.read(name, 10_000).content
    for wrong in (intact[:-1], intact + b"x", intact[:-1] + b"x"):
        replica.storage.put(name, wrong)
        with pytest.raises(ReplicaError, match=name):
            replica.follow(copy)
        assert votes(copy) == [1]
    replica.storage.put(name, intact)
    assert replica.follow(copy)
    assert votes(copy) == [1, 2]


@pytest.mark.parametrize("damage", ["current", "inventory", "manifest"])
def test_a_damaged_record_is_refused(
    folder_replica: Replica, data: Path, copy: Path, damage: str
) -> None:
    """Nothing in it is believed."""
    publish_ids(data, 0, [1])
    folder_replica.upload(data)
    pointer, _ = read_pointer(folder_replica.storage)
    assert pointer
    inventory = read_inventory(folder_replica.storage, pointer, pointer.current)
    name = {
        "current": "current",
        "inventory": pointer.inventory(pointer.current),
        "manifest": inventory.files["snapshot.json"].object,
    }[damage]
    drive = Path(folder_replica.url.removeprefix("file://"))
    flip_a_bit(drive / name)
    with pytest.raises(ReplicaError, match="damaged"):
        folder_replica.follow(copy)
    assert content(copy) == {}


def test_a_snapshot_that_is_removed_meanwhile_gives_way_to_the_newest(
    folder_replica: Replica, data: Path, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was downloaded is used for the next attempt."""
    publish_ids(data, 0, [1], [2])
    folder_replica.upload(data)
    fetch = folder_replica.storage.fetch
    fetched: list[str] = []

    def slow(name: str, write: object) -> None:
        fetched.append(name)
        if len(fetched) == 3:
            publish_ids(data, 1, [1], [3])
            folder_replica.upload(data)
            raise ObjectMissing(f"{name} does not exist")
        fetch(name, write)  # type: ignore[arg-type]

    monkeypatch.setattr(folder_replica.storage, "fetch", slow)
    report = folder_replica.follow(copy)
    assert report
    assert report.snapshot == utc_id(TEN + timedelta(minutes=1))
    assert votes(copy) == [1, 3]


def test_a_folder_with_snapshots_of_its_own_is_not_followed_into(
    folder_replica: Replica, data: Path, copy: Path
) -> None:
    """Whatever is in it: the updater's own, another replica's, the earlier system's."""
    publish_ids(data, 0, [1])
    folder_replica.upload(data)
    publish_ids(copy, 5, [9])
    with pytest.raises(ReplicaConflict, match="folder of its own"):
        folder_replica.follow(copy)
    assert votes(copy) == [9]
    with pytest.raises(ReplicaConflict):
        folder_replica.follow(data)  # at the same snapshot
    publish_ids(data, 1, [1], [2])
    with pytest.raises(ReplicaConflict):
        folder_replica.follow(data)  # and ahead of it
    assert votes(data) == [1, 2]
    shutil.rmtree(copy)
    copy.mkdir()
    plain_files(copy)
    with pytest.raises(ReplicaConflict):
        folder_replica.follow(copy)


def test_a_follower_that_is_promoted_writes_the_replica(
    replica: Replica, data: Path, copy: Path
) -> None:
    """The former writer is told, and the follower is none any more."""
    publish_ids(data, 0, [1])
    replica.upload(data)
    replica.follow(copy)
    publish_ids(copy, 1, [1], [2])
    report = replica.upload(copy)
    assert report
    assert report.files == 1
    publish_ids(data, 2, [1], [3])
    with pytest.raises(ReplicaConflict):
        replica.upload(data)
    with pytest.raises(ReplicaConflict):
        replica.follow(copy)


def test_a_clock_that_was_set_back_does_not_stop_a_follower(
    folder_replica: Replica, data: Path, copy: Path
) -> None:
    """Nor does what a killed follower left in the place of the snapshot."""
    publish_ids(data, 5, [1])
    folder_replica.upload(data)
    folder_replica.follow(copy)
    published = publish_ids(data, 3, [1], [2])
    assert folder_replica.upload(data)
    left = copy / "snapshots" / utc_id(TEN + timedelta(minutes=3)) / "fpp_votes.parquet"
    left.mkdir(parents=True)
    (left / "part-00000.parquet").touch()
    assert folder_replica.follow(copy)
    assert content(copy) == published


def test_without_a_replica_there_is_nothing_to_follow(
    folder_replica: Replica, copy: Path
) -> None:
    """It may not have been written yet."""
    with pytest.raises(ReplicaError, match="There is no replica at file://"):
        folder_replica.follow(copy)


def test_a_follower_keeps_earlier_snapshots_for_a_while(
    folder_replica: Replica, data: Path, copy: Path
) -> None:
    """As the updater does: a request that reads one finds it until it ends."""
    for minute in (0, 1, 2, 30):
        publish_ids(data, minute, [minute])
        folder_replica.upload(data)
        folder_replica.follow(copy)
    expected = [utc_id(TEN + timedelta(minutes=minute)) for minute in (1, 2, 30)]
    assert history.kept_ids(copy) == expected


def test_a_restored_folder_goes_on_as_the_writer(
    replica: Replica, data: Path, copy: Path
) -> None:
    """With the history; the former writer is told."""
    for minute in (0, 1, 2):
        published = publish_ids(data, minute, [1], [minute])
        replica.upload(data)
    report = replica.restore(copy)
    assert report.snapshot == utc_id(TEN + timedelta(minutes=2))
    assert content(copy) == published
    assert len(history.kept_ids(copy)) == 3
    earlier = history.snapshot_at(copy, TEN + timedelta(minutes=1))
    assert earlier.scan("fpp_votes").collect()["id"].to_list() == [1, 1]
    assert replica.upload(copy) is None
    publish_ids(copy, 3, [1], [7])
    sent = replica.upload(copy)
    assert sent
    assert sent.files == 1
    publish_ids(data, 4, [1], [8])
    with pytest.raises(ReplicaConflict):
        replica.upload(data)


def test_an_earlier_snapshot_can_be_restored(
    replica: Replica, data: Path, copy: Path
) -> None:
    """The last one that existed at that instant; the replica goes on from it."""
    contents = {}
    for minute in (0, 10, 20):
        contents[minute] = publish_ids(data, minute, [minute])
        replica.upload(data)
    with pytest.raises(ReplicaError, match="the oldest one is of 2026-11-21T10:00:00"):
        replica.restore(copy, TEN - timedelta(seconds=1))
    replica.restore(copy, TEN + timedelta(minutes=19))
    assert content(copy) == contents[10]
    assert len(history.kept_ids(copy)) == 2
    assert replica.upload(copy) is None
    following = publish_ids(copy, 40, [4])
    assert replica.upload(copy)
    other = copy.with_name("other")
    replica.follow(other)
    assert content(other) == following


@pytest.mark.parametrize("kind", ["snapshot", "plain files", "broken link"])
def test_a_folder_with_a_read_model_is_not_restored_into(
    folder_replica: Replica, data: Path, copy: Path, kind: str
) -> None:
    """Nothing in it changes."""
    publish_ids(data, 0, [1])
    folder_replica.upload(data)
    if kind == "snapshot":
        publish_ids(copy, 0, [9])
    else:
        copy.mkdir()
        if kind == "plain files":
            plain_files(copy)
        else:
            (copy / "current").symlink_to("snapshots/gone")
    before = sorted(path.name for path in copy.iterdir())
    with pytest.raises(ReplicaConflict, match="has a read model"):
        folder_replica.restore(copy)
    after = sorted(path.name for path in copy.iterdir())
    assert set(after) - set(before) <= {"replica.lock"}


def test_a_log_elsewhere_is_not_written(
    folder_replica: Replica, data: Path, copy: Path
) -> None:
    """Whoever can write the storage cannot write other files of a follower."""
    from dataclasses import replace
    from hashlib import sha256

    from readmodel.replica.layout import (
        StoredFile,
        encode_inventory,
        encode_pointer,
    )

    publish_ids(data, 0, [1])
    folder_replica.upload(data)
    storage = folder_replica.storage
    pointer, _ = read_pointer(storage)
    assert pointer
    inventory = read_inventory(storage, pointer, pointer.current)
    evil = file_object(sha256(b"evil").hexdigest(), "0" * 32)
    storage.put(evil, b"evil")
    stored = StoredFile(evil, 4)
    names = ("../evil", "/tmp/evil", "reports/../evil", "reports/x.json", "update.lock")
    forged = replace(
        inventory,
        logs=dict.fromkeys(names, stored),
        files={**inventory.files, "../../evil": stored, "extra": stored},
    )
    encoded = encode_inventory(forged)
    digest = sha256(encoded).hexdigest()
    changed = replace(pointer, snapshots={pointer.current: digest})
    storage.put(changed.inventory(pointer.current), encoded)
    storage.put("current", encode_pointer(changed))
    folder_replica.follow(copy)
    assert votes(copy) == [1]
    assert not list(copy.parent.rglob("evil"))
    assert not (copy / "current" / "extra").exists()
    assert (copy / "update.lock").read_bytes() == b""


def test_the_state_says_what_was_transferred(
    folder_replica: Replica, data: Path, copy: Path
) -> None:
    """For `status` and the metrics."""
    publish_ids(data, 0, [1])
    report = folder_replica.upload(data)
    folder_replica.follow(copy)
    publish_ids(data, 2, [2])
    state = read_state(data)
    assert state
    assert report
    assert (state.role, state.bytes) == ("writer", report.bytes)
    assert state.lag_seconds(data) == 120
    followed = read_state(copy)
    assert followed
    assert (followed.role, followed.lag_seconds(copy)) == ("follower", 0)
