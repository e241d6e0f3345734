"""Errors of the benchmark."""

from util.errors import FppError


class BenchError(FppError):
    """The benchmark cannot continue; the message gives the reason."""
