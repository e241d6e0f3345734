"""What metrics tell of the read model; asked often, so nothing here raises."""

from pathlib import Path

from readmodel.store import run_log, snapshot
from readmodel.store.manifest import Manifest
from readmodel.store.run_log import Summary
from util.errors import ReadModelMissing, StorageError


def current_manifest(data_dir: Path) -> Manifest | None:
    """What the current snapshot holds; None while there is no complete one.

    The earlier system's plain files have an instant, but no tables to tell of.
    """
    try:
        current = snapshot.current(data_dir)
    except (ReadModelMissing, OSError):
        return None
    return current.manifest or Manifest(current.taken_at)


def run_summary(data_dir: Path) -> Summary | None:
    """How the runs went; None before the first, and where the log cannot be read."""
    try:
        return run_log.summary(data_dir)
    except StorageError:
        return None
