"""Which parts of a large table are compared in a run, and which wait."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from readmodel.source.blocking import Block, BlockRange
from readmodel.store.manifest import Part
from readmodel.sync import rotation
from readmodel.sync.reuse import ReusablePart
from readmodel.sync.rotation import Budget, block_ranges, parts_to_verify
from tests.support.mirror import START, Mirror


class TestLargeTable:
    """Above EVERY_RUN_ROWS, here set low, cold parts wait for their turn."""

    @pytest.fixture(autouse=True)
    def low_limits(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Make 100,000 rows a large table."""
        monkeypatch.setattr("readmodel.sync.run.EVERY_RUN_ROWS", 50_000)
        monkeypatch.setattr(rotation, "RECENT_ROWS", 1_000)

    def test_without_time_only_the_last_part_is_compared(self, mirror: Mirror) -> None:
        """New rows are always seen; a change in a cold part is not, yet."""
        mirror.run("UPDATE things SET n = 50 WHERE id = 5")
        mirror.run("INSERT INTO things VALUES (100001, 1)")
        report = mirror.sync(digest_seconds=0)
        assert mirror.source.compared == [BlockRange(98_304 // 16_384, None)]
        assert 0 < report.rows_fetched < 16_384
        things = mirror.snapshot.scan("things").collect()
        assert things.filter(id=100_001).height == 1
        assert things.filter(id=5)["n"].item() == 5
        assert report.tables[0].checked_at == START + timedelta(minutes=10)

    def test_with_time_everything_is_compared(self, mirror: Mirror) -> None:
        """Part by part, so that the budget can be kept."""
        mirror.run("UPDATE things SET n = 50 WHERE id = 5")
        mirror.sync(digest_seconds=60)
        assert len(mirror.source.compared) == 3
        assert mirror.is_exact()

    def test_every_part_is_compared_within_a_day(self, mirror: Mirror) -> None:
        """However small the budget is."""
        mirror.run("UPDATE things SET n = 50 WHERE id = 5")
        mirror.sync(digest_seconds=0)
        assert not mirror.is_exact()
        mirror.now += timedelta(hours=20)
        mirror.sync(digest_seconds=0)
        assert mirror.is_exact()

    def test_damage_is_repaired_from_a_full_comparison(self, mirror: Mirror) -> None:
        """A missing part leaves a gap that no other part answers for."""
        mirror.run("UPDATE things SET n = 50 WHERE id = 5")
        mirror.parts()[1].unlink()
        mirror.sync(digest_seconds=0)
        assert mirror.is_exact()


def part(first: int, rows: int, checked_at: datetime) -> ReusablePart:
    """A part of one block, *first*."""
    record = Part("p", rows, 1, 1, checked_at)
    return ReusablePart(record, Path("p"), (Block(first, rows, 0),))


def test_the_part_that_waited_longest_is_next() -> None:
    """The last parts first, then by age, until the budget is spent."""
    hour = timedelta(hours=1)
    parts = [
        part(0, 900_000, START - 2 * hour),
        part(10, 900_000, START - 3 * hour),
        part(20, 900_000, START - 1 * hour),
        part(30, 900_000, START - 9 * hour),
    ]
    budget = Budget(seconds=2, clock=iter(range(99)).__next__)
    turns = []
    for index in parts_to_verify(parts, START, budget):
        turns.append(index)
        budget.spend(lambda: None)
    assert turns == [3, 1]
    parts[2] = part(20, 900_000, START - 21 * hour)
    assert list(parts_to_verify(parts, START, Budget(0))) == [3, 2]


def test_the_parts_together_answer_for_every_key() -> None:
    """Also for keys before the first and after the last part, and for NULL."""
    parts = [part(number, 1, START) for number in (-5, 0, 7)]
    ranges = block_ranges(parts)
    assert ranges == [BlockRange(None, -1), BlockRange(0, 6), BlockRange(7, None)]
    for number in (None, -99, -5, -1, 0, 6, 7, 99):
        covering = [each for each in ranges if each.covers(Block(number, 1, 0))]
        assert len(covering) == 1
