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
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from readmodel import visits
from readmodel.manifest import INSTANT, Manifest
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


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One instant of the mirrored tables; immutable, open it once per request.

    `manifest` is None for the earlier system's plain files.
    """

    id: str
    taken_at: datetime
    path: Path
    manifest: Manifest | None = None

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
        files = self._visits_files(table)
        if not files:
            return visits.of(self.scan(table), table)
        return pl.scan_parquet(files, glob=False, hive_partitioning=False)

    def _visits_files(self, table: str) -> list[Path]:
        """The files of the visits; none where they cannot be used together."""
        parts = self.manifest.tables[table].parts if self.manifest else ()
        copies = [part.visits for part in parts]
        if any(copy is None or copy.hashing != visits.hashing() for copy in copies):
            return []
        files = [visits_of(self.path / folder(table) / part.file) for part in parts]
        return files if all(map(os.path.isfile, files)) else []

    @property
    def rows(self) -> int:
        """Rows of all tables together; 0 where that is not written down."""
        tables = self.manifest.tables.values() if self.manifest else ()
        return sum(stored.rows for stored in tables)

    @property
    def size_bytes(self) -> int:
        """Bytes of all tables' files; what is missing has none."""
        tables = TABLES if self.manifest is None else self.manifest.tables
        return sum(_size(file) for table in tables for file in self.files(table))

    def present(self) -> Mapping[str, bool]:
        """Per file name of TABLES, in order: whether the table is there."""
        return {folder(name): self.has(name) for name in TABLES}

    def files(self, table: str) -> list[str]:
        """The Parquet files of *table*, in the order of its key."""
        place = f"{self.path}/{folder(table)}"
        if self.manifest is None:
            return [place]
        return [f"{place}/{part.file}" for part in self.manifest.tables[table].parts]

    def has(self, table: str) -> bool:
        """Whether every file of *table* is there."""
        if self.manifest is not None and table not in self.manifest.tables:
            return False
        return all(map(os.path.isfile, self.files(table)))


def current(data_dir: Path) -> Snapshot:
    """Open the newest complete snapshot of *data_dir*.

    Raises ReadModelMissing when there is none, or names the tables it lacks.
    """
    snapshot = latest(data_dir)
    missing = [name for name in TABLES if not snapshot.has(name)]
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
        manifest = Manifest.from_json((path / MANIFEST).read_bytes())
    except (OSError, ValueError) as error:
        raise ReadModelMissing(
            f"Snapshot {path.name} is damaged: run update_readmodel.py"
        ) from error
    return Snapshot(path.name, manifest.taken_at, path, manifest)


def present(data_dir: Path) -> Mapping[str, bool]:
    """Per file name of TABLES, in order: whether the table is there. Never raises."""
    try:
        snapshot = latest(data_dir)
    except (ReadModelMissing, OSError):
        return {folder(name): False for name in TABLES}
    return snapshot.present()


def size_bytes(data_dir: Path) -> int:
    """Bytes of the current snapshot's tables; 0 where nothing is there. Never raises."""
    try:
        return latest(data_dir).size_bytes
    except (ReadModelMissing, OSError):
        return 0


def _size(file: str) -> int:
    try:
        return os.stat(file).st_size
    except OSError:
        return 0


def _plain(data_dir: Path) -> Snapshot:
    """The earlier system's files; their id changes whenever one of them does."""
    place = Path(os.path.realpath(data_dir))
    digest, newest = hashlib.sha256(), 0
    for name in TABLES:
        try:
            stat = (place / folder(name)).stat()
        except OSError:
            continue
        digest.update(f"{name} {stat.st_size} {stat.st_mtime_ns}\n".encode())
        newest = max(newest, stat.st_mtime_ns)
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
