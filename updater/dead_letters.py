"""The checks of the collector, for dead letters that are replayed."""

from typing import Final

from config import Settings
from events import fields
from events.instants import microseconds
from events.lines import AcceptedLine, RejectedLine
from events.privacy import StoredPseudonyms
from events.verdicts import BatchContext, EventPlace, Judge
from readmodel.sync.replay import StoredLetter

UNKNOWN: Final = ""
"""In place of a sender or a batch that is not known."""


class DeadLetterCheck:
    """Judges dead letters as if they arrived again, at the instant of their arrival."""

    def __init__(self, settings: Settings) -> None:
        """Raises SettingsError if a schema cannot be used."""
        self._judge = Judge.of(settings, StoredPseudonyms)

    def __call__(self, letter: StoredLetter) -> AcceptedLine | RejectedLine:
        """The verdict on the event of *letter*, under its id."""
        event = letter.event
        if isinstance(event, dict) and fields.first(event, fields.ID) is None:
            event = {**event, "event_id": letter.id}
        received = microseconds(letter.received_at)
        place = EventPlace(letter.batch or UNKNOWN, received)
        # What else its request stated is in the event itself.
        batch = BatchContext(
            sender=letter.sender or UNKNOWN,
            user=None,
            received_at=letter.received_at,
            received=received,
        )
        return self._judge.judge(event, place, batch)
