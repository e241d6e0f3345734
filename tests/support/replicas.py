"""Snapshots and replicas for tests, and how they are compared."""

import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import polars as pl

from readmodel.replica.connect import open_storage
from readmodel.replica.download import DownloadReport, follow, restore
from readmodel.replica.storage import ObjectStorage
from readmodel.replica.upload import UploadReport, upload
from readmodel.store import snapshot, sorted_activity
from readmodel.sync.lock import exclusive_lock
from readmodel.sync.snapshot_retention import KEEP_YOUNGER
from readmodel.sync.snapshot_writer import SnapshotWriter
from tests.support.snapshots import TEN, column_names, ids

RETENTION = timedelta(days=7)

type Content = Mapping[str, str]
"""The SHA-256 of each file of a snapshot, by its path."""


def publish_ids(data_dir: Path, minute: int, *parts: list[int]) -> Content:
    """Publish votes with these *parts* of ids, *minute* minutes after TEN.

    There is no other table, so that a snapshot has few files.
    """
    at = TEN + timedelta(minutes=minute)
    with exclusive_lock(data_dir), SnapshotWriter(data_dir, at) as writer:
        writer.retention = KEEP_YOUNGER
        writer.configured = ("fpp_votes",)
        table = writer.table("fpp_votes", column_names(ids(0)))
        for values in parts:
            table.write(ids(*values), {})
        writer.publish()
    return content(data_dir)


def content(data_dir: Path) -> Content:
    """The files of the current snapshot that a replica has; empty without one."""
    folder = Path(os.path.realpath(data_dir / "current"))
    if not folder.is_dir():
        return {}
    files = [
        path
        for path in folder.rglob("*")
        if path.is_file() and path.parent.name != sorted_activity.FOLDER
    ]
    return {
        path.relative_to(folder).as_posix(): sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def votes(data_dir: Path) -> list[int]:
    """The ids of the votes that a reader sees."""
    found = snapshot.current(data_dir).scan("fpp_votes").collect()["id"]
    assert found.dtype == pl.Int32
    return found.to_list()


def damage_unnoticed(file: Path) -> None:
    """Flip a bit of *file* and of all its links, as a failing disk does."""
    status = file.stat()
    damaged = bytearray(file.read_bytes())
    damaged[len(damaged) // 3] ^= 1
    with file.open("r+b") as stream:
        stream.write(damaged)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


class Replica:
    """A replica, as the updater and its followers use it, at a time that does not pass."""

    def __init__(self, url: str, now: datetime = TEN + timedelta(hours=1)) -> None:
        self.url = url
        self.now = now
        self.storage: ObjectStorage = open_storage(url)

    def upload(
        self, data_dir: Path, retention: timedelta = RETENTION
    ) -> UploadReport | None:
        """Upload the current snapshot."""
        return upload(data_dir, self.storage, self.url, retention, lambda: self.now)

    def follow(self, data_dir: Path) -> DownloadReport | None:
        """Download the current snapshot."""
        return follow(data_dir, self.storage, self.url, KEEP_YOUNGER, lambda: self.now)

    def restore(self, data_dir: Path, as_of: datetime | None = None) -> DownloadReport:
        """Fill an empty folder."""
        retention = timedelta(days=30)
        return restore(
            data_dir, self.storage, self.url, retention, as_of, lambda: self.now
        )

    def names(self) -> set[str]:
        """All objects."""
        return {it.name for it in self.storage.listed("")}


def utc_id(instant: datetime) -> str:
    """The id of the snapshot of *instant*."""
    return instant.astimezone(UTC).strftime(snapshot.ID_FORMAT)
