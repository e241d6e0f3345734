"""Remove snapshots that are not kept, and make room for the next one."""

import shutil
from datetime import datetime, timedelta
from pathlib import Path

from readmodel.store import snapshot, sorted_activity
from readmodel.store.history import instant_of, kept_ids
from readmodel.store.snapshot import SNAPSHOTS
from readmodel.sync.disk import storage_errors
from readmodel.sync.publish import current_id
from readmodel.sync.snapshot_retention import KEEP_YOUNGER, kept_instants


def remove_old_snapshots(data_dir: Path, now: datetime, retention: timedelta) -> None:
    """Remove the snapshots that are not kept, see `snapshot_retention`. Raises OSError.

    Of those that are kept for ``?as_of=``, the sorted activity is removed, which they can
    do without: at today's size it is most of what each one adds.
    """
    instants = {instant_of(name): name for name in kept_ids(data_dir)}
    kept = kept_instants(instants, now, retention)
    recent = kept_instants(instants, now)
    current = current_id(data_dir)
    for instant, name in instants.items():
        folder = data_dir / SNAPSHOTS / name
        if name == current or instant in recent:
            continue
        if instant not in kept:
            shutil.rmtree(folder)
        elif (folder / sorted_activity.FOLDER).exists():
            shutil.rmtree(folder / sorted_activity.FOLDER)


def make_room(data_dir: Path, now: datetime, retention: timedelta) -> None:
    """Remove old snapshots before a new one is written, inside `exclusive_lock`.

    If there is less room than for all tables once more, and no history is to be kept,
    only the current one stays, as soon as no request can still be reading the others.
    """
    with storage_errors(data_dir):
        remove_old_snapshots(data_dir, now, retention)
        current = current_id(data_dir)
        needed = sum(files.bytes for files in snapshot.table_files(data_dir).values())
        if current is None or shutil.disk_usage(data_dir).free > needed:
            return
        if retention <= KEEP_YOUNGER < now - instant_of(current):
            for name in kept_ids(data_dir):
                if name != current:
                    shutil.rmtree(data_dir / SNAPSHOTS / name)
