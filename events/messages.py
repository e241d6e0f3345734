"""The verdict on a message of Kafka: one event each, in the same forms as by HTTP."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Final, NamedTuple, overload

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
    if None not in events:
        return judge.judge_all(events, _places(messages, topic, received), batch)
    good = [number for number, event in enumerate(events) if event is not None]
    bad = [number for number, event in enumerate(events) if event is None]
    judged = judge.judge_all(
        [events[number] for number in good],
        _places(messages.at(good), topic, received),
        batch,
    )
    unreadable = messages.at(bad)
    hidden = [b""] * len(bad)
    raw = hidden if judge.hides_users else unreadable.contents
    places = _places(unreadable, topic, received)
    rejected = [
        (number, _undecodable(content or b"", place, batch))
        for number, content, place in zip(bad, raw, places, strict=True)
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


def _places(messages: MessageColumns, topic: TopicName, received: int) -> EventPlaces:
    """Where the events of *messages* come from."""
    partitions, offsets = messages.partitions, messages.offsets
    starts = {number: f"{topic.name}[{number}]@" for number in set(partitions)}
    names = [
        f"{starts[partition]}{offset}"
        for partition, offset in zip(partitions, offsets, strict=True)
    ]
    arrived = [
        received if time is None else time * MILLISECOND for time in messages.times
    ]
    return EventPlaces(
        names, arrived, _MessageIds(topic.id, partitions, offsets, arrived)
    )


class _MessageIds(Sequence[str | None]):
    """The ids of messages by their places; each is computed when it is needed.

    Most events have an id of their own.
    """

    def __init__(
        self,
        topic_id: str,
        partitions: Sequence[int],
        offsets: Sequence[int],
        arrived: Sequence[int],
    ) -> None:
        self._topic_id = topic_id
        self._columns = (partitions, offsets, arrived)

    def __len__(self) -> int:
        return len(self._columns[0])

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> "_MessageIds": ...
    def __getitem__(self, index: int | slice) -> "str | _MessageIds":
        partitions, offsets, arrived = self._columns
        if isinstance(index, slice):
            chosen = (partitions[index], offsets[index], arrived[index])
            return _MessageIds(self._topic_id, *chosen)
        place = f"{self._topic_id}:{partitions[index]}:{offsets[index]}"
        return message_id(place, arrived[index] // MILLISECOND)


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
