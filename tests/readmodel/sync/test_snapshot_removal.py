"""Snapshots that go after a publication, and before one."""

from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from readmodel.store.history import kept_ids
from readmodel.sync.snapshot_removal import make_room
from readmodel.sync.snapshot_retention import KEEP_YOUNGER
from tests.support.snapshots import (
    TEN,
    publish_frames,
)


def snapshots(data_dir: Path) -> list[str]:
    """The times of day of the snapshots on disk, as HHMMSS."""
    return sorted(path.name[9:15] for path in (data_dir / "snapshots").iterdir())


def test_the_newest_and_the_young_snapshots_stay(tmp_path: Path) -> None:
    """Three whatever their age, and all of the last ten minutes."""
    for hour in range(5):
        publish_frames(tmp_path, TEN + timedelta(hours=hour))
    assert snapshots(tmp_path) == ["120000", "130000", "140000"]
    for minute in range(4, 11, 2):
        publish_frames(tmp_path, TEN + timedelta(hours=4, minutes=minute))
    assert snapshots(tmp_path) == ["140000", "140400", "140600", "140800", "141000"]
    publish_frames(tmp_path, TEN + timedelta(hours=4, minutes=10, microseconds=1))
    assert snapshots(tmp_path)[0] == "140400"


def test_old_snapshots_go_before_a_new_one_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is full stays full otherwise: nothing is published that could free it."""
    for minute in range(3):
        publish_frames(tmp_path, TEN + timedelta(minutes=minute))
    full = SimpleNamespace(free=0)
    monkeypatch.setattr("shutil.disk_usage", lambda _: full)
    soon, later = TEN + timedelta(minutes=12), TEN + timedelta(minutes=13)
    for moment, left in ((soon, 3), (later, 1)):
        make_room(tmp_path, moment, KEEP_YOUNGER)
        assert len(kept_ids(tmp_path)) == left
