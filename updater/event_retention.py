"""The retention of events in the updater: once a day, after events were taken."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

from readmodel.sync.retention import apply_retention
from updater.event_runs import record_retention
from util.errors import FppError, SyncRunning
from util.sentry_wrapper import ErrorContext, Severity, capture_error


def _now() -> datetime:
    return datetime.now(UTC)


class DailyRetention:
    """Removes events that are too old, at the first call and then once a day (UTC)."""

    def __init__(
        self, data_dir: Path, days: int, now: Callable[[], datetime] = _now
    ) -> None:
        """Events are kept for *days*; 0 keeps them for ever."""
        self._data_dir = data_dir
        self._days = days
        self._now = now
        self._applied_on: date | None = None

    def run(self) -> None:
        """Remove them if it is time to. A failure is reported, once a day, too."""
        began = self._now()
        if not self._days or self._applied_on == began.date():
            return
        try:
            report = apply_retention(self._data_dir, self._days, began)
        except SyncRunning:
            return  # The next call is seconds away.
        except FppError as error:
            capture_error(error, ErrorContext("events", "retention"), Severity.HIGH)
        else:
            if report.snapshot:
                record_retention(self._data_dir, began, self._now(), report)
        self._applied_on = began.date()
