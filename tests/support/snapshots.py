"""Read models for tests: literal rows, published as the updater publishes them."""

import atexit
import os
import shutil
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import polars as pl

from readmodel.dtypes import dtype_name
from readmodel.store.side_files import SideFileKind
from readmodel.store.snapshot import MANIFEST, MANIFEST_COPY, Snapshot, current, latest
from readmodel.sync.lock import exclusive_lock
from readmodel.sync.snapshot_retention import KEEP_YOUNGER
from readmodel.sync.snapshot_writer import SnapshotWriter
from readmodel.tables import TABLES
from tests.support.frames import frame
from tests.support.oracle import Database
from tests.support.sample import SAMPLE

TEN = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
"""The instant of a snapshot unless a test needs another."""

PLAIN_FILES_AT = 1_767_322_000
"""When `plain_files` were written, in seconds since 1970."""


def publish(
    data_dir: Path, database: Database, at: datetime, parts: int = 1
) -> Snapshot:
    """Make *database* the current snapshot of *data_dir*, each table in *parts*.

    The sample, which many tests publish, is copied into a folder that does not exist.
    """
    if database is SAMPLE and not data_dir.exists():
        shutil.copytree(_sample(at, parts), data_dir, symlinks=True)
        return current(data_dir)
    return _publish(data_dir, at, _frames(database, parts))


@cache
def _sample(at: datetime, parts: int) -> Path:
    """A DATA_DIR with the sample, which nobody changes."""
    data_dir = Path(mkdtemp(prefix="fpp-sample-"))
    atexit.register(shutil.rmtree, data_dir, ignore_errors=True)
    _publish(data_dir, at, _frames(SAMPLE, parts))
    return data_dir


def _frames(database: Database, parts: int) -> dict[str, list[pl.DataFrame]]:
    frames = {}
    for name, rows in database.items():
        whole = frame(name, rows).collect()
        size = max(1, -(-len(rows) // parts))
        frames[f"fpp_{name}"] = list(whole.iter_slices(size)) or [whole]
    return frames


def publish_frames(
    data_dir: Path,
    at: datetime = TEN,
    frames: Mapping[str, list[pl.DataFrame]] | None = None,
) -> Snapshot:
    """Publish all six tables; each has one row, id 1, unless *frames* has its parts."""
    return _publish(
        data_dir, at, {name: [ids(1)] for name in TABLES} | dict(frames or {})
    )


def _publish(
    data_dir: Path, at: datetime, frames: Mapping[str, Iterable[pl.DataFrame]]
) -> Snapshot:
    with exclusive_lock(data_dir), SnapshotWriter(data_dir, at) as writer:
        writer.retention = KEEP_YOUNGER
        for name, parts in frames.items():
            first, *others = parts
            table = writer.table(name, column_names(first))
            for part in (first, *others):
                table.write(part, {})
        writer.publish()
    return current(data_dir)


def plain_files(data_dir: Path) -> None:
    """Write the earlier system's files: one per table, with naive UTC timestamps."""
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC).replace(tzinfo=None)
    for name in TABLES:
        frame = pl.DataFrame({"id": [1], "at": [at]})
        frame.write_parquet(data_dir / f"{name}.parquet")
        os.utime(data_dir / f"{name}.parquet", (PLAIN_FILES_AT, PLAIN_FILES_AT))


def ids(*values: int) -> pl.DataFrame:
    """A frame of these ids (Int32)."""
    return pl.DataFrame({"id": list(values)}, schema={"id": pl.Int32})


def column_names(frame: pl.DataFrame) -> dict[str, str]:
    """The columns of *frame* as the manifest records them."""
    return {name: dtype_name(dtype) for name, dtype in frame.schema.items()}


def cut_short(file: Path) -> None:
    """Replace *file* by its first half."""
    replace_bytes(file, file.read_bytes()[: file.stat().st_size // 2])


def flip_a_bit(file: Path) -> None:
    """Flip one bit of *file*."""
    content = bytearray(file.read_bytes())
    content[len(content) // 3] ^= 1
    replace_bytes(file, bytes(content))


def replace_by_other_bytes(file: Path) -> None:
    """Replace *file* by one of the same size that is not Parquet."""
    replace_bytes(file, b"x" * file.stat().st_size)


def damage_manifest(snapshot: Path, content: bytes = b"{") -> None:
    """Replace both copies of the manifest in the folder *snapshot* by *content*."""
    for name in (MANIFEST, MANIFEST_COPY):
        (snapshot / name).write_bytes(content)


def replace_bytes(file: Path, content: bytes) -> None:
    """Replace *file*, not writing through its hard links in other snapshots."""
    file.unlink()
    file.write_bytes(content)


def link_all(data_dir: Path) -> Snapshot:
    """Publish the next snapshot, an hour later, with every part linked."""
    before = latest(data_dir)
    assert before.manifest is not None
    later = before.taken_at + timedelta(hours=1)
    with exclusive_lock(data_dir), SnapshotWriter(data_dir, later) as writer:
        for name, stored in before.manifest.tables.items():
            table = writer.table(name, stored.columns, stored.changed_at)
            for part, file in zip(stored.parts, before.files(name), strict=True):
                table.link(part, Path(file))
        writer.publish()
    return latest(data_dir)


def assert_written_from_the_part(
    data_dir: Path, published: Snapshot, table: str, kind: SideFileKind
) -> None:
    """The next snapshot gets a side file of *table* that is gone, and links the others."""
    files = published.side_files(table, kind)
    content = [file.read_bytes() for file in files]
    files[0].unlink()
    link_all(data_dir)
    written = current(data_dir).side_files(table, kind)
    assert [file.read_bytes() for file in written] == content
    assert written[1].samefile(files[1])
