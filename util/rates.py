"""Counts per key within a minute, in bounded memory."""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

WINDOW_SECONDS: Final = 60.0

MOST_KEYS: Final = 10_000
"""Counted keys; all further ones share one count."""

_OTHERS: Final = "others"


class MinuteCounts:
    """How often each key was counted in the minute that began with its first count.

    A key costs some hundred bytes, and a count some microseconds, however many there
    are. The keys beyond MOST_KEYS have one count together.
    """

    def __init__(
        self, most_keys: int = MOST_KEYS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most_keys = most_keys
        self._clock = clock
        self._windows: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def add(self, key: str) -> int:
        """Count *key*; return its count with this one."""
        now = self._clock()
        self._drop_old(now)
        if key not in self._windows and len(self._windows) >= self._most_keys:
            key = _OTHERS
        began, count = self._windows.get(key, (now, 0))
        self._windows[key] = (began, count + 1)
        return count + 1

    def count(self, key: str) -> int:
        """The count of *key*."""
        self._drop_old(self._clock())
        return self._windows.get(self._named(key), (0.0, 0))[1]

    def seconds_left(self, key: str) -> float:
        """Seconds until *key* is counted from zero again; 0 if it has no count."""
        now = self._clock()
        self._drop_old(now)
        began, count = self._windows.get(self._named(key), (now, 0))
        return began + WINDOW_SECONDS - now if count else 0.0

    def __len__(self) -> int:
        return len(self._windows)

    def _named(self, key: str) -> str:
        is_full = len(self._windows) >= self._most_keys
        return _OTHERS if key not in self._windows and is_full else key

    def _drop_old(self, now: float) -> None:
        # In the order of their first count, so the old ones are in front.
        while self._windows:
            key, (began, _) = next(iter(self._windows.items()))
            if now - began < WINDOW_SECONDS:
                return
            del self._windows[key]
