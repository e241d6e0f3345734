"""The verdict on a message of Kafka: one event each, in the same forms as by HTTP."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final, NamedTuple, Protocol

from events.codes import RejectionCode
from events.ids import message_id
from events.instants import microseconds
from events.json_text import parse_json
from events.lines import RAW_CHARACTERS
from events.verdicts import BatchContext, EventPlace, Judge, Verdict

MILLISECOND: Final = 1_000
"""In microseconds."""


class StreamMessage(Protocol):
    """A message as Kafka's client gives it."""

    def value(self) -> bytes | None:
        """The content; None for a tombstone."""

    def partition(self) -> int:
        """The number of the partition."""

    def offset(self) -> int:
        """The place in the partition."""

    def timestamp(self) -> tuple[int, int]:
        """Its kind, 0 if there is none, and milliseconds since 1970."""

    def leader_epoch(self) -> int | None:
        """How often the partition had another leader before; None if unknown."""


class TopicName(NamedTuple):
    """A topic, and the id that it has got when it was created."""

    name: str
    id: str


def judge_messages(
    judge: Judge,
    messages: Iterable[StreamMessage],
    topic: TopicName,
    received_at: datetime,
) -> list[Verdict]:
    """A line of the spool for each of *messages*, which were read at *received_at*."""
    received = microseconds(received_at)
    batch = BatchContext(f"kafka:{topic.name}", None, received_at, received)
    events, places, lines = [], [], []
    for message in messages:
        content, place = message.value(), _place(message, topic, received)
        event = _parse(content)
        if event is None:
            raw = b"" if judge.hides_users or content is None else content
            lines.append(_undecodable(raw, place, batch))
        else:
            events.append(event)
            places.append(place)
    return lines + judge.judge_all(events, places, batch)


def _place(message: StreamMessage, topic: TopicName, received: int) -> EventPlace:
    partition, offset = message.partition(), message.offset()
    kind, milliseconds = message.timestamp()
    arrived = milliseconds * MILLISECOND if kind else received
    own_id = message_id(f"{topic.id}:{partition}:{offset}", arrived // MILLISECOND)
    return EventPlace(f"{topic.name}[{partition}]@{offset}", arrived, own_id)


def _parse(content: bytes | None) -> Any:
    """The parsed content; None if it is not JSON, or null."""
    try:
        return parse_json(content) if content else None
    except ValueError:
        return None


def _undecodable(raw: bytes, place: EventPlace, batch: BatchContext) -> Verdict:
    """The dead letter of a message that is not JSON."""
    return {
        "rejection_id": f"{place.fallback_id}:{RejectionCode.UNREADABLE}",
        "event_id": None,
        "code": RejectionCode.UNREADABLE,
        "message": f"the message {place.batch} is not JSON",
        "raw": raw.decode(errors="replace")[:RAW_CHARACTERS],
        "sender": batch.sender,
        "received_at": batch.received,
        "batch": place.batch,
    }
