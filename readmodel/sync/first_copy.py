"""Copy a table of which nothing is stored, reading each of its rows once."""

import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import polars as pl

from readmodel.source.blocking import Block, KeyKind
from readmodel.source.protocol import MarkingView, ScannedBatch, ScanningView, View
from readmodel.store.manifest import SourceMark
from readmodel.store.run_log import TableRun
from readmodel.sync.part_footer import encode_footer
from readmodel.sync.part_rows import sort_rows, take_rows
from readmodel.sync.planner import layout, leading_part
from readmodel.sync.snapshot_writer import SnapshotWriter
from readmodel.sync.table_spec import TableSpec
from readmodel.sync.table_sync import OnProgress, TableReport
from readmodel.sync.table_writer import TableWriter

LARGE_ROWS: Final = 1_048_576
"""About so many rows are a large database."""


def reading_order(specs: Sequence[TableSpec]) -> list[TableSpec]:
    """The order in which to read *specs*, of which nothing is stored.

    In a large database, tables by time come first: a view may sort their rows in memory,
    and little else is there then.
    """
    if sum(spec.row_estimate for spec in specs) < LARGE_ROWS:
        return list(specs)
    return sorted(specs, key=lambda spec: spec.blocking.key_kind is not KeyKind.TIME)


def begin_scan(view: View, spec: TableSpec) -> Generator[ScannedBatch] | None:
    """Begin to read a whole table; None if *view* cannot digest it meanwhile.

    Raises SourceError when the database cannot answer.
    """
    if not isinstance(view, ScanningView):
        return None
    return view.scan(spec.table, spec.columns, spec.blocking)


def first_copy(
    scan: Generator[ScannedBatch],
    view: View,
    spec: TableSpec,
    writer: SnapshotWriter,
    on_progress: OnProgress,
) -> Callable[[], TableReport]:
    """Read all rows of *scan*, and write the full parts into the next snapshot.

    What this returns writes the last parts; the database is no longer needed for that. The
    parts are those that a plan for the same blocks would have. Raises SourceError when the
    database cannot answer, StorageError when the disk refuses.
    """
    started = time.monotonic()
    mark = view.mark(spec.table) if isinstance(view, MarkingView) else None
    copy = _Copy(
        spec,
        writer,
        writer.table(spec.name, spec.stored_columns),
        SourceMark(mark, writer.taken_at) if mark is not None else None,
    )
    with closing(scan):
        for scanned in scan:
            copy.add(scanned)
            on_progress(spec.name, copy.rows, max(copy.rows, spec.row_estimate))

    def finish() -> TableReport:
        copy.finish()
        return copy.report(time.monotonic() - started)

    return finish


@dataclass(slots=True)
class _Copy:
    """A table while it is copied: blocks that are read and not yet written, and counts."""

    spec: TableSpec
    writer: SnapshotWriter
    table: TableWriter
    mark: SourceMark | None
    blocks: list[Block] = field(default_factory=list)
    frames: list[pl.DataFrame] = field(default_factory=list)
    writing: Future[None] | None = None
    """The part that a thread writes."""
    rows: int = 0
    zero_dates: int = 0
    repaired_texts: int = 0
    bytes_written: int = 0

    def add(self, scanned: ScannedBatch) -> None:
        """Keep the rows of each block, and let a thread write a part once it is full."""
        # Sorted in batches, the rows of a part need not be copied to be sorted.
        rows = sort_rows(scanned.batch.frame, self.spec.blocking.key)
        start = 0
        for block in scanned.blocks:
            self.blocks.append(block)
            self.frames.append(rows.slice(start, block.rows))
            start += block.rows
        self.rows += start
        self.zero_dates += scanned.batch.zero_dates
        self.repaired_texts += scanned.batch.repaired_texts
        while count := leading_part(self.blocks):
            self._await_part()
            self.writing = self.writer.start(partial(self._write, *self._take(count)))

    def finish(self) -> None:
        """Write the last parts, in the same thread; a table without rows has an empty one."""
        self._await_part()
        for part in layout([], self.blocks):
            self._write(*self._take(len(part)))

    def _await_part(self) -> None:
        """Only one part is written, and another one read: they are in memory."""
        if self.writing is not None:
            self.writing.result()

    def _take(self, count: int) -> tuple[list[Block], list[pl.DataFrame]]:
        blocks, self.blocks = self.blocks[:count], self.blocks[count:]
        frames, self.frames = self.frames[:count], self.frames[count:]
        return blocks, frames

    def _write(self, blocks: Sequence[Block], frames: list[pl.DataFrame]) -> None:
        part = self.table.write(
            take_rows(self.spec, frames),
            encode_footer(self.spec.blocking, blocks),
            mark=self.mark,
        )
        self.bytes_written += part.bytes

    def report(self, seconds: float) -> TableReport:
        """What was done, in *seconds*."""
        stored = self.table.stored
        return TableReport(
            name=self.spec.name,
            rows=stored.rows,
            parts=len(stored.parts),
            checked_at=stored.checked_at,
            counts=TableRun(
                rows_fetched=self.rows,
                rows_added=self.rows,
                rows_changed=0,
                rows_removed=0,
                parts_rewritten=len(stored.parts),
            ),
            bytes_written=self.bytes_written,
            zero_dates=self.zero_dates,
            repaired_texts=self.repaired_texts,
            hides_columns=self.spec.hides_columns,
            seconds=seconds,
        )
