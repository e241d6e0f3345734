"""When an event happened, by the server's clock; instants are microseconds since 1970."""

from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from events.codes import RejectionCode
from events.instants import MICROSECOND, parse_instant
from events.rejection import EventRejected

if TYPE_CHECKING:
    from config import Settings


class ClockBounds(NamedTuple):
    """How far an event may be ahead of its arrival or behind it, in microseconds."""

    ahead: int
    behind: int

    @classmethod
    def of(cls, settings: "Settings") -> "ClockBounds":
        """The bounds of EVENT_MAX_AHEAD_SECONDS and EVENT_MAX_AGE_DAYS."""
        ahead = timedelta(seconds=settings.event_max_ahead_seconds)
        behind = timedelta(days=settings.event_max_age_days)
        return cls(ahead // MICROSECOND, behind // MICROSECOND)

    def check(self, at: int, received_at: int) -> None:
        """Raise EventRejected if *at* is out of the bounds."""
        if at > received_at + self.ahead:
            seconds = (at - received_at) / 1e6
            raise EventRejected(
                RejectionCode.CLOCK, f"the event is {seconds:,.0f} s in the future"
            )
        if at < received_at - self.behind:
            days = (received_at - at) / 86_400e6
            raise EventRejected(
                RejectionCode.CLOCK, f"the event is {days:,.1f} days old"
            )


def parse(value: object, field: str) -> int:
    """Parse an instant. Raises EventRejected that names *field*."""
    try:
        return parse_instant(value)
    except (ValueError, OverflowError):
        raise EventRejected(
            RejectionCode.TIME,
            f"{field} must be ISO 8601, or a number of seconds or milliseconds",
        ) from None


def corrected(at: int, sent_at: int | None, arrived: int) -> int:
    """Correct *at* by the error of the client's clock, which *sent_at* shows.

    An event of 10:00 that is sent at 10:05 and arrives at 09:05 happened at 09:00.
    """
    return at if sent_at is None else at + arrived - sent_at
