"""When Python looks for cycles of objects."""

import gc
from contextlib import suppress

import pytest

from util.garbage import COLLECT_AFTER, collect_rarely, collection_paused


@pytest.mark.parametrize("enabled", [True, False])
def test_a_pause_leaves_it_as_it_was(*, enabled: bool) -> None:
    """Also if what is done meanwhile fails, and if it was off before."""
    was_enabled = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        with suppress(ZeroDivisionError), collection_paused():
            assert not gc.isenabled()
            raise ZeroDivisionError
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if was_enabled else gc.disable)()


def test_rarely_is_still_sometimes() -> None:
    """Cycles are found, after more objects than by default."""
    before = gc.get_threshold()
    try:
        collect_rarely()
        assert gc.get_threshold() == (COLLECT_AFTER, *before[1:])
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)
