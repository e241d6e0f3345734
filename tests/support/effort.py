"""How wide generated tests are: TEST_EFFORT=thorough makes them search for longer."""

import os

THOROUGH = os.environ.get("TEST_EFFORT") == "thorough"


def examples(usual: int, thorough: int | None = None) -> int:
    """The number of examples: *usual*, or *thorough* (by default ten times as many)."""
    return (thorough or 10 * usual) if THOROUGH else usual
