"""Limits on the rate of requests, per caller."""

import math
import time

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter


class RateLimited(Exception):
    """The caller sends too many requests; it may send again after `retry_after` seconds."""

    def __init__(self, per_minute: int, retry_after: int) -> None:
        super().__init__(f"Too many requests: at most {per_minute} a minute")
        self.retry_after = retry_after


class RateLimiter:
    """Counts requests in memory; a restart clears the counts."""

    def __init__(self, per_minute: int) -> None:
        """With 0 there is no limit."""
        self._limit = RateLimitItemPerMinute(per_minute) if per_minute else None
        self._limiter = FixedWindowRateLimiter(MemoryStorage())

    def count(self, caller: str) -> None:
        """Count one request of *caller*. Raises RateLimited if it was one too many."""
        if self._limit is None or self._limiter.hit(self._limit, caller):
            return
        reset = self._limiter.get_window_stats(self._limit, caller).reset_time
        wait = max(1, math.ceil(reset - time.time()))
        raise RateLimited(self._limit.amount, wait)
