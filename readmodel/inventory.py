"""What is at hand: the parts of the last snapshot that can be trusted and reused."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl

from readmodel import snapshot
from readmodel.manifest import Part, Stored
from readmodel.source import Block, Cut
from readmodel.stage import NOTE
from util.errors import ReadModelMissing

# Raised whenever rows are packed or digested otherwise: old digests mean nothing then.
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Held:
    """A part at hand: its record, its file, and the digests of its blocks."""

    part: Part
    file: Path
    blocks: tuple[Block, ...]

    def read(self, cut: Cut, numbers: frozenset[int | None]) -> pl.DataFrame:
        """The rows of the blocks called *numbers*."""
        block = cut.number()
        known = [number for number in numbers if number is not None]
        wanted = block.is_in(known)
        if None in numbers:
            wanted = wanted | block.is_null()
        return pl.scan_parquet(self.file, glob=False).filter(wanted).collect()


@dataclass(frozen=True, slots=True)
class Inventory:
    """The usable parts of one table, and when its content last changed."""

    parts: tuple[Held, ...] = ()
    changed_at: datetime | None = None


def note(cut: Cut, blocks: Sequence[Block]) -> str:
    """What a part's footer says about its rows."""
    rows = [[block.number, block.rows, block.digest] for block in blocks]
    return json.dumps({"cut": _cut_mark(cut), "blocks": rows}, separators=(",", ":"))


def _cut_mark(cut: Cut) -> list[object]:
    return [FORMAT, cut.key, cut.axis.name, cut.width]


def take(data_dir: Path, table: str, columns: dict[str, str], cut: Cut) -> Inventory:
    """The parts of *table* that have just these columns and are cut just so.

    What is missing, damaged or of another shape is left out, so it is fetched.
    """
    stored = _stored(data_dir, table)
    if stored is None:
        return Inventory()
    record, place = stored
    if list(record.columns.items()) != list(columns.items()):
        return Inventory()
    held = [_held(part, place / part.file, cut) for part in record.parts]
    kept = tuple(part for part in held if part is not None)
    whole = len(kept) == len(held)
    return Inventory(kept, record.changed_at if whole else None)


def _stored(data_dir: Path, table: str) -> tuple[Stored, Path] | None:
    try:
        last = snapshot.latest(data_dir)
    except ReadModelMissing:
        return None
    if last.manifest is None or table not in last.manifest.tables:
        return None
    return last.manifest.tables[table], last.path / snapshot.folder(table)


def _held(part: Part, file: Path, cut: Cut) -> Held | None:
    try:
        if os.stat(file).st_size != part.bytes:
            return None
        footer = pl.read_parquet_metadata(file)
        said = json.loads(footer[NOTE])
        if said["cut"] != _cut_mark(cut):
            return None
        blocks = tuple(Block(*block) for block in said["blocks"])
    except (OSError, KeyError, TypeError, ValueError, pl.exceptions.PolarsError):
        return None
    return Held(part, file, blocks)
