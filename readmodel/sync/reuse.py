"""What is at hand: the parts of the last snapshot that can be trusted and reused."""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl

from readmodel.source.blocking import Block, Blocking
from readmodel.store import snapshot
from readmodel.store.manifest import Part, StoredTable, VisitsFile
from readmodel.sync.staging import NOTE, checksum
from util.errors import ReadModelMissing

# Raised whenever rows are packed or digested otherwise: old digests mean nothing then.
FORMAT = 1


@dataclass(frozen=True, slots=True)
class ReusablePart:
    """A part at hand: its record, its file, and the digests of its blocks."""

    part: Part
    file: Path
    blocks: tuple[Block, ...]

    def is_damaged(self) -> bool:
        """Whether a file is another than was written; reads all of it."""
        files = _files(self.part, self.file)
        try:
            return any(checksum(path) != record.crc32 for path, record in files)
        except OSError:
            return True

    def read(self, cut: Blocking, numbers: frozenset[int | None]) -> pl.DataFrame:
        """The rows of the blocks called *numbers*."""
        block = cut.block_number()
        known = [number for number in numbers if number is not None]
        wanted = block.is_in(known)
        if None in numbers:
            wanted = wanted | block.is_null()
        return pl.scan_parquet(self.file, glob=False).filter(wanted).collect()


@dataclass(frozen=True, slots=True)
class ReusableTable:
    """The usable parts of one table, and when its content last changed."""

    parts: tuple[ReusablePart, ...] = ()
    changed_at: datetime | None = None


def encode_footer(cut: Blocking, blocks: Sequence[Block]) -> str:
    """What a part's footer says about its rows."""
    rows = [[block.number, block.rows, block.digest] for block in blocks]
    said = {"cut": [FORMAT, *cut.signature], "blocks": rows}
    return json.dumps(said, separators=(",", ":"))


def width(data_dir: Path, table: str) -> int | None:
    """By how many ids the parts at hand are cut, if any are."""
    stored = _stored(data_dir, table)
    if stored is None:
        return None
    record, place = stored
    for part in record.parts:
        said = decode_footer(place / part.file)
        if said is not None:
            return said.width
    return None


def reusable_parts(
    data_dir: Path,
    table: str,
    columns: Mapping[str, str],
    cut: Blocking,
    examined: Callable[[int], bool] = lambda _: False,
) -> ReusableTable:
    """The parts of *table* that have just these columns and are cut just so.

    What is missing, damaged or of another shape is left out, so it is fetched. Of the
    parts whose index is *examined*, every byte is compared with the checksum.
    """
    stored = _stored(data_dir, table)
    if stored is None:
        return ReusableTable()
    record, place = stored
    if list(record.columns.items()) != list(columns.items()):
        return ReusableTable()
    held = [_held(part, place / part.file, cut) for part in record.parts]
    kept = tuple(
        part
        for index, part in enumerate(held)
        if part is not None and not (examined(index) and part.is_damaged())
    )
    whole = len(kept) == len(held)
    return ReusableTable(kept, record.changed_at if whole else None)


def stored_table(data_dir: Path, table: str) -> tuple[StoredTable, Path] | None:
    """*table* as the last snapshot holds it, and its folder; None where it does not."""
    return _stored(data_dir, table)


def _stored(data_dir: Path, table: str) -> tuple[StoredTable, Path] | None:
    try:
        last = snapshot.latest(data_dir)
    except ReadModelMissing:
        return None
    if last.manifest is None or table not in last.manifest.tables:
        return None
    return last.manifest.tables[table], last.path / snapshot.folder(table)


def _held(part: Part, file: Path, cut: Blocking) -> ReusablePart | None:
    files = _files(part, file)
    try:
        if any(os.stat(path).st_size != record.bytes for path, record in files):
            return None
    except OSError:
        return None
    said = decode_footer(file)
    if said is None or said.cut != [FORMAT, *cut.signature]:
        return None
    return ReusablePart(part, file, said.blocks)


def _files(part: Part, file: Path) -> Iterator[tuple[Path, Part | VisitsFile]]:
    """The part's *file*, and that of its visits if it has any, each with its record."""
    yield file, part
    if part.visits:
        yield snapshot.visits_of(file), part.visits


@dataclass(frozen=True, slots=True)
class _Said:
    """A part's note."""

    cut: Sequence[int | str]
    blocks: tuple[Block, ...]

    @property
    def width(self) -> int:
        return int(self.cut[-1])


def decode_footer(file: Path) -> _Said | None:
    """The note of *file*; None where it cannot be read or says something else."""
    try:
        said = json.loads(pl.read_parquet_metadata(file)[NOTE])
        blocks = tuple(Block(*block) for block in said["blocks"])
        return _Said(list(said["cut"]), blocks)
    except (OSError, KeyError, TypeError, ValueError, pl.exceptions.PolarsError):
        return None
