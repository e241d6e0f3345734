"""Limits on the rate of requests, per caller."""

import math

from util.rates import MinuteCounts


class RateLimited(Exception):
    """The caller sends too many requests; it may send again after `retry_after` seconds."""

    def __init__(self, per_minute: int, retry_after: int) -> None:
        super().__init__(f"Too many requests: at most {per_minute} a minute")
        self.retry_after = retry_after


class RateLimiter:
    """Counts requests in memory; a restart clears the counts."""

    def __init__(self, per_minute: int) -> None:
        """With 0 there is no limit."""
        self._most = per_minute
        self._counts = MinuteCounts()

    def count(self, caller: str) -> None:
        """Count one request of *caller*. Raises RateLimited if it was one too many."""
        if self._most and self._counts.add(caller) > self._most:
            wait = max(1, math.ceil(self._counts.seconds_left(caller)))
            raise RateLimited(self._most, wait)
