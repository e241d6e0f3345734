"""Calls of other services: on threads of their own, so that a slow one holds up nothing."""

from collections.abc import Callable
from functools import partial
from typing import Final

from anyio import CapacityLimiter, to_thread

from util.errors import Overloaded

MOST_CALLS: Final = 2
MOST_WAITING: Final = 8


class OutsideCalls:
    """Runs calls of one service, MOST_CALLS at a time. Used by one event loop."""

    def __init__(self) -> None:
        self._threads = CapacityLimiter(MOST_CALLS)

    async def run[**P, T](
        self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """The result of *call*. Raises Overloaded if too many wait already."""
        if self._threads.statistics().tasks_waiting >= MOST_WAITING:
            raise Overloaded("The service that is to be called is too slow")
        work = partial(call, *args, **kwargs)
        return await to_thread.run_sync(work, limiter=self._threads)
