"""A fault that lasts is reported once, until the work succeeds again."""

from updater.guarded import guarded
from util.sentry_wrapper import ErrorContext, Severity, capture_error
from util.stopping import StopRequest


class FaultReports:
    """Reports the faults of work that is repeated. `last` is None while it succeeds.

    A service that cannot be reached would otherwise be reported with each attempt.
    """

    def __init__(self, context: ErrorContext, stop: StopRequest) -> None:
        self._context = context
        self._stop = stop
        self.last: str | None = None

    def add(self, error: BaseException, severity: Severity) -> None:
        """Report *error*, unless it is the last one. Raises Stopped if it is due to it."""
        self._stop.check()
        if self.last != str(error):
            guarded(capture_error, error, self._context, severity)
        self.last = str(error)

    def clear(self) -> bool:
        """Note that the work has succeeded; True if it had failed before."""
        last, self.last = self.last, None
        return last is not None
