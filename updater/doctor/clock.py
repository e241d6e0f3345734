"""Whether the database's clock and that of this host agree."""

from datetime import UTC, datetime, timedelta
from typing import Final

from updater.doctor.check_result import CheckResult, passed, warning

CLOCK_TOLERANCE: Final = timedelta(seconds=5)


def check_clock(theirs: datetime) -> CheckResult:
    """Compare the database's time *theirs* with ours."""
    difference = abs(datetime.now(UTC) - theirs)
    text = f"{difference.total_seconds():.1f} s apart from the database's clock"
    if difference <= CLOCK_TOLERANCE:
        return passed("clock", text)
    return warning(
        "clock",
        f"{text}: synchronise both clocks, or the last-24-hours figures will be wrong",
    )
