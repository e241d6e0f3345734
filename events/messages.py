"""The verdict on a message of Kafka: one event each, in the same forms as by HTTP."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple, Protocol

from events import fields
from events.codes import RejectionCode
from events.ids import message_id
from events.instants import microseconds
from events.json_text import parse_json
from events.lines import RAW_CHARACTERS, TRACEPARENT
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

    def headers(self) -> Sequence[tuple[str, bytes | None]] | None:
        """The headers; None if there are none."""

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
    events: list[object] = []
    places: list[EventPlace] = []
    lines: list[Verdict] = []
    for message in messages:
        content = message.value()
        event = _parse(content)
        place = _place(message, topic, received, has_id=_has_id(event))
        if event is None:
            raw = b"" if judge.hides_users or content is None else content
            lines.append(_undecodable(raw, place, batch))
        else:
            events.append(event)
            places.append(place)
    return lines + judge.judge_all(events, places, batch)


def traceparents(messages: Iterable[StreamMessage]) -> tuple[str, ...]:
    """The `traceparent` headers of *messages*."""
    return tuple(
        content.decode("latin-1")
        for message in messages
        for name, content in message.headers() or ()
        if name == TRACEPARENT and content
    )


def _has_id(event: object) -> bool:
    """True if the event surely needs no other id, whatever the verdict is."""
    if type(event) is not dict:
        return False
    found = fields.first(event, fields.ID)
    return type(found) is str and 0 < len(found) <= fields.LONGEST_TEXT


def _place(
    message: StreamMessage, topic: TopicName, received: int, *, has_id: bool
) -> EventPlace:
    partition, offset = message.partition(), message.offset()
    kind, milliseconds = message.timestamp()
    arrived = milliseconds * MILLISECOND if kind else received
    name = f"{topic.name}[{partition}]@{offset}"
    if has_id:
        return EventPlace(name, arrived)
    own_id = message_id(f"{topic.id}:{partition}:{offset}", arrived // MILLISECOND)
    return EventPlace(name, arrived, own_id)


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
