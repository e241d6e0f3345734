"""The error that ends a run when a real part cannot be started."""


class TestbedError(Exception):
    """A server is not installed or does not start; the message says what to do."""
