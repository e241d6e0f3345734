"""Errors of the test bed."""


class TestbedError(Exception):
    """A server is not installed or does not start. The message says what to do."""

    __test__ = False  # pytest takes classes with such names for tests
