"""Errors of the demonstration."""

from util.errors import FppError


class DemoError(FppError):
    """A step of the demonstration failed; the message says which and why."""
