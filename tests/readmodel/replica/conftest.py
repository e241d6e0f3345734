"""Replicas in a folder and in a bucket."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.replicas import Replica
from tests.support.storage import Bucket


@pytest.fixture(autouse=True)
def no_flushes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the disk in peace: here nothing but processes and networks fails."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def folder_replica(tmp_path: Path) -> Replica:
    """A replica in a folder, which is the fastest."""
    (tmp_path / "drive").mkdir()
    return Replica(f"file://{tmp_path}/drive")


@pytest.fixture
def bucket_replica(bucket: Bucket) -> Iterator[Replica]:
    """A replica in a bucket of a server of Amazon's protocol."""
    with bucket.used() as url:
        replica = Replica(url)
        yield replica
        replica.storage.close()


@pytest.fixture(params=["folder", "bucket"])
def replica(request: pytest.FixtureRequest) -> Replica:
    """Each kind of them."""
    found: Replica = request.getfixturevalue(f"{request.param}_replica")
    return found
