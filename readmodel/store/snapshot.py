"""The snapshots on disk, as readers see them: open the current one and scan it.

    DATA_DIR/
      current -> snapshots/20261121T231000.123456Z     replaced atomically, last
      snapshots/<id>/snapshot.json                     see `manifest`
      snapshots/<id>/fpp_votes.parquet/part-00000.parquet …
      snapshots/<id>/fpp_page_views.visits/part-00000.parquet …   see `side_files`
      snapshots/<id>/activity/part-00000.parquet …     see `sorted_activity`
      fpp_votes.parquet -> current/fpp_votes.parquet   so any tool can read it

`current` is resolved once per `Snapshot`, and everything is scanned below the real
path: a `Snapshot` shows one instant of the database, however many syncs follow.
Plain `fpp_*.parquet` files, left by the system before this one, are served as well.

Every request opens the current snapshot, so files are examined by `os` and not by
`Path`, whose objects cost several times as much as the system calls.
"""

import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

import polars as pl

from readmodel.dtypes import INSTANT
from readmodel.store import quarters, tallies, visits
from readmodel.store.damage import read_file
from readmodel.store.manifest import Manifest, TableFailure
from readmodel.store.side_files import QUARTERS, TALLIES, VISITS, SideFileKind
from readmodel.tables import TABLES, serve_statistics
from util.columns import column_named
from util.errors import ReadModelDamaged, ReadModelMissing

CURRENT: Final = "current"
SNAPSHOTS: Final = "snapshots"
MANIFEST: Final = "snapshot.json"
MANIFEST_COPY: Final = "snapshot.json.copy"
"""The same bytes, for when the first file is damaged."""
MOST_MANIFEST_BYTES: Final = 64 * 2**20
ID_FORMAT: Final = "%Y%m%dT%H%M%S.%fZ"
ID_PATTERN: Final = re.compile(r"\d{8}T\d{6}\.\d{6}Z")
"""A folder with another name is not ours."""

LATEST: Final = datetime(9999, 1, 1, tzinfo=UTC).timestamp()
"""File systems know later times than Python does."""

LOG_NAMES: Final = frozenset({"sync_runs", "view_runs"})
"""Names of tables whose link would take the place of a log in DATA_DIR."""

_ESCAPED: Final = re.compile(r"/|^\.|%(?=[0-9A-Fa-f]{2})")


def table_folder(table: str) -> str:
    """The name of a table's folder in a snapshot, and of its link in DATA_DIR.

    Characters that no file name can have are percent-encoded, and so is what would
    hide the folder or replace another file: ``a/b`` -> ``a%2Fb.parquet``.
    """
    if table in LOG_NAMES:
        return f"{_escape(table[0])}{table[1:]}.parquet"
    return f"{_ESCAPED.sub(lambda found: _escape(found[0]), table)}.parquet"


def _escape(character: str) -> str:
    return f"%{ord(character):02X}"


class TableFiles(NamedTuple):
    """The size of a table's Parquet files, and whether all of them exist."""

    bytes: int
    complete: bool


