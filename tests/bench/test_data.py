"""The cached sample."""

import os
import time
from pathlib import Path

from bench import data
from readmodel.store import snapshot

TINY = 0.01


def test_the_sample_is_created_once(tmp_path: Path) -> None:
    """The second call returns the cached folder."""
    place = data.sample_dir(TINY, tmp_path)
    before = snapshot.current(place).path.stat()
    assert data.sample_dir(TINY, tmp_path) == place
    assert snapshot.current(place).path.stat() == before
    rows, size = data.size(place)
    assert rows > 500
    assert size > 5_000


def test_old_samples_of_the_same_scale_are_deleted(tmp_path: Path) -> None:
    """Samples of other scales stay, and those that another run may be reading."""
    old, young, other = (tmp_path / f"scale-{n}" for n in ("0.01-a", "0.01-b", "1-c"))
    for folder in (old, young, other):
        folder.mkdir()
    long_ago = time.time() - data.LONGEST_RUN.total_seconds() - 60
    for folder in (old, other):
        os.utime(folder, (long_ago, long_ago))
    place = data.sample_dir(TINY, tmp_path)
    assert set(tmp_path.iterdir()) == {young, other, place}


def test_every_pattern_of_the_samples_sources_matches_files() -> None:
    """After a move of the code the fingerprint would silently cover less of it."""
    for pattern in data.SOURCES:
        assert list(data.PROJECT.glob(pattern)), pattern
