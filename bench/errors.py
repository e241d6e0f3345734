"""What can go wrong in the benchmark."""

from util.errors import FppError


class BenchError(FppError):
    """Nothing can be measured; the message says why."""
