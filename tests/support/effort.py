"""How wide generated tests are: TEST_EFFORT=thorough makes them search for longer."""

import os
from collections.abc import Sequence

THOROUGH = os.environ.get("TEST_EFFORT") == "thorough"


def examples(usual: int, thorough: int | None = None) -> int:
    """The number of examples: *usual*, or *thorough* (by default ten times as many)."""
    return (thorough or 10 * usual) if THOROUGH else usual


def bounded[T](items: Sequence[T], count: int) -> Sequence[T]:
    """All of *items* in a thorough run, else *count* of them, evenly spread."""
    if THOROUGH or len(items) <= count:
        return items
    return [items[index * len(items) // count] for index in range(count)]
