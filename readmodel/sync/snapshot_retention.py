"""Which snapshots to keep: many of the last hour, few of the last month.

They share their unchanged parts as hard links, so an earlier one costs what has changed
since.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

KEEP_NEWEST: Final = 3
KEEP_YOUNGER: Final = timedelta(minutes=10)
"""The longest request must find its snapshot until it ends."""

EVERY_ONE: Final = timedelta(hours=1)
HOURLY: Final = timedelta(hours=24)


def kept_instants(
    instants: Iterable[datetime], now: datetime, retention: timedelta = KEEP_YOUNGER
) -> set[datetime]:
    """The *instants* (UTC) of the snapshots to keep.

    Those of the last KEEP_YOUNGER and the KEEP_NEWEST newest are always kept. Of those
    within *retention*, all of the last hour are kept, the last of each hour of the last
    24, and the last of each day before. To thin out again later removes only what would
    be removed at once, too, or has a successor of the same hour.
    """
    found = sorted(instants)
    kept = set(found[-KEEP_NEWEST:])
    last_of: dict[tuple[str, datetime], datetime] = {}
    for instant in found:
        age = now - instant
        if age <= KEEP_YOUNGER or (age <= EVERY_ONE and age <= retention):
            kept.add(instant)
        elif age <= retention:
            last_of[_span(instant, age)] = instant
    return kept | set(last_of.values())


def _span(instant: datetime, age: timedelta) -> tuple[str, datetime]:
    """The hour or the day of which one snapshot is kept."""
    hour = instant.replace(minute=0, second=0, microsecond=0)
    return ("hour", hour) if age <= HOURLY else ("day", hour.replace(hour=0))
