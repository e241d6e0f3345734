"""Earlier snapshots: list those that are kept, and open the one of an instant."""

import os
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from readmodel.store.snapshot import (
    ID_FORMAT,
    ID_PATTERN,
    SNAPSHOTS,
    Snapshot,
    open_snapshot,
)
from util.errors import ReadModelMissing, SnapshotNotKept


class KeptSnapshot(NamedTuple):
    """A snapshot on disk: its instant (UTC), and the bytes that no other one shares."""

    id: str
    instant: datetime
    own_bytes: int


def instant_of(snapshot_id: str) -> datetime:
    """The instant (UTC) of which a snapshot has its id. Raises ValueError for others."""
    return datetime.strptime(snapshot_id, ID_FORMAT).replace(tzinfo=UTC)


def kept_ids(data_dir: Path) -> list[str]:
    """The ids of all snapshots of *data_dir*, oldest first; empty without any."""
    try:
        names = os.listdir(data_dir / SNAPSHOTS)  # noqa: PTH208 - on each request
    except OSError:
        return []
    return sorted(filter(_is_id, names))


def _is_id(name: str) -> bool:
    try:
        instant_of(name)
    except ValueError:
        return False
    return ID_PATTERN.fullmatch(name) is not None


def snapshot_at(data_dir: Path, instant: datetime) -> Snapshot:
    """Open the last snapshot that existed at *instant*.

    Raises SnapshotNotKept if there is none any more, and ReadModelMissing if it cannot
    be read.
    """
    name = instant.astimezone(UTC).strftime(ID_FORMAT)
    ids = kept_ids(data_dir)
    earlier = [one for one in ids if one <= name]
    missing = f"No snapshot of {instant.isoformat()} is kept"
    if not earlier:
        oldest = [
            f"; the oldest one is of {instant_of(o).isoformat()}" for o in ids[:1]
        ]
        raise SnapshotNotKept("".join([missing, *oldest]))
    try:
        return open_snapshot(os.path.realpath(data_dir / SNAPSHOTS / earlier[-1]))
    except ReadModelMissing:
        if earlier[-1] in kept_ids(data_dir):
            raise
        # It was removed between the two.
        raise SnapshotNotKept(missing) from None


def kept_snapshots(data_dir: Path) -> list[KeptSnapshot]:
    """All snapshots of *data_dir*, oldest first, with the bytes of their own."""
    snapshots = data_dir / SNAPSHOTS
    return [
        KeptSnapshot(name, instant_of(name), _own_bytes(snapshots / name))
        for name in kept_ids(data_dir)
    ]


def _own_bytes(folder: Path) -> int:
    """Bytes of the files below *folder* that have no other link.

    0 for a snapshot that was removed meanwhile.
    """
    total = 0
    for root, _, files in os.walk(folder):
        for name in files:
            try:
                status = os.lstat(f"{root}/{name}")
            except OSError:
                continue
            if stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
                total += status.st_size
    return total
