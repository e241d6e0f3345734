"""The verdict on a message of Kafka: one event each, in the same forms as by HTTP."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final, NamedTuple, Protocol

from events.codes import RejectionCode
from events.ids import message_id
from events.instants import microseconds
from events.json_text import parse_json
from events.lines import RAW_CHARACTERS, RejectedLine
from events.verdicts import BatchContext, Judge, Verdict

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
    return [
        _judge_message(judge, message, topic, received_at, received)
        for message in messages
    ]


def _judge_message(
    judge: Judge,
    message: StreamMessage,
    topic: TopicName,
    received_at: datetime,
    received: int,
) -> Verdict:
    partition, offset = message.partition(), message.offset()
    kind, milliseconds = message.timestamp()
    arrived = milliseconds * MILLISECOND if kind else received
    batch = BatchContext(
        id=f"{topic.name}[{partition}]@{offset}",
        sender=f"kafka:{topic.name}",
        user=None,
        received_at=received_at,
        received=received,
        arrived=arrived,
        message_id=message_id(f"{topic.id}:{partition}:{offset}", arrived // 1_000),
    )
    content = message.value()
    event = _parse(content)
    if event is None:
        raw = "" if judge.hides_users else (content or b"").decode(errors="replace")
        return _undecodable(raw, batch)
    return judge.judge(event, 0, batch)


def _parse(content: bytes | None) -> Any:
    """The parsed content; None if it is not JSON, or null."""
    try:
        return parse_json(content) if content else None
    except ValueError:
        return None


def _undecodable(raw: str, batch: BatchContext) -> RejectedLine:
    """The dead letter of a message that is not JSON. `batch` says where it is."""
    return {
        "rejection_id": f"{batch.message_id}:{RejectionCode.UNREADABLE}",
        "event_id": None,
        "code": RejectionCode.UNREADABLE,
        "message": f"the message {batch.id} is not JSON",
        "raw": raw[:RAW_CHARACTERS],
        "sender": batch.sender,
        "received_at": batch.received,
        "batch": batch.id,
    }
