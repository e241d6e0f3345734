"""Bringing one table up to date: the decision, what is written, and its instants."""

from dataclasses import replace
from datetime import timedelta

import polars as pl
import pytest

from readmodel.source.blocking import BlockRange
from readmodel.source.protocol import View
from readmodel.source.sqlite import columns as sqlite_columns
from readmodel.store.run_log import TableRun
from readmodel.sync import rotation
from readmodel.sync.lock import exclusive_lock
from readmodel.sync.planner import Keep, Write
from readmodel.sync.reuse import reusable_parts, stored_block_width
from readmodel.sync.rotation import Budget
from readmodel.sync.snapshot_writer import SnapshotWriter
from readmodel.sync.table_spec import table_spec
from readmodel.sync.table_sync import Decision, apply, decide
from readmodel.tables import Table
from tests.support.mirror import ROWS, THINGS, Mirror
from tests.support.snapshots import flip_a_bit

TEN_MINUTES = timedelta(minutes=10)


def decided(view: View, mirror: Mirror, budget: Budget | None = None) -> Decision:
    """The decision on `things` ten minutes after the last sync."""
    width = stored_block_width(mirror.data_dir, THINGS.name)
    spec = table_spec(view, THINGS, width)
    stored = reusable_parts(
        mirror.data_dir, THINGS.name, spec.stored_columns, spec.blocking
    )
    return decide(view, spec, stored, mirror.now + TEN_MINUTES, budget)


def test_without_a_change_every_part_is_kept(mirror: Mirror) -> None:
    """Nothing is fetched, and the instant of the last change stays."""
    with mirror.source.view() as view:
        decision = decided(view, mirror)
    assert decision.steps == (Keep(0), Keep(1), Keep(2))
    assert decision.rows_to_fetch == decision.rows_in_removed_blocks == 0
    assert decision.changed_at == mirror.manifest.tables["things"].changed_at
    assert decision.verified == {0, 1, 2}
    assert decision.checked_at([0, 1, 2]) == mirror.now + TEN_MINUTES


def test_deciding_writes_nothing(mirror: Mirror) -> None:
    """The same decision can be made again."""
    mirror.run("UPDATE things SET n = 50 WHERE id = 5")
    before = sorted(mirror.data_dir.rglob("*"))
    with mirror.source.view() as view:
        first, second = (replace(decided(view, mirror), seconds=0.0) for _ in range(2))
    assert first == second
    assert sorted(mirror.data_dir.rglob("*")) == before


def test_a_changed_row_costs_its_block(mirror: Mirror) -> None:
    """The other blocks of its part are read from disk."""
    mirror.run("UPDATE things SET n = 50 WHERE id = 5")
    with mirror.source.view() as view:
        decision = decided(view, mirror)
    write, *others = decision.steps
    assert isinstance(write, Write)
    assert [block.number for block in write.fetch] == [0]
    assert set(write.stored) == {0}
    assert 0 not in write.stored[0]
    assert others == [Keep(1), Keep(2)]
    assert decision.changed_at == mirror.now + TEN_MINUTES


def test_removed_blocks_are_a_change_without_a_fetch(mirror: Mirror) -> None:
    """Their rows are counted as removed."""
    mirror.run(f"DELETE FROM things WHERE id >= {6 * 16_384}")
    with mirror.source.view() as view:
        decision = decided(view, mirror)
    assert decision.rows_to_fetch == 0
    assert decision.rows_in_removed_blocks == 100_000 - 6 * 16_384
    assert decision.changed_at == mirror.now + TEN_MINUTES
    report = mirror.sync()
    assert report.tables[0].counts.rows_removed == 100_000 - 6 * 16_384
    assert mirror.is_exact()


