"""Python's garbage collector, for programs that handle many objects at a time.

Events are thousands of objects without a cycle, which it would look through again and
again: a tenth of the work of a request, half of that of a large batch.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

COLLECT_AFTER: Final = 50_000
"""New objects, of those that can be in a cycle; Python's own value is 700."""


def collect_rarely() -> None:
    """Look for cycles less often from now on, and never in what exists already."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, *gc.get_threshold()[1:])


@contextmanager
def collection_paused() -> Iterator[None]:
    """Do not look for cycles in this context; use it where memory is bounded."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
