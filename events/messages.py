"""The verdict on a message of Kafka: one event each, in the same forms as by HTTP."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import repeat
from operator import itemgetter
from typing import Any, Final, NamedTuple, Protocol, cast

from events import fields
from events.codes import RejectionCode
from events.ids import message_id
from events.instants import microseconds
from events.json_text import parse_json
from events.lines import RAW_CHARACTERS, TRACEPARENT, RejectedLine
from events.verdicts import BatchContext, EventPlace, Judge, Judged

MILLISECOND: Final = 1_000
"""In microseconds."""


class StreamMessage(Protocol):
    """A message as Kafka's client gives it."""

    def __len__(self) -> int:
        """Bytes of the content."""

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
    messages: Sequence[StreamMessage],
    topic: TopicName,
    received_at: datetime,
) -> Judged:
    """The verdicts on *messages*, which were read at *received_at*."""
    received = microseconds(received_at)
    batch = BatchContext(f"kafka:{topic.name}", None, received_at, received)
    contents = [message.value() for message in messages]
    events = list(map(_parse, contents))
    places = _places(messages, topic, received, events)
    if None not in events:
        return judge.judge_all(events, places, batch)
    good = [number for number, event in enumerate(events) if event is not None]
    judged = judge.judge_all(
        [events[number] for number in good], [places[number] for number in good], batch
    )
    raw = [b"" if judge.hides_users else content or b"" for content in contents]
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
    return type(found) is str and 0 < len(found) <= fields.LONGEST_TEXT


def _have_ids(events: Sequence[object]) -> bool:
    """True if `_has_id` is so for all of *events*, by a column of their ids."""
    if set(map(type, events)) != {dict}:
        return False
    objects = cast("Sequence[Mapping[str, object]]", events)
    for name in fields.ID:
        column = [event.get(name) for event in objects]
        kinds = set(map(type, column))
        if kinds == {str}:
            lengths = set(map(len, cast("list[str]", column)))
            return 0 < min(lengths) <= max(lengths) <= fields.LONGEST_TEXT
        if kinds != {type(None)}:
            return False
    return False


def _places(
    messages: Sequence[StreamMessage],
    topic: TopicName,
    received: int,
    events: Sequence[object],
) -> list[EventPlace]:
    """Where each of *events* comes from, the content of the message beside it."""
    partitions = [message.partition() for message in messages]
    offsets = [message.offset() for message in messages]
    starts = {number: f"{topic.name}[{number}]@" for number in set(partitions)}
    names = [
        f"{starts[partition]}{offset}"
        for partition, offset in zip(partitions, offsets, strict=True)
    ]
    times = [message.timestamp() for message in messages]
    arrived = [ms * MILLISECOND if kind else received for kind, ms in times]
    fallback_ids: Iterable[str | None] = repeat(None, len(messages))
    if not _have_ids(events):
        fallback_ids = (
            None
            if _has_id(event)
            else message_id(f"{topic.id}:{partition}:{offset}", came // MILLISECOND)
            for event, partition, offset, came in zip(
                events, partitions, offsets, arrived, strict=True
            )
        )
    found = zip(names, arrived, fallback_ids, strict=True)
    return list(map(EventPlace._make, found))


def _parse(content: bytes | None) -> Any:
    """The parsed content; None if it is not JSON, or null."""
    try:
        return parse_json(content) if content else None
    except ValueError:
        return None


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
