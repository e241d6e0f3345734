"""Recovery after a crash, and after DATA_DIR was restored from a copy."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

from readmodel.store import snapshot
from readmodel.store.history import kept_ids
from readmodel.store.snapshot import CURRENT, ID_FORMAT, ID_PATTERN, SNAPSHOTS
from readmodel.sync.disk import remove_unfinished, replace_link
from readmodel.sync.publish import STAGED, current_id
from util.errors import ReadModelMissing


def recover(data_dir: Path) -> None:
    """Remove what a killed run built but did not publish. Raises OSError."""
    remove_unfinished(data_dir)
    _link_restored(data_dir)
    snapshots = data_dir / SNAPSHOTS
    for staged in snapshots.glob(f"{STAGED}*"):
        if ID_PATTERN.fullmatch(staged.name.removeprefix(STAGED)):
            shutil.rmtree(staged)
    current = current_id(data_dir)
    for name in kept_ids(data_dir):
        if current is None or name > current:
            shutil.rmtree(snapshots / name)


def _link_restored(data_dir: Path) -> None:
    """Make `current` a link again, if a copy of DATA_DIR has a folder in its place."""
    folder = data_dir / CURRENT
    if folder.is_symlink() or not folder.is_dir():
        return
    (data_dir / SNAPSHOTS).mkdir(exist_ok=True)
    try:
        id_ = snapshot.latest(data_dir).id
    except ReadModelMissing:
        id_ = datetime.now(UTC).strftime(ID_FORMAT)
    target = data_dir / SNAPSHOTS / id_
    if target.exists():
        shutil.rmtree(folder)
    else:
        folder.rename(target)
    replace_link(folder, f"{SNAPSHOTS}/{id_}")
