"""The verdict on a message of Kafka: one event each, in the same forms as by HTTP."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Final, NamedTuple, cast

from events import fields
from events.codes import RejectionCode
from events.ids import message_id
from events.instants import microseconds
from events.json_text import parse_all
from events.lines import RAW_CHARACTERS, TRACEPARENT, RejectedLine
from events.message_columns import MessageColumns, StreamMessage
from events.verdicts import BatchContext, EventPlace, EventPlaces, Judge, Judged

MILLISECOND: Final = 1_000
"""In microseconds."""


class TopicName(NamedTuple):
    """A topic, and the id that it has got when it was created."""

    name: str
    id: str


def judge_messages(
    judge: Judge, messages: MessageColumns, topic: TopicName, received_at: datetime
) -> Judged:
    """The verdicts on *messages*, which were read at *received_at*."""
    received = microseconds(received_at)
    batch = BatchContext(f"kafka:{topic.name}", None, received_at, received)
    events = parse_all(messages.contents)
    places = _places(messages, topic, received, events)
    if None not in events:
        return judge.judge_all(events, places, batch)
    good = [number for number, event in enumerate(events) if event is not None]
    judged = judge.judge_all(
        [events[number] for number in good], [places[number] for number in good], batch
    )
    raw = [b"" if judge.hides_users else each or b"" for each in messages.contents]
    rejected = [
        (number, _undecodable(raw[number], places[number], batch))
        for number, event in enumerate(events)
        if event is None
    ]
    rejected += [(good[index], line) for index, line in judged.rejected]
    return Judged(judged.accepted, sorted(rejected, key=itemgetter(0)))


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
    return (
        type(found) is str
        and 0 < len(found) <= fields.LONGEST_TEXT
        and fields.is_encodable(found)
    )


def _have_ids(events: Sequence[object]) -> bool:
    """True if `_has_id` is so for all of *events*, by a column of their ids."""
    if set(map(type, events)) != {dict}:
        return False
    objects = cast("Sequence[Mapping[str, object]]", events)
    for name in fields.ID:
        column = [event.get(name) for event in objects]
        kinds = set(map(type, column))
        if kinds == {str}:
            texts = cast("list[str]", column)
            lengths = set(map(len, texts))
            is_right = 0 < min(lengths) <= max(lengths) <= fields.LONGEST_TEXT
            return is_right and fields.is_encodable("".join(texts))
        if kinds != {type(None)}:
            return False
    return False


def _places(
    messages: MessageColumns, topic: TopicName, received: int, events: Sequence[object]
) -> EventPlaces:
    """Where each of *events* comes from, the content of the message beside it."""
    partitions, offsets = messages.partitions, messages.offsets
    starts = {number: f"{topic.name}[{number}]@" for number in set(partitions)}
    names = [
        f"{starts[partition]}{offset}"
        for partition, offset in zip(partitions, offsets, strict=True)
    ]
    arrived = [
        received if time is None else time * MILLISECOND for time in messages.times
    ]
    fallback_ids: list[str | None] = [None] * len(messages)
    if not _have_ids(events):
        fallback_ids = [
            None
            if _has_id(event)
            else message_id(f"{topic.id}:{partition}:{offset}", came // MILLISECOND)
            for event, partition, offset, came in zip(
                events, partitions, offsets, arrived, strict=True
            )
        ]
    return EventPlaces(names, arrived, fallback_ids)


def _undecodable(raw: bytes, place: EventPlace, batch: BatchContext) -> RejectedLine:
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
