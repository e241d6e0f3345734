"""How far a generated test goes: TEST_WIDE=1 tries all that it can think of."""

import os
from collections.abc import Sequence

WIDE = bool(os.environ.get("TEST_WIDE"))


def bounded[T](items: Sequence[T], count: int) -> Sequence[T]:
    """All of *items* in a wide run, else *count* of them, evenly spread."""
    if WIDE or len(items) <= count:
        return items
    return [items[index * len(items) // count] for index in range(count)]