NO_FILES: Final = TableFiles(0, complete=False)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One instant of the mirrored tables; immutable, open it once per request.

    `manifest` is None for the earlier system's plain files. With `scan_folder`, scans
    name the files below that folder instead of `path`: see `content`.
    """

    id: str
    taken_at: datetime
    path: Path
    manifest: Manifest | None = field(default=None, hash=False)
    scan_folder: str | None = None

    def scan(self, table: str) -> pl.LazyFrame:
        """All columns of *table*, timestamps as Datetime("us", "UTC"); reads no data.

        Raises KeyError for a table that is not mirrored.
        """
        if self.manifest is None:
            return _in_utc(pl.scan_parquet(self.path / table_folder(table), glob=False))
        stored = self.manifest.tables[table]
        return pl.scan_parquet(
            self._scanned(self.files(table)),
            schema=stored.schema,
            glob=False,
            hive_partitioning=False,
        )

    def visits(self, table: str) -> pl.LazyFrame:
        """The visits of *table*, see `visits`; reads no data.

        Derived from the rows themselves if the files of the visits cannot be used.
        """
        files = self.side_files(table, VISITS)
        if not files:
            return visits.derive(self.scan(table), table)
        return self._scan_side_files(files, table, visits.schema)

    def _scan_side_files(
        self,
        files: list[Path],
        table: str,
        schema_of: Callable[[str, pl.Schema], pl.Schema],
    ) -> pl.LazyFrame:
        schema = None
        if self.scan_folder and self.manifest:  # the files may be on another host only
            schema = schema_of(table, self.manifest.tables[table].schema)
        return pl.scan_parquet(
            self._scanned(files), schema=schema, glob=False, hive_partitioning=False
        )

    def _scanned[F: (str, Path)](self, files: list[F]) -> list[F] | list[str]:
        """The names of *files* in plans."""
        if self.scan_folder is None:
            return files
        start = len(f"{self.path}/")
        return [f"{self.scan_folder}/{f'{file}'[start:]}" for file in files]

    def tally(self, table: str) -> pl.LazyFrame | None:
        """The tallies of *table*, see `tallies`; None if they cannot be used."""
        files = self.side_files(table, TALLIES)
        if not files or self.manifest is None:
            return None
        if not tallies.are_exact(table, self.manifest.tables[table].schema):
            return None
        return self._scan_side_files(files, table, tallies.schema)

    def quarters(self, table: str) -> pl.LazyFrame | None:
        """The quarters of *table*, see `quarters`; None if they cannot be used."""
        files = self.side_files(table, QUARTERS)
        if not files:
            return None
        return self._scan_side_files(files, table, quarters.schema)

    def side_files(self, table: str, kind: SideFileKind) -> list[Path]:
        """The side files of *table*; empty if one is missing or cannot be used."""
        parts = self.manifest.tables[table].parts if self.manifest else ()
        if not parts or not all(map(kind.is_usable, parts)):
            return []
        # Strings: paths took a twentieth of a whole answer.
        files = [kind.file(file) for file in self.files(table)]
        return [Path(file) for file in files] if all(map(os.path.isfile, files)) else []

    def side_bytes(self, table: str, kind: SideFileKind) -> int:
        """How large the side files of *table* are together, as recorded."""
        parts = self.manifest.tables[table].parts if self.manifest else ()
        return sum(record.bytes for part in parts if (record := kind.record(part)))

    @property
    def mirror_id(self) -> str:
        """The id of the snapshot of the last sync: events change it as little as the rows.

        A snapshot in which only events were added has the mirrored tables of that one.
        """
        return self.id if self.manifest is None else f"{self.taken_at:{ID_FORMAT}}"

    @property
    def configured(self) -> tuple[str, ...]:
        """The names of the tables that the settings mirrored into this snapshot."""
        return tuple(TABLES) if self.manifest is None else self.manifest.mirrored

    @property
    def serves_statistics(self) -> bool:
        """True if all tables that the statistics need are configured."""
        return serve_statistics(self.configured)

    @property
    def failed(self) -> Mapping[str, TableFailure]:
        """The tables that are older than the snapshot, or missing in it."""
        return self.manifest.failed if self.manifest else {}

    @property
    def rows(self) -> int:
        """Rows of all tables; 0 for plain files, which have no record of them."""
        tables = self.manifest.tables.values() if self.manifest else ()
        return sum(stored.rows for stored in tables)

    def table_files(self) -> Mapping[str, TableFiles]:
        """The files of each configured table, then of the snapshot's other tables."""
        return {
            name: NO_FILES if recorded is None else _look_at(recorded)
            for name, recorded in _recorded_files(self).items()
        }

    def files(self, table: str) -> list[str]:
        """The paths of the Parquet files of *table*, in key order."""
        folder = f"{self.path}/{table_folder(table)}"
        if self.manifest is None:
            return [folder]
        return [f"{folder}/{part.file}" for part in self.manifest.tables[table].parts]


class _RecordedFile(NamedTuple):
    """A path, and the size that the manifest has; None without a manifest."""

    path: str
    bytes: int | None


@lru_cache(maxsize=8)  # Each request looks at all files: here are their names.
def _recorded_files(snapshot: Snapshot) -> Mapping[str, list[_RecordedFile] | None]:
    """The files of each configured table and of the others; None for a missing table."""
    tables = TABLES if snapshot.manifest is None else snapshot.manifest.tables
    return {
        name: _recorded(snapshot, name) if name in tables else None
        for name in dict.fromkeys((*snapshot.configured, *tables))
    }


def _recorded(snapshot: Snapshot, table: str) -> list[_RecordedFile]:
    files, manifest = snapshot.files(table), snapshot.manifest
    if manifest is None:
        return [_RecordedFile(file, None) for file in files]
    parts = zip(files, manifest.tables[table].parts, strict=True)
    return [_RecordedFile(file, part.bytes) for file, part in parts]


def _look_at(recorded: Iterable[_RecordedFile]) -> TableFiles:
    """A table's files; one with another size than recorded is damaged."""
    total, complete = 0, True
    for path, expected in recorded:
        size = _file_size(path)
        total += size or 0
        complete = complete and size is not None and expected in (size, None)
    return TableFiles(total, complete)


def current(data_dir: Path) -> Snapshot:
    """Open the current snapshot of *data_dir*, if it is complete.

    Only tables of the statistics can make it incomplete, and only if all of them are
    configured. Raises ReadModelMissing when there is none, or names the tables it lacks.
    """
    return require_complete(latest(data_dir))


def require_complete(snapshot: Snapshot) -> Snapshot:
    """Return *snapshot* if no table of the statistics is missing, see `current`.

    Raises ReadModelMissing.
    """
    if not snapshot.serves_statistics:
        return snapshot
    files = snapshot.table_files()
    missing = [name for name in TABLES if not files[name].complete]
    if len(missing) == len(TABLES):
        raise ReadModelMissing("There is no read model yet: run update_readmodel.py")
    if missing:
        names = ", ".join(missing)
        # A snapshot is published whole, so a file was removed or changed since.
        kind = ReadModelMissing if snapshot.manifest is None else ReadModelDamaged
        raise kind(f"The read model lacks {names}: run update_readmodel.py")
    return snapshot


