"""Bringing one table up to the instant of a view: compare, decide, fetch, write."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import polars as pl

from readmodel.source.blocking import Block, KeyKind
from readmodel.source.protocol import View
from readmodel.store.manifest import Part, StoredTable
from readmodel.sync import reuse, rotation
from readmodel.sync.planner import Keep, Step, Write, plan
from readmodel.sync.reuse import ReusableTable
from readmodel.sync.rotation import Budget
from readmodel.sync.row_diff import RowDiff, diff
from readmodel.sync.staging import SnapshotWriter
from readmodel.sync.table_spec import TableSpec

type Progress = Callable[[str, int, int], object]
"""Is told of a table how many rows were fetched, of how many."""


@dataclass(frozen=True, slots=True)
class TableReport:
    """What one sync did to one table.

    `fetched` counts the rows that came from the database, `zero_dates` the dates
    among them that no calendar holds and that became NULL. `checked_at` is when all
    of the table was last known to equal the database.
    """

    name: str
    rows: int
    fetched: int
    parts: int
    parts_written: int
    bytes_written: int
    zero_dates: int
    seconds: float
    changes: RowDiff = RowDiff()
    checked_at: datetime | None = None


class Work:
    """One table's way into the staged snapshot. Call `run`, then `report`."""

    def __init__(
        self,
        view: View,
        stage: SnapshotWriter,
        job: TableSpec,
        held: ReusableTable,
        budget: Budget | None = None,
        progress: Progress = lambda *_: None,
    ) -> None:
        """With a *budget* cold parts are compared only as far as it reaches."""
        self._progress = progress
        self._wanted = 0
        self._began = time.monotonic()
        self._view = view
        self._stage = stage
        self._job = job
        self._held = held
        self._budget = budget
        self._checked: set[int] = set()
        self._parts: list[Part] = []
        self._written: list[Part] = []
        self._fetched = 0
        self._zero_dates = 0
        self._changes = RowDiff()

    def run(self) -> StoredTable:
        """The table as the next snapshot holds it, staged."""
        steps, now = self._decide()
        writes = [step for step in steps if isinstance(step, Write)]
        self._wanted = sum(block.rows for step in writes for block in step.fetch)
        self._changes += RowDiff(removed=self._rows_of_gone_blocks(now))
        for step in steps:
            match step:
                case Keep(index):
                    self._keep(index)
                case Write():
                    self._write(step)
        changed_at = self._held.changed_at
        if changed_at is None or self._has_changed():
            changed_at = self._stage.taken_at
        return StoredTable(self._job.stored_columns, tuple(self._parts), changed_at)

    def _decide(self) -> tuple[Sequence[Step], Sequence[Block]]:
        """What to do, with parts at hand that are what they were written as."""
        while True:
            now = self._blocks()
            steps = plan([part.blocks for part in self._held.parts], now)
            damaged = {i for i in self._read_by(steps) if self._is_damaged(i)}
            if not damaged:
                return steps, now
            parts = enumerate(self._held.parts)
            kept = tuple(part for index, part in parts if index not in damaged)
            self._held = ReusableTable(kept)

    def _is_damaged(self, index: int) -> bool:
        return self._held.parts[index].is_damaged()

    def _read_by(self, steps: Iterable[Step]) -> set[int]:
        writes = [step for step in steps if isinstance(step, Write)]
        kept = {index for step in writes for index in step.old}
        return kept.union(*(self._replaced(step.fetch) for step in writes))

    def _blocks(self) -> Sequence[Block]:
        """The blocks of the database now; of parts that can wait, those at hand."""
        job, parts = self._job, self._held.parts
        # Without an index a part costs as much as all of them: time is read in one go.
        whole = self._budget is None or job.cut.key_kind is KeyKind.TIME
        if self._budget is None or whole or not self._is_complete():
            self._checked = set(range(len(parts)))
            return self._view.blocks(job.table, job.columns, job.cut)
        found = {index: part.blocks for index, part in enumerate(parts)}
        spans = rotation.spans(parts)
        for index in rotation.parts_to_verify(
            parts, self._stage.taken_at, self._budget
        ):
            span = spans[index]
            found[index] = self._budget.spend(
                lambda span=span: tuple(  # type: ignore[misc]
                    self._view.blocks(job.table, job.columns, job.cut, span)
                )
            )
            self._checked.add(index)
        return [block for index in sorted(found) for block in found[index]]

    def _is_complete(self) -> bool:
        """Whether the parts at hand are all there were, so that none hides a gap."""
        parts = self._held.parts
        return self._held.changed_at is not None and all(part.blocks for part in parts)

    def _has_changed(self) -> bool:
        """Whether the content is another; parts joined without a fetch are not."""
        rows = sum(part.rows for part in self._parts)
        before = sum(held.part.rows for held in self._held.parts)
        return self._fetched > 0 or rows != before

    def _keep(self, index: int) -> None:
        held = self._held.parts[index]
        part = self._stage.keep(self._job.table.name, held.part, held.file)
        self._parts.append(replace(part, checked_at=self._checked_at([index])))

    def _write(self, step: Write) -> None:
        empty = pl.DataFrame(
            schema={column.name: column.dtype for column in self._job.columns}
        )
        fetched = pl.concat([empty, *self._new_rows(step.fetch)])
        replaced = pl.concat([empty, *self._old_rows(self._replaced(step.fetch))])
        self._changes += diff(replaced, fetched)
        cut = self._job.cut
        part = self._stage.write(
            self._job.table.name,
            _in_order(pl.concat([*self._old_rows(step.old), fetched]), cut.key),
            reuse.encode_footer(cut, step.blocks),
        )
        part = replace(part, checked_at=self._checked_at(step.old))
        self._parts.append(part)
        self._written.append(part)

    def _checked_at(self, indexes: Iterable[int]) -> datetime:
        """When rows out of these parts were last known to equal the database's."""
        waiting = [
            self._held.parts[index].part.checked_at
            for index in indexes
            if index not in self._checked
        ]
        return min(waiting, default=self._stage.taken_at)

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
            self._progress(job.table.name, self._fetched, self._wanted)
            yield _in_order(batch.frame, job.cut.key)

    def report(self) -> TableReport:
        return TableReport(
            name=self._job.table.name,
            rows=sum(part.rows for part in self._parts),
            fetched=self._fetched,
            parts=len(self._parts),
            parts_written=len(self._written),
            bytes_written=sum(part.bytes for part in self._written),
            zero_dates=self._zero_dates,
            seconds=time.monotonic() - self._began,
            changes=self._changes,
            checked_at=min(part.checked_at for part in self._parts),
        )


def _in_order(frame: pl.DataFrame, key: str) -> pl.DataFrame:
    """*frame* sorted by *key*; as it is, without a copy, where it is sorted already."""
    if frame.get_column(key).is_sorted():
        return frame
    return frame.sort(key, maintain_order=True)
