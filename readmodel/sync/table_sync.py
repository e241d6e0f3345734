"""Bring one table to the instant of a view: decide what to do, then apply it."""

import time
from collections.abc import (
    Callable,
    Collection,
    Generator,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

import polars as pl

from readmodel.source.blocking import (
    EVERYTHING,
    Block,
    BlockRange,
    KeyKind,
    KnownBlocks,
)
from readmodel.source.protocol import DigestingView, MarkingView, ScannedBatch, View
from readmodel.source.wire import Batch
from readmodel.store.manifest import Part, SourceMark
from readmodel.store.run_log import TableRun
from readmodel.sync.part_footer import encode_footer
from readmodel.sync.part_rows import no_rows, sort_rows, take_rows
from readmodel.sync.planner import Keep, Step, Write, plan
from readmodel.sync.renewal import renew_digests
from readmodel.sync.reuse import ReusablePart, ReusableTable
from readmodel.sync.rotation import (
    FULL_PASS,
    Budget,
    block_ranges,
    parts_to_verify,
)
from readmodel.sync.row_diff import RowDiff, diff
from readmodel.sync.snapshot_writer import SnapshotWriter
from readmodel.sync.table_spec import TableSpec
from readmodel.sync.table_writer import TableWriter

type OnProgress = Callable[[str, int, int], object]
"""Callback(table, rows_fetched, rows_to_fetch)."""

type BlockNumbers = frozenset[int | None]


@dataclass(frozen=True, slots=True)
class Decision:
    """The steps that bring one table to the instant `taken_at`.

    The steps name parts of `stored` by index; each part that they read has an intact
    checksum. `blocks` are those of the database, and `verified` the indexes of the
    parts that were compared with it just now, which took `seconds`. `mark` describes
    the view, if the source can.
    """

    spec: TableSpec
    stored: ReusableTable
    steps: tuple[Step, ...]
    blocks: tuple[Block, ...]
    verified: frozenset[int]
    mark: str | None
    taken_at: datetime
    seconds: float

    @property
    def rows_to_fetch(self) -> int:
        """Rows of all blocks to fetch."""
        return sum(b.rows for step in _writes(self.steps) for b in step.fetch)

    @property
    def rows_in_removed_blocks(self) -> int:
        """Rows of the stored blocks that the database no longer has."""
        numbers = {block.number for block in self.blocks}
        stored = (block for part in self.stored.parts for block in part.blocks)
        return sum(block.rows for block in stored if block.number not in numbers)

    @property
    def changed_at(self) -> datetime:
        """When the content last changed: now, if rows are fetched or removed."""
        stored_rows = sum(part.part.rows for part in self.stored.parts)
        rows = sum(block.rows for block in self.blocks)
        if self.stored.changed_at is None or self.rows_to_fetch or rows != stored_rows:
            return self.taken_at
        return self.stored.changed_at

    def checked_at(self, indexes: Iterable[int]) -> datetime:
        """When the rows of these stored parts were all known to equal the database's."""
        unverified = (i for i in indexes if i not in self.verified)
        checked = (self.stored.parts[index].part.checked_at for index in unverified)
        return min(checked, default=self.taken_at)

    def mark_of(self, indexes: Collection[int]) -> SourceMark | None:
        """The mark of a part with rows of these stored parts; None if rows have none."""
        if self.mark is None or not self.verified.issuperset(indexes):
            return None
        earlier = (
            mark.digested_at
            for index in indexes
            if (mark := _recent_mark(self.stored.parts[index], self.taken_at))
        )
        return SourceMark(self.mark, min(earlier, default=self.taken_at))

    def linked(self, index: int) -> Part:
        """The record of a stored part that is kept, with its latest mark."""
        part = self.stored.parts[index].part
        if index not in self.verified:
            return part
        return replace(part, mark=self.mark_of([index]))

    def read(self, blocks: Mapping[int, BlockNumbers]) -> Iterator[pl.DataFrame]:
        """Read these blocks of the stored parts, by index."""
        for index, numbers in blocks.items():
            yield self.stored.parts[index].read(self.spec.blocking, numbers)


@dataclass(frozen=True, slots=True)
class TableReport:
    """What one sync did to one table, which has `rows` rows in `parts` files now.

    `zero_dates` counts the fetched dates that no calendar has and that became NULL, and
    `repaired_texts` the fetched texts with characters that became U+FFFD. If
    `hides_columns`, the user may read only some columns, and the others are missing.
    `checked_at` is when all of the table was last known to equal the database's.
    """

    name: str
    rows: int
    parts: int
    checked_at: datetime
    counts: TableRun
    bytes_written: int
    zero_dates: int
    repaired_texts: int
    hides_columns: bool
    seconds: float


def decide(
    view: View,
    spec: TableSpec,
    stored: ReusableTable,
    taken_at: datetime,
    budget: Budget | None = None,
) -> Decision:
    """Plan the steps; re-plan until every part that will be read has an intact checksum.

    With a *budget*, cold parts are compared only as far as it reaches. Raises
    SourceError when the database cannot answer.
    """
    started = time.monotonic()
    stored, renewed = renew_digests(view, spec, stored)
    while True:
        if renewed is None:
            blocks, verified = _observe(view, spec, stored, taken_at, budget)
        else:
            blocks, verified = renewed, frozenset(range(len(stored.parts)))
        planned = plan([part.blocks for part in stored.parts], blocks)
        steps = tuple(_rewrite_if_outdated(step, stored.parts) for step in planned)
        damaged = {
            index
            for index in _parts_to_read(steps, stored.parts)
            if stored.parts[index].is_damaged()
        }
        if not damaged:
            mark = view.mark(spec.table) if isinstance(view, MarkingView) else None
            seconds = time.monotonic() - started
            return Decision(
                spec, stored, steps, tuple(blocks), verified, mark, taken_at, seconds
            )
        stored = stored.without(damaged)


def apply(
    decision: Decision,
    view: View,
    writer: SnapshotWriter,
    on_progress: OnProgress = lambda *_: None,
) -> TableReport:
    """Fetch, link and write what *decision* says into the next snapshot.

    Raises SourceError when the database cannot answer, StorageError when the disk
    refuses.
    """
    started = time.monotonic()
    spec, fetched = decision.spec, 0

    def on_rows(rows: int) -> None:
        nonlocal fetched
        fetched += rows
        on_progress(spec.name, fetched, decision.rows_to_fetch)

    table = writer.table(spec.name, spec.stored_columns, decision.changed_at)
    written = []
    for step in decision.steps:
        match step:
            case Keep(index):
                kept = decision.stored.parts[index]
                table.link(
                    decision.linked(index), kept.file, decision.checked_at([index])
                )
            case Write():
                written.append(_write(decision, step, view, table, on_rows))
    seconds = decision.seconds + time.monotonic() - started
    return _report(decision, table, written, seconds)


def _observe(
    view: View,
    spec: TableSpec,
    stored: ReusableTable,
    now: datetime,
    budget: Budget | None,
) -> tuple[Sequence[Block], frozenset[int]]:
    """The database's blocks, and the indexes of the stored parts compared with it.

    The other parts are assumed to be unchanged.
    """
    parts = stored.parts
    # Timestamps may have no index: then one part costs as much as all of them.
    if (
        budget is None
        or spec.blocking.key_kind is KeyKind.TIME
        or not stored.is_complete
    ):
        blocks = _query(view, spec, parts, now, EVERYTHING)
        return blocks, frozenset(range(len(parts)))
    ranges = block_ranges(parts)
    compared = {
        index: budget.spend(
            partial(_query, view, spec, [parts[index]], now, ranges[index])
        )
        for index in parts_to_verify(parts, now, budget)
    }
    blocks = [
        block
        for index, part in enumerate(parts)
        for block in compared.get(index, part.blocks)
    ]
    return blocks, frozenset(compared)


def _query(
    view: View,
    spec: TableSpec,
    parts: Iterable[ReusablePart],
    now: datetime,
    block_range: BlockRange,
) -> Sequence[Block]:
    """The database's blocks; those of *parts* need no digest where their mark tells."""
    marks = ((part, _recent_mark(part, now)) for part in parts)
    known = [
        KnownBlocks(part.blocks, mark.text if mark else None) for part, mark in marks
    ]
    return digested_blocks(view, spec, known, block_range)


def digested_blocks(
    view: View,
    spec: TableSpec,
    known: Sequence[KnownBlocks],
    block_range: BlockRange = EVERYTHING,
) -> Sequence[Block]:
    """The database's blocks, which can be compared with those that are *known*."""
    asked = (spec.table, spec.columns, spec.blocking)
    if isinstance(view, MarkingView):
        return view.blocks_since(*asked, known, block_range)
    return view.blocks(*asked, block_range)


def _recent_mark(part: ReusablePart, now: datetime) -> SourceMark | None:
    """The mark of *part*, while it may stand in for a digest of the blocks.

    A digest of everything, once a day, would show that a mark was wrong.
    """
    mark = part.part.mark
    recently = mark and timedelta() <= now - mark.digested_at < FULL_PASS
    return mark if recently else None


def _rewrite_if_outdated(step: Step, parts: Sequence[ReusablePart]) -> Step:
    """Write an outdated part again, from its stored rows."""
    if isinstance(step, Write) or not parts[step.index].is_outdated:
        return step
    blocks = parts[step.index].blocks
    numbers = frozenset(block.number for block in blocks)
    return Write(blocks, fetch=(), stored={step.index: numbers})


def _writes(steps: Iterable[Step]) -> Iterator[Write]:
    return (step for step in steps if isinstance(step, Write))


def _parts_to_read(steps: Iterable[Step], parts: Sequence[ReusablePart]) -> set[int]:
    return {
        index
        for step in _writes(steps)
        for index in (*step.stored, *_replaced_blocks(step, parts))
    }


def _replaced_blocks(
    step: Write, parts: Sequence[ReusablePart]
) -> Mapping[int, BlockNumbers]:
    """The stored blocks with the numbers to fetch, by the index of their part."""
    fetched = {block.number for block in step.fetch}
    found = {
        index: fetched.intersection(block.number for block in part.blocks)
        for index, part in enumerate(parts)
    }
    return {index: frozenset(numbers) for index, numbers in found.items() if numbers}


@dataclass(frozen=True, slots=True)
class _WrittenPart:
    """What a part cost. `digested` are the blocks that were digested as they arrived."""

    bytes: int
    rows_fetched: int
    zero_dates: int
    repaired_texts: int
    diff: RowDiff
    digested: Mapping[int | None, Block]


def _write(
    decision: Decision,
    step: Write,
    view: View,
    table: TableWriter,
    on_rows: Callable[[int], None],
) -> _WrittenPart:
    """Write one part of fetched and stored rows, sorted by key."""
    spec = decision.spec
    rows, fetched = _rows_of(decision, step, view, on_rows)
    blocks = [fetched.digested.get(block.number, block) for block in step.blocks]
    part = table.write(
        rows,
        encode_footer(spec.blocking, blocks),
        decision.checked_at(step.stored),
        decision.mark_of(step.stored),
    )
    return replace(fetched, bytes=part.bytes)


def _rows_of(
    decision: Decision, step: Write, view: View, on_rows: Callable[[int], None]
) -> tuple[pl.DataFrame, _WrittenPart]:
    """The sorted rows of a part, and what they cost, without the bytes of the part."""
    spec = decision.spec
    fetched, digested = _fetch(view, spec, step.fetch, on_rows)
    replaced = _replaced_blocks(step, decision.stored.parts)
    changes = diff(pl.concat([no_rows(spec), *decision.read(replaced)]), fetched.frame)
    cost = _WrittenPart(
        bytes=0,
        rows_fetched=fetched.frame.height,
        zero_dates=fetched.zero_dates,
        repaired_texts=fetched.repaired_texts,
        diff=changes,
        digested=digested,
    )
    frames = [*decision.read(step.stored), fetched.frame]
    del fetched  # see `take_rows`
    return take_rows(spec, frames), cost


def _fetch(
    view: View, spec: TableSpec, blocks: Sequence[Block], on_rows: Callable[[int], None]
) -> tuple[Batch, Mapping[int | None, Block]]:
    """All rows of *blocks* as one batch, and the blocks that were digested meanwhile.

    *on_rows* gets the rows of each batch as it arrives.
    """
    frames, zero_dates, repaired_texts = [no_rows(spec)], 0, 0
    digested: dict[int | None, Block] = {}
    with closing(_batches(view, spec, blocks)) as batches:
        for scanned in batches:
            batch = scanned.batch
            on_rows(batch.frame.height)
            frames.append(sort_rows(batch.frame, spec.blocking.key))
            zero_dates += batch.zero_dates
            repaired_texts += batch.repaired_texts
            digested |= {block.number: block for block in scanned.blocks}
    return Batch(pl.concat(frames), zero_dates, repaired_texts), digested


def _batches(
    view: View, spec: TableSpec, blocks: Sequence[Block]
) -> Generator[ScannedBatch]:
    if not blocks:
        return
    asked = (spec.table, spec.columns, spec.blocking, blocks)
    if isinstance(view, DigestingView):
        yield from view.fetch(*asked)
    else:
        yield from (ScannedBatch((), batch) for batch in view.rows(*asked))


def _report(
    decision: Decision,
    table: TableWriter,
    written: Collection[_WrittenPart],
    seconds: float,
) -> TableReport:
    stored = table.stored
    removed = RowDiff(removed=decision.rows_in_removed_blocks)
    changes = sum((part.diff for part in written), start=removed)
    return TableReport(
        name=decision.spec.name,
        rows=stored.rows,
        parts=len(stored.parts),
        checked_at=stored.checked_at,
        counts=TableRun(
            rows_fetched=sum(part.rows_fetched for part in written),
            rows_added=changes.added,
            rows_changed=changes.changed,
            rows_removed=changes.removed,
            parts_rewritten=len(written),
        ),
        bytes_written=sum(part.bytes for part in written),
        zero_dates=sum(part.zero_dates for part in written),
        repaired_texts=sum(part.repaired_texts for part in written),
        hides_columns=decision.spec.hides_columns,
        seconds=seconds,
    )
