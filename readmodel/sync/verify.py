"""Is the read model what the database holds now? Compares all of it, changes nothing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from readmodel.source.blocking import Block
from readmodel.source.protocol import Source, View
from readmodel.sync import reuse, rotation
from readmodel.sync.reuse import ReusablePart
from readmodel.sync.table_spec import TableSpec, table_spec
from readmodel.tables import Table


@dataclass(frozen=True, slots=True)
class Difference:
    """A part that is not what the database holds now, and why.

    `part` is its file; None where it is the whole table that differs.
    """

    table: str
    part: str | None
    reason: str

    def __str__(self) -> str:
        return f"{self.table}/{self.part or '*'}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the comparison of one table found."""

    table: str
    rows: int
    parts: int
    differences: tuple[Difference, ...]


def verify(
    source: Source, data_dir: Path, tables: Sequence[Table]
) -> Iterator[Verdict]:
    """Compare each table, all at one instant of *source*; yields as it goes.

    Raises SourceError when the database cannot be read.
    """
    with source.view() as view:
        for table in tables:
            yield _verdict(view, data_dir, table)


def _verdict(view: View, data_dir: Path, table: Table) -> Verdict:
    found = reuse.stored_table(data_dir, table.name)
    if found is None:
        missing = Difference(table.name, None, "is not in the read model")
        return Verdict(table.name, 0, 0, (missing,))
    stored, _ = found
    job = table_spec(view, table, reuse.width(data_dir, table.name))
    return Verdict(
        table.name,
        stored.rows,
        len(stored.parts),
        tuple(_differences(view, data_dir, job)),
    )


def _differences(view: View, data_dir: Path, job: TableSpec) -> Iterator[Difference]:
    name = job.table.name
    found = reuse.stored_table(data_dir, name)
    assert found is not None
    stored, _ = found
    if list(stored.columns.items()) != list(job.stored_columns.items()):
        yield Difference(name, None, "has other columns in the database")
        return
    held = reuse.reusable_parts(
        data_dir, name, job.stored_columns, job.cut, lambda _: True
    )
    usable = {part.part.file for part in held.parts}
    for part in stored.parts:
        if part.file not in usable:
            yield Difference(name, part.file, "is damaged or missing on disk")
    now = view.blocks(job.table, job.columns, job.cut)
    if len(usable) == len(stored.parts):
        yield from _other_rows(name, held.parts, now)


def _other_rows(
    table: str, parts: Sequence[ReusablePart], now: Sequence[Block]
) -> Iterator[Difference]:
    """The parts whose share of the blocks is not what they hold."""
    if len(parts) == 1:
        shares = [list(now)]
    else:
        spans = rotation.spans(parts)
        shares = [[block for block in now if span.covers(block)] for span in spans]
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