def latest_readable(data_dir: Path) -> Snapshot | None:
    """The same as `latest`; None if a snapshot exists but cannot be read."""
    with suppress(ReadModelMissing):
        return latest(data_dir)
    return None


def latest(data_dir: Path) -> Snapshot:
    """Open what `current` points at, or the plain files, complete or not.

    Raises ReadModelMissing when a snapshot exists but cannot be read.
    """
    try:
        path = _real_path(f"{data_dir}/{CURRENT}")
    except FileNotFoundError:
        return _plain_files(data_dir)
    except OSError as error:
        raise ReadModelDamaged(
            f"{CURRENT} in DATA_DIR cannot be read: run update_readmodel.py"
        ) from error
    return open_snapshot(path)


_REAL_PATHS: Final[dict[str, str]] = {}
"""Link -> its real path when it was last resolved."""


def _real_path(link: str) -> str:
    """The real path of *link*. Raises OSError.

    Resolving looks at each folder above it, for each request; two looks show that the
    path found last is still that of the same folder.
    """
    status = os.stat(link)  # noqa: PTH116 - on each request
    with suppress(KeyError, OSError):
        known = _REAL_PATHS[link]
        if os.path.samestat(os.stat(known), status):  # noqa: PTH116
            return known
    path = _REAL_PATHS[link] = os.path.realpath(link, strict=True)
    return path


def open_snapshot(path: str) -> Snapshot:
    """Open the snapshot in the folder *path*, a real path, complete or not.

    Raises ReadModelDamaged if it cannot be read.
    """
    try:
        status = _manifest_status(path)
        return _snapshot(path, status.st_ino, status.st_mtime_ns, status.st_size)
    except (OSError, ValueError) as error:
        name = os.path.basename(path)  # noqa: PTH119 - a string, on each request
        raise ReadModelDamaged(
            f"Snapshot {name} is damaged: run update_readmodel.py"
        ) from error


def _manifest_status(path: str) -> os.stat_result:
    """The status of the manifest in *path*, or of its copy. Raises OSError."""
    try:
        return os.stat(f"{path}/{MANIFEST}")  # noqa: PTH116 - on each request
    except FileNotFoundError:
        return os.stat(f"{path}/{MANIFEST_COPY}")  # noqa: PTH116


@lru_cache(maxsize=8)  # The current snapshot, the one before, and earlier ones.
def _snapshot(folder: str, *_status: int) -> Snapshot:
    """Parse the manifest in *folder*, once per inode, modification time and size.

    Every request asks for it. Raises OSError and ValueError.
    """
    path = Path(folder)
    manifest = _manifest(path)
    name = path.name
    if name == CURRENT:  # Some programs that copy folders replace links by folders.
        name = manifest.taken_at.strftime(ID_FORMAT)
    return Snapshot(name, manifest.taken_at, path, manifest)


def _manifest(path: Path) -> Manifest:
    """Parse the manifest in *path*, or else its copy. Raises OSError and ValueError."""
    try:
        return Manifest.from_json(read_file(path / MANIFEST, MOST_MANIFEST_BYTES))
    except (OSError, ValueError):
        copy = path / MANIFEST_COPY
        if not copy.exists():
            raise
        return Manifest.from_json(read_file(copy, MOST_MANIFEST_BYTES))


def table_files(data_dir: Path) -> Mapping[str, TableFiles]:
    """`Snapshot.table_files` of the latest snapshot; NO_FILES without one.

    Never raises.
    """
    try:
        return latest(data_dir).table_files()
    except (ReadModelMissing, OSError):
        return dict.fromkeys(TABLES, NO_FILES)


def _file_size(file: str) -> int | None:
    """Bytes of *file*; None unless it is a regular file."""
    try:
        status = os.stat(file)  # noqa: PTH116 - a string, on each request
    except OSError:
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _plain_files(data_dir: Path) -> Snapshot:
    """The earlier system's files; the id changes whenever one of them does."""
    folder = Path(os.path.realpath(data_dir))
    digest, newest = hashlib.sha256(), 0
    for name in TABLES:
        try:
            status = (folder / table_folder(name)).stat()
        except OSError:
            continue
        digest.update(f"{name} {status.st_size} {status.st_mtime_ns}\n".encode())
        newest = max(newest, status.st_mtime_ns)
    taken_at = datetime.fromtimestamp(min(newest / 1e9, LATEST), UTC)
    return Snapshot(f"plain-{digest.hexdigest()[:16]}", taken_at, folder)


def _in_utc(frame: pl.LazyFrame) -> pl.LazyFrame:
    """Cast timestamps to INSTANT; the earlier system's naive ones are UTC."""
    return frame.with_columns(
        (
            column_named(name).dt.replace_time_zone("UTC")
            if dtype.time_zone is None
            else column_named(name)
        ).cast(INSTANT)
        for name, dtype in frame.collect_schema().items()
        if isinstance(dtype, pl.Datetime) and dtype != INSTANT
    )
