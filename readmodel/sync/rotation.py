"""Which parts to compare with the database in this run, where there is too much to do.

Up to EVERY_RUN_ROWS everything is compared on every run. Beyond, the last parts are,
since that is where rows come and go, and of the others as many as the time allows, the
one that waited longest first; none waits longer than FULL_PASS.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from readmodel.source.blocking import BlockRange
from readmodel.sync.reuse import ReusablePart

EVERY_RUN_ROWS = 10_000_000
RECENT_ROWS = 500_000
# Less than a day, so that a run that fails does not make it two.
FULL_PASS = timedelta(hours=20)


@dataclass
class Budget:
    """Seconds that one run may spend on comparing cold parts."""

    seconds: float
    clock: Callable[[], float] = field(default=time.monotonic)
    spent: float = 0.0

    @property
    def is_left(self) -> bool:
        return self.spent < self.seconds

    def spend[T](self, work: Callable[[], T]) -> T:
        """Do *work* on this budget."""
        began = self.clock()
        try:
            return work()
        finally:
            self.spent += self.clock() - began


def spans(parts: Sequence[ReusablePart]) -> list[BlockRange]:
    """What each part answers for; together they leave no key out."""
    firsts = [part.blocks[0].number for part in parts]
    lasts = [None if first is None else first - 1 for first in firsts[1:]]
    return [
        BlockRange(first if index else None, last)
        for index, (first, last) in enumerate(zip(firsts, [*lasts, None], strict=True))
    ]


def parts_to_verify(
    parts: Sequence[ReusablePart], now: datetime, budget: Budget
) -> Iterator[int]:
    """The indexes of the parts to compare, each asked for when its turn comes."""
    recent = set(_recent(parts))
    yield from recent
    cold = [index for index in range(len(parts)) if index not in recent]
    for index in sorted(cold, key=lambda index: parts[index].part.checked_at):
        overdue = now - parts[index].part.checked_at >= FULL_PASS
        if overdue or budget.is_left:
            yield index


def _recent(parts: Sequence[ReusablePart]) -> Iterator[int]:
    rows = 0
    for index in reversed(range(len(parts))):
        yield index
        rows += parts[index].part.rows
        if rows >= RECENT_ROWS:
            return
