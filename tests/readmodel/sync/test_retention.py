"""Retention: whole parts go, the straddling one is rewritten, the rest stays linked."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from readmodel.store import snapshot
from readmodel.store.event_tables import EVENTS, REJECTED
from readmodel.sync import event_publish
from readmodel.sync.retention import apply_retention, first_kept
from tests.support.events import AT, line, rejected_line
from tests.support.snapshots import flip_a_bit
from tests.support.stored_events import (
    NOW,
    actions,
    event_ids,
    letter_ids,
    part_rows,
    store,
)
from util.errors import StorageError

DAY = 86_400


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three parts: of day 21, of days 22 and 23, and of day 24."""
    monkeypatch.setattr(event_publish, "PART_ROWS", 2)
    data_dir = tmp_path / "data"
    store(
        data_dir,
        [line("a1"), line("a2", second=1), rejected_line("r1")],
        [line("b1", second=DAY), line("b2", second=2 * DAY)],
        [line("c1", second=3 * DAY), line("c2", second=3 * DAY)],
    )
    assert part_rows(data_dir) == [2, 2, 2]
    return data_dir


def test_days_are_those_of_utc() -> None:
    """Today and as many days before it are kept, whatever the time of day is."""
    kept = datetime(2026, 11, 23, tzinfo=UTC)
    assert first_kept(2, datetime(2026, 11, 25, 0, 0, tzinfo=UTC)) == kept
    assert first_kept(2, datetime(2026, 11, 25, 23, 59, 59, tzinfo=UTC)) == kept
    late = datetime(2026, 11, 26, 1, 0, tzinfo=UTC).astimezone()
    assert first_kept(3, late) == kept


def test_whole_parts_are_dropped_and_one_is_rewritten(data: Path) -> None:
    """The last part stays the same file."""
    last = Path(snapshot.latest(data).files(EVENTS)[-1])
    report = apply_retention(data, 2, NOW)
    assert (report.events, report.rejected) == (3, 1)
    assert event_ids(data) == ["b2", "c1", "c2"]
    assert letter_ids(data) == []
    assert part_rows(data) == [1, 2]
    assert Path(snapshot.latest(data).files(EVENTS)[-1]).samefile(last)
    assert actions(data)[-1] == "retention"


def test_what_is_young_enough_is_not_touched(data: Path) -> None:
    """No snapshot is published, nor with 0, which keeps everything."""
    before = snapshot.latest(data).id
    assert apply_retention(data, 4, NOW).snapshot is None
    assert apply_retention(data, 0, NOW + timedelta(days=9999)).snapshot is None
    assert snapshot.latest(data).id == before


def test_a_dry_run_counts(data: Path) -> None:
    """And changes nothing."""
    before = snapshot.latest(data).id
    report = apply_retention(data, 1, NOW, dry_run=True)
    assert (report.events, report.rejected, report.snapshot) == (4, 1, None)
    assert snapshot.latest(data).id == before


def test_everything_may_go(data: Path) -> None:
    """Both tables stay, without rows, and later events are taken."""
    apply_retention(data, 1, NOW + timedelta(days=30))
    assert event_ids(data) == []
    assert part_rows(data, REJECTED) == [0]
    store(data, [line("d1", second=30 * DAY)])
    assert event_ids(data) == ["d1"]
    assert actions(data) == ["batches"] * 3 + ["retention", "batches"]


def test_an_old_id_may_come_again(data: Path) -> None:
    """What is not stored any more cannot be compared."""
    apply_retention(data, 3, NOW)
    store(data, [line("a1", content=7, second=4 * DAY)])
    assert event_ids(data) == ["a1", "b1", "b2", "c1", "c2"]


def test_a_damaged_part_is_not_rewritten(data: Path) -> None:
    """Its broken rows would get a valid checksum."""
    before = snapshot.latest(data).id
    flip_a_bit(Path(snapshot.latest(data).files(EVENTS)[1]))
    with pytest.raises(StorageError):
        apply_retention(data, 2, NOW)
    assert snapshot.latest(data).id == before


def test_without_events_there_is_nothing_to_do(tmp_path: Path) -> None:
    """A deployment without a collector has no such tables."""
    assert apply_retention(tmp_path / "new", 1, AT).snapshot is None
