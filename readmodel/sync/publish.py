"""Publish a staged snapshot: seal its folder, then make it the current one.

A snapshot is built in a hidden folder, everything in it is fsynced, and only then does
`current` move to it by one rename. A process that dies before that changes nothing;
the next one to take the lock removes what it left.
"""

import errno
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from readmodel.store.manifest import StoredTable
from readmodel.store.snapshot import (
    CURRENT,
    MANIFEST,
    MANIFEST_COPY,
    SNAPSHOTS,
    table_folder,
)
from readmodel.sync.disk import replace_link, sync_folder, write_synced

STAGED: Final = ".staged-"
"""Prefix of the folders in which snapshots are built."""

_PART: Final = re.compile(r"part-\d+\.parquet")


def staged_folder(data_dir: Path, id_: str) -> Path:
    """The hidden folder in which the snapshot *id_* is built; a killed run leaves it."""
    return data_dir / SNAPSHOTS / f"{STAGED}{id_}"


def seal_folder(folder: Path, manifest: bytes) -> None:
    """Add the manifest to a staged snapshot, and flush it. Raises OSError."""
    write_synced(folder / MANIFEST, manifest)
    write_synced(folder / MANIFEST_COPY, manifest)
    for entry in folder.iterdir():
        if entry.is_dir():
            sync_folder(entry)
    sync_folder(folder)


def publish_folder(
    data_dir: Path, staged: Path, id_: str, tables: Mapping[str, StoredTable]
) -> None:
    """Make the sealed folder *staged* the current snapshot *id_*, for all tables at once.

    Raises OSError.
    """
    snapshots = data_dir / SNAPSHOTS
    staged.rename(snapshots / id_)
    sync_folder(snapshots)
    replace_link(data_dir / CURRENT, f"{SNAPSHOTS}/{id_}")
    _link_tables(data_dir, tables)
    sync_folder(data_dir)


def _link_tables(data_dir: Path, tables: Mapping[str, StoredTable]) -> None:
    """Link each table to the current snapshot; unlink tables no longer mirrored."""
    targets = {table_folder(name): f"{CURRENT}/{table_folder(name)}" for name in tables}
    for name, target in targets.items():
        link = data_dir / name
        if not _points_at(link, target):
            _remove_restored(link)
            replace_link(link, target)
    for link in data_dir.glob("*.parquet"):
        if link.name not in targets and _points_at(link, f"{CURRENT}/{link.name}"):
            link.unlink()


def _points_at(link: Path, target: str) -> bool:
    return link.is_symlink() and str(link.readlink()) == target


def _remove_restored(link: Path) -> None:
    """Remove a folder of parts where the *link* to a table belongs.

    A program that copies folders may have put it there instead of the link.
    """
    if link.is_symlink() or not link.is_dir():
        return
    if not all(_PART.fullmatch(entry.name) for entry in link.iterdir()):
        raise FileExistsError(
            errno.EEXIST, f"{link.name} is a folder with files of others, move it away"
        )
    shutil.rmtree(link)


def current_id(data_dir: Path) -> str | None:
    """The id of the current snapshot; None before the first. Raises OSError."""
    try:
        return (data_dir / CURRENT).readlink().name
    except FileNotFoundError:
        return None
