"""Compare all of the read model with the database as it is now; changes nothing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from readmodel.source.blocking import Block, KnownBlocks
from readmodel.source.protocol import PassingFault, Source, View
from readmodel.store import snapshot, sorted_activity
from readmodel.store.damage import checksum
from readmodel.store.manifest import StoredTable
from readmodel.sync.renewal import renew_digests
from readmodel.sync.reuse import (
    ReusablePart,
    reusable_parts,
    stored_block_width,
    stored_table,
)
from readmodel.sync.rotation import block_ranges
from readmodel.sync.row_diff import RowDiff, diff
from readmodel.sync.table_spec import TableSpec, table_spec
from readmodel.sync.table_sync import digested_blocks
from readmodel.tables import Table
from util.errors import SourceError

DAMAGED: Final = "is damaged or missing on disk"


@dataclass(frozen=True, slots=True)
class Difference:
    """A part that differs from the database, and how.

    `part` is its file; None if the table as a whole differs.
    """

    table: str
    part: str | None
    reason: str

    def __str__(self) -> str:
        return f"{self.table}/{self.part or '*'}: {self.reason}"


@dataclass(frozen=True, slots=True)
class TableComparison:
    """One stored table compared with the database; no differences: they are equal."""

    table: str
    rows: int
    parts: int
    differences: tuple[Difference, ...]


def verify(
    source: Source, data_dir: Path, tables: Sequence[Table]
) -> Iterator[TableComparison]:
    """Compare each of *tables*, all at one instant of *source*; yields as it goes.

    A table that cannot be read differs. Raises SourceError when that is one that the
    statistics need, and when the database cannot be read.
    """
    with source.view(tables) as view:
        for table in tables:
            yield _compare(view, data_dir, table)


def _compare(view: View, data_dir: Path, table: Table) -> TableComparison:
    found = stored_table(data_dir, table.name)
    if found is None:
        missing = Difference(table.name, None, "is not in the read model")
        return TableComparison(table.name, 0, 0, (missing,))
    stored, _ = found
    try:
        differences = tuple(_differences(view, data_dir, table, stored))
    except PassingFault:
        raise
    except SourceError as error:
        if table.is_essential:
            raise
        differences = (Difference(table.name, None, f"cannot be compared: {error}"),)
    return TableComparison(table.name, stored.rows, len(stored.parts), differences)


def _differences(
    view: View, data_dir: Path, table: Table, stored: StoredTable
) -> Iterator[Difference]:
    spec = table_spec(view, table, stored_block_width(data_dir, table.name))
    if list(stored.columns.items()) != list(spec.stored_columns.items()):
        yield Difference(table.name, None, "has other columns in the database")
        return
    reusable = reusable_parts(
        data_dir, table.name, spec.stored_columns, spec.blocking, lambda _: True
    )
    renewed, blocks = renew_digests(view, spec, reusable)
    parts = renewed.parts
    intact = {part.part.file for part in parts}
    for part in stored.parts:
        if part.file not in intact:
            yield Difference(table.name, part.file, DAMAGED)
    if table.name == sorted_activity.ESTIMATED:
        yield from _damaged_activity(data_dir)
    if blocks is None:
        known = [KnownBlocks(part.blocks, None) for part in parts]
        blocks = digested_blocks(view, spec, known)
    if len(intact) == len(stored.parts):
        found = {it.part: it for it in _differing_parts(table.name, parts, blocks)}
        yield from found.values()
        for unchanged in (part for part in parts if part.part.file not in found):
            yield from _differing_rows(view, spec, unchanged)


def _damaged_activity(data_dir: Path) -> Iterator[Difference]:
    """Compare the files of the sorted activity with their checksums."""
    if last := snapshot.latest_readable(data_dir):
        for file, record in sorted_activity.present_files(last):
            if checksum(file) != record.crc32:
                name = file.relative_to(last.path).as_posix()
                yield Difference(sorted_activity.ESTIMATED, name, DAMAGED)


def _differing_rows(
    view: View, spec: TableSpec, part: ReusablePart
) -> Iterator[Difference]:
    """Compare the rows in the file of *part* with those that the database sends now.

    Digests say what the database had when the part was written; a fault of the fetch or
    of the writing is seen only in the rows themselves.
    """
    held = part.read(spec.blocking, [block.number for block in part.blocks])
    frames = [held.clear()]
    if part.blocks:
        sent_rows = view.rows(spec.table, spec.columns, spec.blocking, part.blocks)
        frames += [batch.frame for batch in sent_rows]
    sent = pl.concat(frames)
    counted = sum(block.rows for block in part.blocks)
    if not counted == part.part.rows == held.height == sent.height:
        yield Difference(
            spec.name,
            part.part.file,
            f"holds {held.height:,} rows, the database counts {counted:,} and sends "
            f"{sent.height:,}",
        )
        return
    changes = diff(held, sent)
    if changes != RowDiff():
        differing = max(
            changes.added + changes.changed, changes.removed + changes.changed
        )
        yield Difference(
            spec.name, part.part.file, f"{differing:,} rows differ from the database's"
        )


def _differing_parts(
    table: str, parts: Sequence[ReusablePart], blocks: Sequence[Block]
) -> Iterator[Difference]:
    """Compare each part with the database's *blocks* in its range."""
    if len(parts) == 1:
        # The only part may be empty, and then it has no first block.
        shares = [list(blocks)]
    else:
        ranges = block_ranges(parts)
        shares = [[b for b in blocks if in_range.covers(b)] for in_range in ranges]
    for part, share in zip(parts, shares, strict=True):
        if tuple(share) != part.blocks:
            changed = len(set(share) ^ set(part.blocks))
            rows = sum(block.rows for block in share)
            yield Difference(
                table,
                part.part.file,
                f"holds {part.part.rows:,} rows, the database {rows:,}, "
                f"and {changed} digests differ",
            )
