"""The sample as the benchmark keeps it."""

import os
import time
from pathlib import Path

from bench import data
from readmodel.store import snapshot

TINY = 0.01


def test_what_is_made_is_kept(tmp_path: Path) -> None:
    """The second time it is only found."""
    place = data.made(TINY, tmp_path)
    before = snapshot.current(place).path.stat()
    assert data.made(TINY, tmp_path) == place
    assert snapshot.current(place).path.stat() == before
    rows, size = data.size(place)
    assert rows > 500
    assert size > 5_000


def test_old_ones_of_the_same_scale_go(tmp_path: Path) -> None:
    """Those of another scale stay, and those that another run may be reading."""
    old, young, other = (tmp_path / f"scale-{n}" for n in ("0.01-a", "0.01-b", "1-c"))
    for folder in (old, young, other):
        folder.mkdir()
    long_ago = time.time() - data.LONGEST_RUN.total_seconds() - 60
    for folder in (old, other):
        os.utime(folder, (long_ago, long_ago))
    place = data.made(TINY, tmp_path)
    assert set(tmp_path.iterdir()) == {young, other, place}
