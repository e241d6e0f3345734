"""Which objects are removed from a replica, and which never."""

from datetime import timedelta
from pathlib import Path

import pytest

from readmodel.replica.collect import ReplicaCollector
from readmodel.replica.transfer import read_inventory, read_pointer
from tests.support.replicas import Replica, content, publish_ids
from tests.support.snapshots import TEN
from util.errors import ReplicaError

NO_GRACE = timedelta(seconds=-1)


def collect(replica: Replica, grace: timedelta = NO_GRACE) -> int:
    """Remove what is not needed now, however young it is."""
    pointer, _ = read_pointer(replica.storage)
    assert pointer
    return ReplicaCollector(replica.storage).collect(pointer.token, grace).removed


def test_what_no_snapshot_needs_is_removed(replica: Replica, tmp_path: Path) -> None:
    """What is kept can be restored, what was removed is gone."""
    data = tmp_path / "data"
    published = {}
    for minute in (0, 100, 110, 120):
        published[minute] = publish_ids(data, minute, [1], [minute])
        replica.now = TEN + timedelta(minutes=minute)
        replica.upload(data, timedelta(hours=1))
    before = replica.names()
    assert collect(replica) == 3  # part, manifest and inventory of the first snapshot
    assert len(before - replica.names()) == 3
    for minute in (100, 110, 120):
        folder = tmp_path / f"{minute}"
        replica.restore(folder, TEN + timedelta(minutes=minute))
        assert content(folder) == published[minute]
    assert collect(replica) == 0


def test_young_objects_stay(replica: Replica, tmp_path: Path) -> None:
    """Another writer may be about to list them."""
    publish_ids(tmp_path / "data", 0, [1])
    replica.upload(tmp_path / "data")
    replica.storage.put(f"objects/{'a' * 64}.{'b' * 32}", b"x")
    assert collect(replica, timedelta(hours=1)) == 0
    assert collect(replica) == 1


def test_a_writer_that_is_no_longer_the_last_removes_nothing(
    folder_replica: Replica, tmp_path: Path
) -> None:
    """It does not know what the other one needs."""
    data = tmp_path / "data"
    publish_ids(data, 0, [1])
    folder_replica.upload(data)
    pointer, _ = read_pointer(folder_replica.storage)
    assert pointer
    publish_ids(data, 1, [2])
    folder_replica.upload(data)
    folder_replica.storage.put(f"objects/{'a' * 64}.{'b' * 32}", b"x")
    collector = ReplicaCollector(folder_replica.storage)
    assert collector.collect(pointer.token, NO_GRACE) == (0, 0)
    assert collect(folder_replica) == 1


def test_nothing_is_removed_if_an_inventory_cannot_be_read(
    folder_replica: Replica, tmp_path: Path
) -> None:
    """Its objects would look as if nobody needed them."""
    data = tmp_path / "data"
    for minute in (0, 1):
        publish_ids(data, minute, [minute])
        folder_replica.upload(data)
    pointer, _ = read_pointer(folder_replica.storage)
    assert pointer
    folder_replica.storage.put(pointer.inventory(min(pointer.snapshots)), b"{}")
    before = folder_replica.names()
    with pytest.raises(ReplicaError, match="damaged"):
        collect(folder_replica)
    assert folder_replica.names() == before


def test_what_somebody_else_removed_is_missing(
    replica: Replica, tmp_path: Path
) -> None:
    """A rule of the bucket may remove what is old, though it is needed."""
    data = tmp_path / "data"
    publish_ids(data, 0, [1], [2])
    replica.upload(data)
    publish_ids(data, 1, [1], [3])
    replica.upload(data)
    pointer, _ = read_pointer(replica.storage)
    assert pointer
    collector = ReplicaCollector(replica.storage)
    assert collector.collect(pointer.token).missing == 0
    inventory = read_inventory(replica.storage, pointer, pointer.current)
    old = inventory.files["fpp_votes.parquet/part-00000.parquet"].object
    replica.storage.delete([old])
    assert collector.collect(pointer.token).missing == 1
