"""Following and restoring: equal bytes, little traffic, nothing of others replaced."""

import shutil
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import pytest

from readmodel.replica.download import DownloadReport
from readmodel.replica.layout import file_object
from readmodel.replica.transfer import read_inventory, read_pointer
from readmodel.store import history, snapshot
from readmodel.store.replica_state import read_state
from tests.support.replicas import (
    Content,
    Replica,
    content,
    damage_unnoticed,
    publish_ids,
    utc_id,
    votes,
)
from tests.support.snapshots import TEN, flip_a_bit, plain_files
from util.errors import ObjectMissing, ReplicaConflict, ReplicaError


class Hosts(NamedTuple):
    """The updater's DATA_DIR, that of another host, and the replica between them."""

    replica: Replica
    data: Path
    copy: Path

    def publish(self, minute: int, *parts: list[int]) -> Content:
        """Publish and upload votes with these *parts* of ids; the files."""
        published = publish_ids(self.data, minute, *parts)
        self.replica.upload(self.data)
        return published

    def follow(self) -> DownloadReport | None:
        """Download to the other host."""
        return self.replica.follow(self.copy)


@pytest.fixture
def hosts(replica: Replica, tmp_path: Path) -> Hosts:
    """Two hosts, and each kind of replica."""
    return Hosts(replica, tmp_path / "data", tmp_path / "copy")


@pytest.fixture
def folder_hosts(folder_replica: Replica, tmp_path: Path) -> Hosts:
    """Two hosts, and a replica in a folder."""
    return Hosts(folder_replica, tmp_path / "data", tmp_path / "copy")


def test_a_follower_has_the_snapshot_byte_for_byte(hosts: Hosts) -> None:
    """It is published as by a sync: `current`, and a link per table."""
    published = hosts.publish(0, [1], [2])
    report = hosts.follow()
    assert report
    assert report.snapshot == snapshot.current(hosts.copy).id == utc_id(TEN)
    assert content(hosts.copy) == published
    assert (hosts.copy / "fpp_votes.parquet").readlink() == Path(
        "current/fpp_votes.parquet"
    )
    assert votes(hosts.copy) == [1, 2]
    assert hosts.follow() is None


def test_a_follower_downloads_what_is_new_and_links_the_rest(hosts: Hosts) -> None:
    """A part that did not change is the same file as before."""
    hosts.publish(0, [1], [2])
    hosts.follow()
    part = hosts.copy / "current" / "fpp_votes.parquet" / "part-00000.parquet"
    inode = part.stat().st_ino
    published = hosts.publish(1, [1], [3])
    report = hosts.follow()
    assert report
    assert report.files == 2  # the manifest and the part
    assert content(hosts.copy) == published
    assert part.stat().st_ino == inode
    assert not (hosts.copy / ".replica").exists()


def test_a_linked_file_that_is_damaged_is_downloaded(folder_hosts: Hosts) -> None:
    """So small a snapshot is compared as a whole each time."""
    folder_hosts.publish(0, [1], [2])
    folder_hosts.follow()
    part = folder_hosts.copy / "current" / "fpp_votes.parquet" / "part-00000.parquet"
    damage_unnoticed(part)
    published = folder_hosts.publish(1, [1], [3])
    folder_hosts.follow()
    assert content(folder_hosts.copy) == published


def test_a_damaged_object_is_refused(hosts: Hosts) -> None:
    """The follower keeps what it has, and nothing of the object stays there."""
    hosts.publish(0, [1])
    hosts.follow()
    hosts.publish(1, [1], [2])
    pointer, _ = read_pointer(hosts.replica.storage)
    assert pointer
    inventory = read_inventory(hosts.replica.storage, pointer, pointer.current)
    name = inventory.files["fpp_votes.parquet/part-00001.parquet"].object
    intact = hosts.replica.storage.read(name, 10_000).content
    for wrong in (intact[:-1], intact + b"x", intact[:-1] + b"x"):
        hosts.replica.storage.put(name, wrong)
        with pytest.raises(ReplicaError, match=name):
            hosts.follow()
        assert votes(hosts.copy) == [1]
    hosts.replica.storage.put(name, intact)
    assert hosts.follow()
    assert votes(hosts.copy) == [1, 2]


