"""Runs of the updater for tests of the run log."""

from datetime import UTC, datetime, timedelta

from readmodel.store.run_log import Run, TableRun

AT = datetime(2026, 11, 21, 23, 10, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def run(minutes: float, success: bool = True, message: str = "done") -> Run:
    """A run of one second that began *minutes* after AT."""
    began = AT + timedelta(minutes=minutes)
    tables = {"fpp_votes": TableRun(5, 3, 2, 1, 4)} if success else {}
    return Run(began, began + SECOND, success, message, tables)
