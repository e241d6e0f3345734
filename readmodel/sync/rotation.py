"""Which parts to compare with the database in this run, if there are too many for all.

Up to EVERY_RUN_ROWS everything is compared on every run. Beyond, the last parts are,
since most rows come and go there, and of the others as many as the time allows, the
one compared longest ago first. No part waits longer than FULL_PASS.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from readmodel.source.blocking import BlockRange
from readmodel.sync.reuse import ReusablePart

EVERY_RUN_ROWS: Final = 10_000_000
RECENT_ROWS: Final = 500_000
FULL_PASS: Final = timedelta(hours=20)
"""Less than a day, so that one failed run does not make it two."""


@dataclass
class Budget:
    """The seconds that one run may spend on comparing cold parts."""

    seconds: float
    clock: Callable[[], float] = field(default=time.monotonic)
    spent: float = 0.0

    @property
    def is_left(self) -> bool:
        """True until all seconds are spent."""
        return self.spent < self.seconds

    def spend[T](self, work: Callable[[], T]) -> T:
        """Call *work*, and add the time it takes to `spent`."""
        started = self.clock()
        try:
            return work()
        finally:
            self.spent += self.clock() - started


def block_ranges(parts: Sequence[ReusablePart]) -> list[BlockRange]:
    """The block numbers that each part answers for; together they cover every key.

    Parts that begin with the blocks 0, 6 and 9 answer for all up to 5, 6 to 8, and all
    from 9 on.
    """
    firsts = [part.blocks[0].number for part in parts]
    lasts = [None if first is None else first - 1 for first in firsts[1:]]
    return [
        BlockRange(first if index else None, last)
        for index, (first, last) in enumerate(zip(firsts, [*lasts, None], strict=True))
    ]


def parts_to_verify(
    parts: Sequence[ReusablePart], now: datetime, budget: Budget
) -> Iterator[int]:
    """Yield the indexes of the parts to compare with the database.

    The *budget* is looked at when the next index is requested, so compare each part
    before requesting another.
    """
    recent = set(_recent(parts))
    yield from recent
    cold = [index for index in range(len(parts)) if index not in recent]
    for index in sorted(cold, key=lambda index: parts[index].part.checked_at):
        waited = now - parts[index].part.checked_at
        # A time in the future is of a clock that was wrong.
        is_overdue = not timedelta() <= waited < FULL_PASS
        if is_overdue or budget.is_left:
            yield index


def _recent(parts: Sequence[ReusablePart]) -> Iterator[int]:
    """Indexes from the last part backwards, until they have RECENT_ROWS."""
    rows = 0
    for index in reversed(range(len(parts))):
        yield index
        rows += parts[index].part.rows
        if rows >= RECENT_ROWS:
            return