@pytest.mark.parametrize("damage", ["current", "inventory", "manifest"])
def test_a_damaged_record_is_refused(folder_hosts: Hosts, damage: str) -> None:
    """Nothing in it is believed."""
    folder_hosts.publish(0, [1])
    pointer, _ = read_pointer(folder_hosts.replica.storage)
    assert pointer
    inventory = read_inventory(folder_hosts.replica.storage, pointer, pointer.current)
    name = {
        "current": "current",
        "inventory": pointer.inventory(pointer.current),
        "manifest": inventory.files["snapshot.json"].object,
    }[damage]
    drive = Path(folder_hosts.replica.url.removeprefix("file://"))
    flip_a_bit(drive / name)
    with pytest.raises(ReplicaError, match="damaged"):
        folder_hosts.follow()
    assert content(folder_hosts.copy) == {}


def test_a_snapshot_that_is_removed_meanwhile_gives_way_to_the_newest(
    folder_hosts: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was downloaded is used for the next attempt."""
    folder_hosts.publish(0, [1], [2])
    fetch = folder_hosts.replica.storage.fetch
    fetched: list[str] = []

    def slow(name: str, write: object) -> None:
        fetched.append(name)
        if len(fetched) == 3:
            folder_hosts.publish(1, [1], [3])
            raise ObjectMissing(f"{name} does not exist")
        fetch(name, write)  # type: ignore[arg-type]

    monkeypatch.setattr(folder_hosts.replica.storage, "fetch", slow)
    report = folder_hosts.follow()
    assert report
    assert report.snapshot == utc_id(TEN + timedelta(minutes=1))
    assert votes(folder_hosts.copy) == [1, 3]


def test_a_folder_with_snapshots_of_its_own_is_not_followed_into(
    folder_hosts: Hosts,
) -> None:
    """Whatever is in it: the updater's own, another replica's, the earlier system's."""
    folder_hosts.publish(0, [1])
    publish_ids(folder_hosts.copy, 5, [9])
    with pytest.raises(ReplicaConflict, match="folder of its own"):
        folder_hosts.follow()
    assert votes(folder_hosts.copy) == [9]
    with pytest.raises(ReplicaConflict):
        folder_hosts.replica.follow(folder_hosts.data)  # at the same snapshot
    publish_ids(folder_hosts.data, 1, [1], [2])
    with pytest.raises(ReplicaConflict):
        folder_hosts.replica.follow(folder_hosts.data)  # and ahead of it
    assert votes(folder_hosts.data) == [1, 2]
    shutil.rmtree(folder_hosts.copy)
    folder_hosts.copy.mkdir()
    plain_files(folder_hosts.copy)
    with pytest.raises(ReplicaConflict):
        folder_hosts.follow()


def test_a_follower_that_is_promoted_writes_the_replica(hosts: Hosts) -> None:
    """The former writer is told, and the follower is none any more."""
    hosts.publish(0, [1])
    hosts.follow()
    publish_ids(hosts.copy, 1, [1], [2])
    report = hosts.replica.upload(hosts.copy)
    assert report
    assert report.files == 1
    publish_ids(hosts.data, 2, [1], [3])
    with pytest.raises(ReplicaConflict):
        hosts.replica.upload(hosts.data)
    with pytest.raises(ReplicaConflict):
        hosts.follow()


def test_a_clock_that_was_set_back_does_not_stop_a_follower(
    folder_hosts: Hosts,
) -> None:
    """Nor does what a killed follower left in the place of the snapshot."""
    folder_hosts.publish(5, [1])
    folder_hosts.follow()
    published = publish_ids(folder_hosts.data, 3, [1], [2])
    assert folder_hosts.replica.upload(folder_hosts.data)
    left = (
        folder_hosts.copy
        / "snapshots"
        / utc_id(TEN + timedelta(minutes=3))
        / "fpp_votes.parquet"
    )
    left.mkdir(parents=True)
    (left / "part-00000.parquet").touch()
    assert folder_hosts.follow()
    assert content(folder_hosts.copy) == published


def test_without_a_replica_there_is_nothing_to_follow(folder_hosts: Hosts) -> None:
    """It may not have been written yet."""
    with pytest.raises(ReplicaError, match="There is no replica at file://"):
        folder_hosts.follow()


def test_a_follower_keeps_earlier_snapshots_for_a_while(folder_hosts: Hosts) -> None:
    """As the updater does: a request that reads one finds it until it ends."""
    for minute in (0, 1, 2, 30):
        folder_hosts.publish(minute, [minute])
        folder_hosts.follow()
    expected = [utc_id(TEN + timedelta(minutes=minute)) for minute in (1, 2, 30)]
    assert history.kept_ids(folder_hosts.copy) == expected


def test_a_restored_folder_goes_on_as_the_writer(hosts: Hosts) -> None:
    """With the history; the former writer is told."""
    for minute in (0, 1, 2):
        published = hosts.publish(minute, [1], [minute])
    report = hosts.replica.restore(hosts.copy)
    assert report.snapshot == utc_id(TEN + timedelta(minutes=2))
    assert content(hosts.copy) == published
    assert len(history.kept_ids(hosts.copy)) == 3
    earlier = history.snapshot_at(hosts.copy, TEN + timedelta(minutes=1))
    assert earlier.scan("fpp_votes").collect()["id"].to_list() == [1, 1]
    assert hosts.replica.upload(hosts.copy) is None
    publish_ids(hosts.copy, 3, [1], [7])
    sent = hosts.replica.upload(hosts.copy)
    assert sent
    assert sent.files == 1
    publish_ids(hosts.data, 4, [1], [8])
    with pytest.raises(ReplicaConflict):
        hosts.replica.upload(hosts.data)


def test_an_earlier_snapshot_can_be_restored(hosts: Hosts) -> None:
    """The last one that existed at that instant; the replica goes on from it."""
    contents = {}
    for minute in (0, 10, 20):
        contents[minute] = hosts.publish(minute, [minute])
    with pytest.raises(ReplicaError, match="the oldest one is of 2026-11-21T10:00:00"):
        hosts.replica.restore(hosts.copy, TEN - timedelta(seconds=1))
    hosts.replica.restore(hosts.copy, TEN + timedelta(minutes=19))
    assert content(hosts.copy) == contents[10]
    assert len(history.kept_ids(hosts.copy)) == 2
    assert hosts.replica.upload(hosts.copy) is None
    following = publish_ids(hosts.copy, 40, [4])
    assert hosts.replica.upload(hosts.copy)
    other = hosts.copy.with_name("other")
    hosts.replica.follow(other)
    assert content(other) == following


@pytest.mark.parametrize("kind", ["snapshot", "plain files", "broken link"])
def test_a_folder_with_a_read_model_is_not_restored_into(
    folder_hosts: Hosts, kind: str
) -> None:
    """Nothing in it changes."""
    folder_hosts.publish(0, [1])
    if kind == "snapshot":
        publish_ids(folder_hosts.copy, 0, [9])
    else:
        folder_hosts.copy.mkdir()
        if kind == "plain files":
            plain_files(folder_hosts.copy)
        else:
            (folder_hosts.copy / "current").symlink_to("snapshots/gone")
    before = sorted(path.name for path in folder_hosts.copy.iterdir())
    with pytest.raises(ReplicaConflict, match="has a read model"):
        folder_hosts.replica.restore(folder_hosts.copy)
    after = sorted(path.name for path in folder_hosts.copy.iterdir())
    assert set(after) - set(before) <= {"replica.lock"}


def test_a_log_elsewhere_is_not_written(folder_hosts: Hosts) -> None:
    """Whoever can write the storage cannot write other files of a follower."""
    from dataclasses import replace
    from hashlib import sha256

    from readmodel.replica.layout import (
        StoredFile,
        encode_inventory,
        encode_pointer,
    )

    folder_hosts.publish(0, [1])
    storage = folder_hosts.replica.storage
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
    folder_hosts.follow()
    assert votes(folder_hosts.copy) == [1]
    assert not list(folder_hosts.copy.parent.rglob("evil"))
    assert not (folder_hosts.copy / "current" / "extra").exists()
    assert (folder_hosts.copy / "update.lock").read_bytes() == b""


def test_the_state_says_what_was_transferred(folder_hosts: Hosts) -> None:
    """For `status` and the metrics."""
    publish_ids(folder_hosts.data, 0, [1])
    report = folder_hosts.replica.upload(folder_hosts.data)
    folder_hosts.follow()
    publish_ids(folder_hosts.data, 2, [2])
    state = read_state(folder_hosts.data)
    assert state
    assert report
    assert (state.role, state.bytes) == ("writer", report.bytes)
    assert state.lag_seconds(folder_hosts.data) == 120
    followed = read_state(folder_hosts.copy)
    assert followed
    assert (followed.role, followed.lag_seconds(folder_hosts.copy)) == ("follower", 0)
