"""Admission of computations: how much they may use together, who waits, who is refused.

Threads cannot be stopped, so a computation begins only when there is room for it. Those
that wait are coroutines: they cost nothing, and a client that hangs up leaves the queue.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import polars as pl
from anyio import CapacityLimiter, to_thread

from readmodel.store.intact import IntactFiles
from readmodel.store.snapshot import Snapshot
from routers.readings import Reading
from util.errors import Overloaded

MOST_RUNNING: Final = 8
"""Computations at a time; the interpreter serves other requests between them."""

MOST_WAITING: Final = 64
"""Computations that may wait; each takes a second at worst on the hosts we know."""


@dataclass(frozen=True, slots=True, eq=False)
class _Place:
    """A place in the queue."""

    turn: asyncio.Future[None]
    bytes: int
    is_whole: bool


class Computations:
    """Runs computations on threads, as many as memory allows, and refuses others.

    Used by one event loop.
    """

    def __init__(self, budget_bytes: int, intact: IntactFiles) -> None:
        """Let computations take *budget_bytes* of memory together, by estimate."""
        self._budget = budget_bytes
        self._intact = intact
        self._threads = CapacityLimiter(MOST_RUNNING)
        self._bytes = 0
        self._running = 0
        self._is_whole_running = False
        self._queue: deque[_Place] = deque()

    @property
    def waiting(self) -> int:
        """How many computations wait."""
        return len(self._queue)

    async def run[**P, T](
        self,
        reading: Reading,
        snapshot: Snapshot,
        compute: Callable[P, T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """The result of *compute*, which reads *reading* of *snapshot*, on a thread.

        Raises Overloaded if it needs more memory than there is, or if too many wait;
        ReadModelDamaged if a file that it reads is not what its manifest says.
        """
        needed = reading.bytes_of(snapshot)
        if needed > self._budget:
            raise Overloaded(
                f"This answer needs about {needed / 2**20:,.0f} MB of memory, and "
                f"ANSWER_MEMORY_MB allows {self._budget / 2**20:,.0f}: choose a shorter "
                "range or fewer sections"
            )
        await self._enter(needed, is_whole=reading.is_whole)

        def checked() -> T:
            return self._checked(reading, snapshot, lambda: compute(*args, **kwargs))

        try:
            return await to_thread.run_sync(checked, limiter=self._threads)
        finally:
            self._leave(needed, is_whole=reading.is_whole)

    def can_run_at_once(self, reading: Reading, snapshot: Snapshot) -> bool:
        """True if nothing else runs, and all files of *reading* were compared before."""
        return not self._running and self._intact.were_compared(
            snapshot, reading.columns
        )

    def run_at_once[T](
        self, reading: Reading, snapshot: Snapshot, compute: Callable[[], T]
    ) -> T:
        """The result of *compute* on this thread: in the event loop.

        For what takes less time than a thread costs, if `can_run_at_once`: beside another
        computation it would wait for processors. Raises ReadModelDamaged.
        """
        return self._checked(reading, snapshot, compute)

    async def _enter(self, needed: int, *, is_whole: bool) -> None:
        if not self._queue and self._fits(needed, is_whole=is_whole):
            self._take(needed, is_whole=is_whole)
            return
        if len(self._queue) >= MOST_WAITING:
            raise Overloaded(f"{MOST_WAITING} answers are waiting already")
        turn = asyncio.get_running_loop().create_future()
        place = _Place(turn, needed, is_whole)
        self._queue.append(place)
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if place in self._queue:
                self._queue.remove(place)
            else:  # its turn came in the same moment
                self._leave(needed, is_whole=is_whole)
            raise

    def _fits(self, needed: int, *, is_whole: bool) -> bool:
        return (
            self._running < MOST_RUNNING
            and self._bytes + needed <= self._budget
            and not (is_whole and self._is_whole_running)
        )

    def _take(self, needed: int, *, is_whole: bool) -> None:
        self._running += 1
        self._bytes += needed
        self._is_whole_running |= is_whole

    def _leave(self, needed: int, *, is_whole: bool) -> None:
        self._running -= 1
        self._bytes -= needed
        self._is_whole_running = self._is_whole_running and not is_whole
        self._admit()

    def _admit(self) -> None:
        """Give their turn to all that fit, in order; small ones may pass whole ones."""
        for place in list(self._queue):
            if place.turn.cancelled():
                self._queue.remove(place)
            elif self._fits(place.bytes, is_whole=place.is_whole):
                self._queue.remove(place)
                self._take(place.bytes, is_whole=place.is_whole)
                place.turn.set_result(None)
            elif not place.is_whole:
                return  # Otherwise a large one might wait for ever.

    def _checked[T](
        self, reading: Reading, snapshot: Snapshot, compute: Callable[[], T]
    ) -> T:
        """Compute after comparing the files with their checksums, on a thread."""
        self._intact.require(snapshot, reading.columns)
        try:
            return compute()
        except pl.exceptions.PanicException as error:
            self._compare_again(reading, snapshot)
            # It is no Exception, so nothing else would report and answer it.
            raise RuntimeError(f"The rows cannot be read: {error}") from error
        except (OSError, pl.exceptions.PolarsError):
            self._compare_again(reading, snapshot)
            raise

    def _compare_again(self, reading: Reading, snapshot: Snapshot) -> None:
        """Raise ReadModelDamaged if a file was damaged after it was compared."""
        self._intact.forget()
        self._intact.require(snapshot, reading.columns)
