"""The parts of the last snapshot that the next one can reuse."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import polars as pl

from readmodel.dtypes import parse_dtype
from readmodel.source.blocking import Block, Blocking
from readmodel.store import snapshot
from readmodel.store.damage import checksum
from readmodel.store.manifest import Part, SideFile, StoredTable, VisitsFile
from readmodel.store.side_files import recorded_side_files
from readmodel.sync.part_footer import decode_footer
from util.columns import column_named


@dataclass(frozen=True, slots=True)
class ReusablePart:
    """A part on disk: its record in the manifest, its file, and its digested blocks.

    `casts` are the columns whose dtype has become wider since the part was written, and
    `booleans` those of them that were booleans. If `is_earlier`, its file has digests of
    an earlier format.
    """

    part: Part
    file: Path
    blocks: tuple[Block, ...]
    casts: Mapping[str, pl.DataType] = field(default_factory=dict)
    booleans: frozenset[str] = frozenset()
    is_earlier: bool = False

    @property
    def is_outdated(self) -> bool:
        """True if the rows must be stored again even when they are unchanged."""
        return bool(self.casts) or self.is_earlier

    def is_damaged(self) -> bool:
        """True if any file's CRC differs from the manifest. Reads the whole files."""
        files = _files(self.part, self.file)
        try:
            return any(checksum(path) != record.crc32 for path, record in files)
        except OSError:
            return True

    def read(self, blocking: Blocking, numbers: Collection[int | None]) -> pl.DataFrame:
        """Read the rows of the blocks with these *numbers*, with all columns."""
        number = blocking.block_number()
        selected = number.is_in([n for n in numbers if n is not None])
        if None in numbers:
            selected = selected | number.is_null()
        rows = pl.scan_parquet(self.file, glob=False).filter(selected)
        casts = (column_named(name).cast(dtype) for name, dtype in self.casts.items())
        return rows.with_columns(casts).collect()


@dataclass(frozen=True, slots=True)
class ReusableTable:
    """The reusable parts of one table, in key order.

    `changed_at` is when its content last changed; None if a part is missing, so that
    the parts are not all of the table.
    """

    parts: tuple[ReusablePart, ...] = ()
    changed_at: datetime | None = None

    @property
    def is_complete(self) -> bool:
        """True if the parts cover all keys of the table, and each has rows."""
        return self.changed_at is not None and all(part.blocks for part in self.parts)

    def without(self, indexes: Collection[int]) -> "ReusableTable":
        """Drop the parts at *indexes*."""
        if not indexes:
            return self
        parts = enumerate(self.parts)
        return ReusableTable(tuple(p for index, p in parts if index not in indexes))


def stored_table(data_dir: Path, table: str) -> tuple[StoredTable, Path] | None:
    """Look up *table* in the last snapshot: its record and the folder of its parts.

    None without a readable snapshot that mirrors the table.
    """
    last = snapshot.latest_readable(data_dir)
    if last is None or (manifest := last.manifest) is None:
        return None
    if table not in manifest.tables or table in manifest.derived:
        return None
    return manifest.tables[table], last.path / snapshot.table_folder(table)


def stored_block_width(data_dir: Path, table: str) -> int | None:
    """The block width of the stored parts of *table*; None without any."""
    found = stored_table(data_dir, table)
    if found is None:
        return None
    stored, folder = found
    for part in stored.parts:
        footer = decode_footer(folder / part.file)
        if footer is not None:
            return footer.block_width
    return None


def reusable_parts(
    data_dir: Path,
    table: str,
    columns: Mapping[str, str],
    blocking: Blocking,
    is_sampled: Callable[[int], bool] = lambda _: False,
) -> ReusableTable:
    """Stored parts of *table* with these columns and this block layout.

    An integer column may have become wider, or the digests may have an earlier format
    that the source recognises: then rows are stored again, not fetched. Of the latter, a
    boolean column may have become an integer, too.
    Parts that are missing, have another size or an unreadable footer are left out, so
    their rows are fetched. The parts whose index *is_sampled* are read whole, and left
    out if their checksum differs.
    """
    found = stored_table(data_dir, table)
    if found is None:
        return ReusableTable()
    stored, folder = found
    casts = _casts(stored.columns, columns)
    if casts is None:
        return ReusableTable()
    booleans = frozenset(
        name for name in casts if parse_dtype(stored.columns[name]) == pl.Boolean
    )
    parts = [
        _reusable(part, folder / part.file, blocking, casts, booleans)
        for part in stored.parts
    ]
    intact = tuple(
        part
        for index, part in enumerate(parts)
        if part is not None and not (is_sampled(index) and part.is_damaged())
    )
    is_complete = len(intact) == len(parts)
    return ReusableTable(intact, stored.changed_at if is_complete else None)


def _casts(
    stored: Mapping[str, str], columns: Mapping[str, str]
) -> Mapping[str, pl.DataType] | None:
    """The columns to cast to a wider integer; None if the stored rows cannot serve."""
    if list(stored) != list(columns):
        return None
    changed = {
        name: (parse_dtype(stored[name]), parse_dtype(dtype))
        for name, dtype in columns.items()
        if stored[name] != dtype
    }
    if not all(_is_wider(new, old) for old, new in changed.values()):
        return None
    return {name: new for name, (_, new) in changed.items()}


_INTEGERS = (
    (pl.Boolean(), pl.Int8(), pl.Int16(), pl.Int32(), pl.Int64()),
    (pl.UInt8(), pl.UInt16(), pl.UInt32(), pl.UInt64()),
)


def _is_wider(new: pl.DataType, old: pl.DataType) -> bool:
    """Whether both are signed, or both unsigned, and *new* has more bits."""
    return any(
        old in by_width and new in by_width[by_width.index(old) + 1 :]
        for by_width in _INTEGERS
    )


def _reusable(
    part: Part,
    file: Path,
    blocking: Blocking,
    casts: Mapping[str, pl.DataType],
    booleans: frozenset[str],
) -> ReusablePart | None:
    files = _files(part, file)
    try:
        if any(path.stat().st_size != record.bytes for path, record in files):
            return None
    except OSError:
        return None
    footer = decode_footer(file)
    if footer is None:
        return None
    is_earlier = footer.can_be_renewed(blocking)
    # A true may have been any number: only the earlier digests are checked for that.
    if not is_earlier and (booleans or not footer.matches(blocking)):
        return None
    return ReusablePart(part, file, footer.blocks, casts, booleans, is_earlier)


def _files(
    part: Part, file: Path
) -> Iterator[tuple[Path, Part | SideFile | VisitsFile]]:
    """The part's *file* and its side files, each with its record."""
    yield file, part
    yield from recorded_side_files(part, file)