def test_a_damaged_part_is_read_by_no_step(mirror: Mirror) -> None:
    """The plan is made again without it: its blocks 0 to 3 are fetched."""
    mirror.run("UPDATE things SET n = 50 WHERE id = 5")
    flip_a_bit(mirror.parts()[0])
    with mirror.source.view() as view:
        decision = decided(view, mirror)
    assert len(decision.stored.parts) == 2
    assert decision.stored.changed_at is None
    write = decision.steps[0]
    assert isinstance(write, Write)
    assert [block.number for block in write.fetch] == [0, 1, 2, 3]
    assert write.stored == {0: {4, 5}}


def test_with_a_budget_unverified_parts_keep_their_instant(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the last part is compared when there is no time for others."""
    monkeypatch.setattr(rotation, "RECENT_ROWS", 1_000)
    with mirror.source.view() as view:
        decision = decided(view, mirror, Budget(0))
    assert mirror.source.compared == [BlockRange(98_304 // 16_384, None)]
    assert decision.verified == {2}
    assert decision.checked_at([2]) == mirror.now + TEN_MINUTES
    assert decision.checked_at([0, 2]) == mirror.now


def test_applying_reports_what_was_done(mirror: Mirror) -> None:
    """Each counter, by one row added, one changed and one removed."""
    mirror.run("UPDATE things SET n = 50 WHERE id = 5")
    mirror.run("DELETE FROM things WHERE id = 6")
    mirror.run("INSERT INTO things VALUES (100000, 1)")
    with (
        mirror.source.view() as view,
        exclusive_lock(mirror.data_dir),
        SnapshotWriter(mirror.data_dir, mirror.now + TEN_MINUTES) as writer,
    ):
        decision = decided(view, mirror)
        report = apply(decision, view, writer)
        writer.publish()
    fetched = 16_383 + 100_001 - 6 * 16_384
    assert report.counts == TableRun(fetched, 1, 1, 1, 2)
    assert (report.rows, report.parts, report.zero_dates) == (100_000, 3, 0)
    assert report.checked_at == mirror.now + TEN_MINUTES
    written = [mirror.parts()[index].stat().st_size for index in (0, 2)]
    assert report.bytes_written == sum(written)
    assert report.seconds >= decision.seconds
    assert mirror.is_exact()


def test_the_last_change_and_the_last_check_are_recorded_apart(mirror: Mirror) -> None:
    """A sync without changes moves only the check."""
    changed_at = mirror.manifest.tables["things"].changed_at
    mirror.sync()
    assert mirror.manifest.tables["things"].changed_at == changed_at
    assert mirror.manifest.tables["things"].checked_at == mirror.now
    mirror.run("DELETE FROM things WHERE id = 99999")
    mirror.sync()
    assert mirror.manifest.tables["things"].changed_at == mirror.now


def test_a_column_that_becomes_wider_is_stored_again_without_a_fetch(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An integer of 32 bits is also one of 64; the digests prove that rows are equal."""
    with monkeypatch.context() as patch:
        patch.setattr(sqlite_columns, "INTEGER", pl.Int32())
        mirror.sync()
    assert mirror.snapshot.scan("things").collect_schema()["n"] == pl.Int32
    mirror.run("UPDATE things SET n = 50 WHERE id = 5")
    report = mirror.sync()
    assert report.rows_fetched == 16_384
    assert mirror.snapshot.scan("things").collect_schema()["n"] == pl.Int64
    assert mirror.is_exact()
    assert mirror.sync().rows_fetched == 0


def test_a_column_that_becomes_narrower_is_fetched(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its stored values may not fit."""
    mirror.sync()
    with monkeypatch.context() as patch:
        patch.setattr(sqlite_columns, "INTEGER", pl.Int32())
        assert mirror.sync().rows_fetched == ROWS


def test_repaired_texts_are_counted_in_the_report(mirror: Mirror) -> None:
    """The run's line names their number."""
    mirror.run("CREATE TABLE notes (id INT, note TEXT)")
    mirror.run("INSERT INTO notes VALUES (1, CAST(x'61ff' AS TEXT)), (2, 'é')")
    (report,) = mirror.sync(Table("notes", key="id")).tables
    assert report.repaired_texts == 1
