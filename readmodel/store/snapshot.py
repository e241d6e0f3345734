"""The snapshots on disk, as readers see them: open the current one and scan it.

    DATA_DIR/
      current -> snapshots/20261121T231000.123456Z     replaced atomically, last
      snapshots/<id>/snapshot.json                     see `manifest`
      snapshots/<id>/fpp_votes.parquet/part-00000.parquet …
      snapshots/<id>/fpp_page_views.visits/part-00000.parquet …   see `visits`
      fpp_votes.parquet -> current/fpp_votes.parquet   so any tool can read it

`current` is resolved once, and everything is scanned below the real path: whoever
holds a `Snapshot` sees one instant of the database, however many syncs follow.
Plain `fpp_*.parquet` files, left by the system before this one, are served as well.
"""

import hashlib
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import polars as pl

from readmodel.dtypes import INSTANT
from readmodel.store import visits
from readmodel.store.manifest import Manifest
from readmodel.tables import TABLES
from util.errors import ReadModelMissing

CURRENT = "current"
SNAPSHOTS = "snapshots"
MANIFEST = "snapshot.json"
ID_FORMAT = "%Y%m%dT%H%M%S.%fZ"


def folder(table: str) -> str:
    """What a table's files are called, in a snapshot and in DATA_DIR."""
    return f"{table}.parquet"


def visits_of(part: Path) -> Path:
    """Where the visits of a *part* are."""
    return part.parent.with_suffix(".visits") / part.name


class Files(NamedTuple):
    """What is there of one table's files."""

    bytes: int
    complete: bool


NOTHING = Files(0, complete=False)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One instant of the mirrored tables; immutable, open it once per request.

    `manifest` is None for the earlier system's plain files.
    """

    id: str
    taken_at: datetime
    path: Path
    manifest: Manifest | None = field(default=None, hash=False)

    def scan(self, table: str) -> pl.LazyFrame:
        """All columns of *table*, timestamps as Datetime("us", "UTC"); reads no data.

        Raises KeyError for a table that is not mirrored.
        """
        if self.manifest is None:
            return _in_utc(pl.scan_parquet(self.path / folder(table), glob=False))
        stored = self.manifest.tables[table]
        return pl.scan_parquet(
            self.files(table),
            schema=stored.schema,
            glob=False,
            hive_partitioning=False,
        )

    def visits(self, table: str) -> pl.LazyFrame:
        """Who did something when, see `visits`; reads no data."""
        files = self.visits_files(table)
        if not files:
            return visits.derive(self.scan(table), table)
        return pl.scan_parquet(files, glob=False, hive_partitioning=False)

    def visits_files(self, table: str) -> list[Path]:
        """The files of the visits; none where they cannot be used together."""
        parts = self.manifest.tables[table].parts if self.manifest else ()
        copies = [part.visits for part in parts]
        if any(
            copy is None or copy.hashing != visits.hash_fingerprint() for copy in copies
        ):
            return []
        files = [visits_of(self.path / folder(table) / part.file) for part in parts]
        return files if all(map(os.path.isfile, files)) else []

    @property
    def rows(self) -> int:
        """Rows of all tables together; 0 where that is not written down."""
        tables = self.manifest.tables.values() if self.manifest else ()
        return sum(stored.rows for stored in tables)

    def held(self) -> Mapping[str, Files]:
        """What is there of TABLES, in order, and of further tables of the snapshot."""
        stored = TABLES if self.manifest is None else self.manifest.tables
        return {
            name: _held(self.files(name)) if name in stored else NOTHING
            for name in dict.fromkeys((*TABLES, *stored))
        }

    def files(self, table: str) -> list[str]:
        """The Parquet files of *table*, in the order of its key."""
        place = f"{self.path}/{folder(table)}"
        if self.manifest is None:
            return [place]
        return [f"{place}/{part.file}" for part in self.manifest.tables[table].parts]


def current(data_dir: Path) -> Snapshot:
    """Open the newest complete snapshot of *data_dir*.

    Raises ReadModelMissing when there is none, or names the tables it lacks.
    """
    snapshot = latest(data_dir)
    held = snapshot.held()
    missing = [name for name in TABLES if not held[name].complete]
    if len(missing) == len(TABLES):
        raise ReadModelMissing("There is no read model yet: run update_readmodel.py")
    if missing:
        names = ", ".join(missing)
        raise ReadModelMissing(f"The read model lacks {names}: run update_readmodel.py")
    return snapshot


def latest(data_dir: Path) -> Snapshot:
    """What `current` points at, or the plain files, complete or not.

    Raises ReadModelMissing when a snapshot is there but cannot be read.
    """
    link = data_dir / CURRENT
    try:
        path = Path(os.path.realpath(link, strict=True))
    except FileNotFoundError:
        return _plain(data_dir)
    try:
        seen = os.stat(path / MANIFEST)
        manifest = _manifest(path, seen.st_ino, seen.st_mtime_ns, seen.st_size)
    except (OSError, ValueError) as error:
        raise ReadModelMissing(
            f"Snapshot {path.name} is damaged: run update_readmodel.py"
        ) from error
    return Snapshot(path.name, manifest.taken_at, path, manifest)


@lru_cache(maxsize=2)  # the current snapshot, and the one before
def _manifest(path: Path, *_seen: int) -> Manifest:
    """The manifest in *path*, parsed once: it never changes, or is another file then.

    Every request asks for it. Raises OSError and ValueError.
    """
    return Manifest.from_json((path / MANIFEST).read_bytes())


def held(data_dir: Path) -> Mapping[str, Files]:
    """`Snapshot.held` of the latest; nothing where there is none. Never raises."""
    try:
        return latest(data_dir).held()
    except (ReadModelMissing, OSError):
        return dict.fromkeys(TABLES, NOTHING)


def _held(files: Iterable[str]) -> Files:
    sizes = list(map(_size, files))
    return Files(sum(filter(None, sizes)), None not in sizes)


def _size(file: str) -> int | None:
    """Bytes of *file*; None where there is none, or something else."""
    try:
        seen = os.stat(file)
    except OSError:
        return None
    return seen.st_size if stat.S_ISREG(seen.st_mode) else None


def _plain(data_dir: Path) -> Snapshot:
    """The earlier system's files; their id changes whenever one of them does."""
    place = Path(os.path.realpath(data_dir))
    digest, newest = hashlib.sha256(), 0
    for name in TABLES:
        try:
            seen = (place / folder(name)).stat()
        except OSError:
            continue
        digest.update(f"{name} {seen.st_size} {seen.st_mtime_ns}\n".encode())
        newest = max(newest, seen.st_mtime_ns)
    taken_at = datetime.fromtimestamp(newest / 1e9, UTC)
    return Snapshot(f"plain-{digest.hexdigest()[:16]}", taken_at, place)


def _in_utc(frame: pl.LazyFrame) -> pl.LazyFrame:
    """Naive timestamps of the earlier system are UTC; say so."""
    return frame.with_columns(
        (
            pl.col(name).dt.replace_time_zone("UTC")
            if dtype.time_zone is None
            else pl.col(name)
        ).cast(INSTANT)
        for name, dtype in frame.collect_schema().items()
        if isinstance(dtype, pl.Datetime) and dtype != INSTANT
    )
