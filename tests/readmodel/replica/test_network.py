"""Uploaders and followers behind a network that fails at random."""

import random
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from readmodel.replica.layout import POINTER
from tests.support.effort import THOROUGH, by_effort, examples, some_long
from tests.support.replicas import Content, Replica, content, publish_ids
from tests.support.storage import FAULTS, Bucket, Network, endpoint, network
from util.errors import ReplicaError


@pytest.fixture
def net(bucket: Bucket, s3_port: int) -> Iterator[Network]:
    """The network between this process and the bucket."""
    with network(s3_port) as net:
        bucket.environ.update(endpoint(net.port))
        yield net


@pytest.fixture
def replica(
    net: Network, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Replica]:
    """A replica behind the network, whose client has little patience."""
    monkeypatch.setattr("readmodel.replica.bucket.RETRIES", 1)
    monkeypatch.setattr(
        "readmodel.replica.bucket.FIRST_PAUSE", timedelta(milliseconds=1)
    )
    with bucket.used() as url:
        replica = Replica(url)
        yield replica
        replica.storage.close()


@pytest.mark.parametrize("seed", range(examples(1, 20)))
def test_a_follower_has_a_whole_snapshot_at_any_moment(
    net: Network, replica: Replica, tmp_path: Path, seed: int
) -> None:
    """Whatever the network does, it is one that the updater published, and none older."""
    chance = random.Random(seed)
    data, copy = tmp_path / "data", tmp_path / "copy"
    net.fault = lambda _method, _path: (
        chance.choice(FAULTS) if chance.random() < 0.15 else None
    )
    published: list[Content] = [{}]
    failures, last = 0, 0
    for minute in range(by_effort(8, 8, 30)):
        published.append(publish_ids(data, minute, [1], [2], [10 + minute]))
        for step in (replica.upload, replica.follow):
            try:
                step(data if step == replica.upload else copy)
            except ReplicaError:
                failures += 1
        found = published.index(content(copy))
        assert found >= last
        last = found
    assert failures
    net.fault = lambda *_: None
    replica.upload(data)
    replica.follow(copy)
    assert content(copy) == published[-1]
    with suppress(ReplicaError):
        replica.restore(tmp_path / "restored")
    assert content(tmp_path / "restored") == published[-1]


@pytest.mark.parametrize("fault", some_long([*FAULTS, "hang"], 2))
def test_each_fault_of_each_request_is_survived(
    net: Network,
    replica: Replica,
    tmp_path: Path,
    fault: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One after the other, from one request on; then the network works again."""
    data, copy = tmp_path / "data", tmp_path / "copy"
    publish_ids(data, 0, [1])
    replica.upload(data)
    replica.follow(copy)
    net.requests.clear()
    publish_ids(data, 1, [1], [2])
    replica.upload(data)
    last = len(net.requests) - 1
    # Reading the pointer, sending a file, writing the pointer; or all of them.
    chosen = range(last + 1) if THOROUGH else (0, last // 2, last)
    if fault == "hang":
        monkeypatch.setattr(
            "readmodel.replica.bucket.PATIENCE", timedelta(milliseconds=100)
        )
    for broken in chosen:
        expected = publish_ids(data, 2 + broken, [1], [100 + broken])
        start = len(net.requests)
        net.fault = lambda *_, start=start, broken=broken: (
            fault if len(net.requests) - start > broken else None
        )
        with suppress(ReplicaError):
            replica.upload(data)
        before = content(copy)
        with suppress(ReplicaError):
            replica.follow(copy)
        assert content(copy) in (before, expected)
        net.fault = lambda *_: None
        replica.upload(data)
        replica.follow(copy)
        assert content(copy) == expected


def test_a_new_row_uploads_little(
    net: Network, replica: Replica, tmp_path: Path
) -> None:
    """Counted on the wire: requests and bytes."""
    data = tmp_path / "data"
    publish_ids(data, 0, list(range(100_000)), [1])
    replica.upload(data)
    net.requests.clear()
    publish_ids(data, 1, list(range(100_000)), [1, 2])
    report = replica.upload(data)
    assert report
    sent = sum(length for _, _, length in net.requests)
    assert sent == report.bytes < 20_000
    assert len(net.requests) <= 12
    assert net.requests[-1][:2] == ("PUT", f"{replica_path(replica)}/{POINTER}")


def replica_path(replica: Replica) -> str:
    """The path of the replica in requests."""
    return "/" + replica.url.removeprefix("s3://")
