"""Read models for tests: literal rows, published as the updater publishes them."""

from datetime import datetime
from pathlib import Path

from readmodel.dtypes import dtype_name
from readmodel.store.manifest import StoredTable
from readmodel.store.snapshot import Snapshot, current
from readmodel.sync.staging import SnapshotWriter, exclusive_lock
from tests.support.frames import frame
from tests.support.oracle import Database


def publish(
    data_dir: Path, database: Database, at: datetime, parts: int = 1
) -> Snapshot:
    """Make *database* the current snapshot of *data_dir*, each table in *parts*."""
    with exclusive_lock(data_dir), SnapshotWriter(data_dir, at) as stage:
        stored = {}
        for name, rows in database.items():
            table = f"fpp_{name}"
            whole = frame(name, rows).collect()
            size = max(1, -(-len(rows) // parts))
            written = tuple(
                stage.write(table, piece, "{}") for piece in whole.iter_slices(size)
            ) or (stage.write(table, whole, "{}"),)
            columns = {column: dtype_name(t) for column, t in whole.schema.items()}
            stored[table] = StoredTable(columns, written, at)
        stage.publish(stored)
    return current(data_dir)
