"""Turns: work that is done one at a time, with a short queue."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from anyio import CapacityLimiter


class QueueFull(Exception):
    """So many wait already that another one would wait too long."""


class Turns:
    """Lets one at a time in, and at most `max_waiting` wait for it."""

    def __init__(self, max_waiting: int) -> None:
        self.max_waiting = max_waiting
        self._turn = CapacityLimiter(1)
        self._waiting = 0

    def require_room(self) -> None:
        """Raise QueueFull if nobody may wait any more."""
        if self._waiting >= self.max_waiting:
            raise QueueFull

    def is_waiting(self, count: int) -> bool:
        """True if *count* wait."""
        return self._waiting == count

    @asynccontextmanager
    async def take(self) -> AsyncIterator[None]:
        """Wait for the turn, and keep it during the block."""
        self._waiting += 1
        try:
            await self._turn.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._turn.release()
