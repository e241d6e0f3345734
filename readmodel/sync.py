"""One sync: gather what there is, decide what to do, apply it, report.

After it the read model equals the database at one instant, whatever happened since
the last one; it costs what changed.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import polars as pl

from readmodel import inventory
from readmodel.changes import Changes, between
from readmodel.inventory import Inventory
from readmodel.manifest import Part, Stored, dtype_name
from readmodel.packed import Column
from readmodel.plan import Keep, Write, plan
from readmodel.source import Block, Cut, Source, View, cut_of
from readmodel.stage import Stage, writing
from readmodel.tables import Table
from util.errors import SourceError


@dataclass(frozen=True, slots=True)
class TableReport:
    """What one sync did to one table.

    `fetched` counts the rows that came from the database, `zero_dates` the dates
    among them that no calendar holds and that became NULL.
    """

    name: str
    rows: int
    fetched: int
    parts: int
    parts_written: int
    bytes_written: int
    zero_dates: int
    seconds: float
    changes: Changes = Changes()


@dataclass(frozen=True, slots=True)
class Report:
    """What one sync did; `taken_at` is the instant that the read model now holds."""

    snapshot: str
    taken_at: datetime
    tables: tuple[TableReport, ...]
    seconds: float

    @property
    def rows(self) -> int:
        return sum(table.rows for table in self.tables)

    @property
    def fetched(self) -> int:
        return sum(table.fetched for table in self.tables)


@dataclass(frozen=True, slots=True)
class _Job:
    """A table, as the database declares it at this instant, and how it is cut."""

    table: Table
    columns: Sequence[Column]
    cut: Cut

    @property
    def stored_columns(self) -> dict[str, str]:
        return {column.name: dtype_name(column.dtype) for column in self.columns}


def sync(
    source: Source,
    data_dir: Path,
    tables: Sequence[Table],
    now: Callable[[], datetime],
    told: Callable[[TableReport], None] = lambda _: None,
    full: bool = False,
) -> Report:
    """Mirror *tables* of *source* into *data_dir*; *told* hears of each when done.

    With *full* every row is fetched anew. Raises SyncRunning, SourceError or
    StorageError; the last snapshot then stays as it was.
    """
    begun = time.monotonic()
    with writing(data_dir), source.view() as view:
        taken_at = now()
        jobs = [job_of(view, table) for table in tables]
        with Stage(data_dir, taken_at) as stage:
            done: dict[str, Stored] = {}
            reports = []
            for job in jobs:
                table_begun = time.monotonic()
                work = _Work(view, stage, job, _at_hand(data_dir, job, full))
                done[job.table.name] = work.run()
                reports.append(work.report(time.monotonic() - table_begun))
                told(reports[-1])
            stage.publish(done)
    return Report(stage.id, stage.taken_at, tuple(reports), time.monotonic() - begun)


def job_of(view: View, table: Table) -> _Job:
    """The table's shape now. Raises SourceError for what the statistics would miss."""
    columns = view.columns(table)
    dtypes = {column.name: column.dtype for column in columns}
    for name, kind in table.needs.items():
        if name not in dtypes:
            raise SourceError(f"{table.name} has no column {name}, which is needed")
        if not kind.fits(dtypes[name]):
            raise SourceError(
                f"{table.name}.{name} holds {dtypes[name]}, but must be {kind.value}"
            )
    return _Job(table, columns, cut_of(table, columns))


def _at_hand(data_dir: Path, job: _Job, full: bool) -> Inventory:
    if full:
        return Inventory()
    return inventory.take(data_dir, job.table.name, job.stored_columns, job.cut)


class _Work:
    """Bringing one table up to the instant of the view."""

    def __init__(self, view: View, stage: Stage, job: _Job, held: Inventory) -> None:
        self._view = view
        self._stage = stage
        self._job = job
        self._held = held
        self._parts: list[Part] = []
        self._written: list[Part] = []
        self._fetched = 0
        self._zero_dates = 0
        self._changes = Changes()

    def run(self) -> Stored:
        """The table as the next snapshot holds it, staged."""
        job = self._job
        now = self._view.blocks(job.table, job.columns, job.cut)
        self._changes += Changes(removed=self._rows_of_gone_blocks(now))
        for step in plan([part.blocks for part in self._held.parts], now):
            match step:
                case Keep(index):
                    self._keep(index)
                case Write():
                    self._write(step)
        changed_at = self._held.changed_at
        if changed_at is None or self._changed():
            changed_at = self._stage.taken_at
        return Stored(job.stored_columns, tuple(self._parts), changed_at)

    def _changed(self) -> bool:
        """Whether the content is another; parts joined without a fetch are not."""
        rows = sum(part.rows for part in self._parts)
        before = sum(held.part.rows for held in self._held.parts)
        return self._fetched > 0 or rows != before

    def _keep(self, index: int) -> None:
        held = self._held.parts[index]
        part = self._stage.keep(self._job.table.name, held.part, held.file)
        # Its digests were just found equal to the source's.
        self._parts.append(replace(part, checked_at=self._stage.taken_at))

    def _write(self, step: Write) -> None:
        empty = pl.DataFrame(
            schema={column.name: column.dtype for column in self._job.columns}
        )
        fetched = pl.concat([empty, *self._new_rows(step.fetch)])
        replaced = pl.concat([empty, *self._old_rows(self._replaced(step.fetch))])
        self._changes += between(replaced, fetched)
        frame = pl.concat([*self._old_rows(step.old), fetched])
        cut = self._job.cut
        part = self._stage.write(
            self._job.table.name,
            frame.sort(cut.key, maintain_order=True),
            inventory.note(cut, step.blocks),
        )
        self._parts.append(part)
        self._written.append(part)

    def _old_rows(
        self, old: Mapping[int, frozenset[int | None]]
    ) -> Iterator[pl.DataFrame]:
        for index, numbers in old.items():
            yield self._held.parts[index].read(self._job.cut, numbers)

    def _replaced(self, fetch: Sequence[Block]) -> Mapping[int, frozenset[int | None]]:
        """The blocks that *fetch* brings anew, as they are at hand."""
        numbers = {block.number for block in fetch}
        return {
            index: frozenset(block.number for block in held.blocks) & numbers
            for index, held in enumerate(self._held.parts)
            if any(block.number in numbers for block in held.blocks)
        }

    def _rows_of_gone_blocks(self, now: Sequence[Block]) -> int:
        numbers = {block.number for block in now}
        held = [block for part in self._held.parts for block in part.blocks]
        return sum(block.rows for block in held if block.number not in numbers)

    def _new_rows(self, blocks: Sequence[Block]) -> Iterator[pl.DataFrame]:
        job = self._job
        if not blocks:
            return
        for batch in self._view.rows(job.table, job.columns, job.cut, blocks):
            self._fetched += batch.frame.height
            self._zero_dates += batch.zero_dates
            yield batch.frame

    def report(self, seconds: float) -> TableReport:
        return TableReport(
            name=self._job.table.name,
            rows=sum(part.rows for part in self._parts),
            fetched=self._fetched,
            parts=len(self._parts),
            parts_written=len(self._written),
            bytes_written=sum(part.bytes for part in self._written),
            zero_dates=self._zero_dates,
            seconds=seconds,
            changes=self._changes,
        )
