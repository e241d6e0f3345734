"""What every storage of replicas does alike."""

from pathlib import Path
from unittest.mock import Mock

import pytest

from readmodel.replica.connect import open_storage
from readmodel.replica.storage import ObjectVersion
from tests.support.replicas import Replica
from tests.support.servers import closed_port
from tests.support.storage import Bucket, endpoint
from util.errors import ObjectMissing, ReplicaError, SettingsError, Stopped


def fetched(replica: Replica, name: str) -> bytes:
    """All bytes of an object."""
    pieces: list[bytes] = []
    replica.storage.fetch(name, pieces.append)
    return b"".join(pieces)


def test_what_is_stored_is_read(replica: Replica, tmp_path: Path) -> None:
    """Small contents and files, also a file that is sent in several pieces."""
    large = bytes(range(256)) * 50_000
    (tmp_path / "file").write_bytes(large)
    replica.storage.upload("objects/a", tmp_path / "file")
    replica.storage.put("objects/b", b"small")
    replica.storage.put("objects/empty", b"")
    assert fetched(replica, "objects/a") == large
    assert fetched(replica, "objects/empty") == b""
    assert replica.storage.read("objects/b", 5).content == b"small"
    assert replica.storage.size("objects/a") == len(large)
    assert replica.storage.size("objects/empty") == 0
    assert replica.names() == {"objects/a", "objects/b", "objects/empty"}


def test_what_is_not_there_is_missing(replica: Replica) -> None:
    """Only its size can be asked for."""
    assert replica.storage.size("objects/a") is None
    with pytest.raises(ObjectMissing):
        replica.storage.read("current", 10)
    with pytest.raises(ObjectMissing):
        fetched(replica, "objects/a")
    replica.storage.delete(["objects/a"])
    assert replica.names() == set()


def test_an_object_that_is_too_large_is_not_read(replica: Replica) -> None:
    """Whoever wrote it, it is no pointer and no inventory."""
    replica.storage.put("current", b"12345")
    with pytest.raises(ReplicaError, match=r"larger than|more than"):
        replica.storage.read("current", 4)


def test_a_swap_succeeds_only_on_the_version_that_was_read(replica: Replica) -> None:
    """The first one creates the object, and each changes its version."""
    storage = replica.storage
    assert not storage.swap("current", b"x", ObjectVersion("0" * 32))
    assert storage.swap("current", b"1", None)
    assert not storage.swap("current", b"x", None)
    first = storage.read("current", 10)
    assert storage.swap("current", b"2", first.version)
    assert not storage.swap("current", b"x", first.version)
    assert storage.read("current", 10).content == b"2"


def test_deleted_objects_are_gone(replica: Replica) -> None:
    """Those that were deleted before are no error."""
    for number in range(3):
        replica.storage.put(f"objects/{number}", b"x")
    replica.storage.delete(["objects/0", "objects/1"])
    replica.storage.delete(["objects/0", "objects/1"])
    assert replica.names() == {"objects/2"}
    assert [it.name for it in replica.storage.listed("snapshots/")] == []


def test_a_folder_that_is_not_mounted_is_not_created(tmp_path: Path) -> None:
    """The replica would be on the disk that it is to survive."""
    storage = open_storage(f"file://{tmp_path}/drive")
    with pytest.raises(ReplicaError, match="does not exist: create it, or mount"):
        storage.put("objects/a", b"x")
    with pytest.raises(ReplicaError):
        storage.swap("current", b"x", None)
    assert not (tmp_path / "drive").exists()


def test_a_folder_with_blanks_in_its_name(tmp_path: Path) -> None:
    """They are percent-encoded in the address."""
    (tmp_path / "my drive").mkdir()
    open_storage(f"file://{tmp_path}/my%20drive").put("a", b"x")
    assert (tmp_path / "my drive" / "a").read_bytes() == b"x"


def test_a_bucket_that_is_not_there_is_named(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is one line."""
    for name, value in bucket.environ.items():
        monkeypatch.setenv(name, value)
    storage = open_storage("s3://no-such-bucket/fpp")
    with pytest.raises(
        ReplicaError, match="no-such-bucket/fpp/a does not exist: there is no"
    ) as caught:
        storage.put("a", b"x")
    storage.close()
    assert "\n" not in str(caught.value)


def test_a_storage_that_cannot_be_reached_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The message has no credentials."""
    monkeypatch.setattr("readmodel.replica.bucket.RETRIES", 0)
    for name, value in endpoint(closed_port()).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    storage = open_storage("s3://bucket/fpp")
    with pytest.raises(ReplicaError, match=r"s3://bucket/fpp/current: ") as caught:
        storage.read("current", 10)
    storage.close()
    assert "hunter2" not in str(caught.value)


def test_a_panic_of_the_client_is_an_error_of_the_replica(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is no Exception and would end the updater, while a request to stop must."""
    for name, value in endpoint(closed_port()).items():
        monkeypatch.setenv(name, value)
    storage = open_storage("s3://bucket/fpp")

    def fail_by(error: BaseException) -> None:
        monkeypatch.setattr("obstore.put_async", Mock(side_effect=error))
        storage.put("a", b"x")

    panic = type("PanicException", (BaseException,), {})("index out of bounds")
    with pytest.raises(ReplicaError, match="fpp/a: the client failed: index out of"):
        fail_by(panic)
    with pytest.raises(Stopped):
        fail_by(Stopped("Stopped by SIGTERM"))
    storage.close()


def test_the_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder needs none."""
    monkeypatch.setattr("readmodel.replica.bucket.find_spec", lambda _: None)
    open_storage("file:///drive").close()
    with pytest.raises(SettingsError, match="uv sync --extra replica"):
        open_storage("s3://bucket/fpp")
