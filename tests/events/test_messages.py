"""Messages of Kafka as events."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from config import load
from events.ids import message_id
from events.instants import microseconds
from events.message_columns import MessageColumns
from events.messages import TopicName, judge_messages, traceparents
from events.verdicts import Judge

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
NOW_MS = microseconds(NOW) // 1000
TOPIC = TopicName("octane.events", "topic-id")


class Message(NamedTuple):
    """Stands in for a message of the client."""

    content: bytes | None
    milliseconds: int | None = None
    place: int = 7
    sent_headers: list[tuple[str, bytes | None]] | None = None

    def value(self) -> bytes | None:
        """The content."""
        return self.content

    def partition(self) -> int:
        """Always the same."""
        return 3

    def offset(self) -> int:
        """The place."""
        return self.place

    def timestamp(self) -> tuple[int, int]:
        """The producer's time."""
        return (0, -1) if self.milliseconds is None else (1, self.milliseconds)

    def headers(self) -> list[tuple[str, bytes | None]] | None:
        """Those of the sender."""
        return self.sent_headers

    def leader_epoch(self) -> int | None:
        """Unknown."""
        return None


def verdict(message: Message, **settings: str) -> Mapping[str, Any]:
    """The verdict on one message."""
    judge = Judge.of(load(settings))
    columns = MessageColumns.of([message])
    (line,) = judge_messages(judge, columns, TOPIC, NOW).lines()
    return line


def test_a_message_without_an_id_has_the_same_one_whenever_it_is_read() -> None:
    """It depends on its place, and sorts by its time."""
    first, again, other = (
        verdict(Message(b'{"name": "x"}', NOW_MS - 5, place))["event_id"]
        for place in (7, 7, 8)
    )
    assert first == again != other
    assert first == message_id("topic-id:3:7", NOW_MS - 5)
    assert int(str(first).replace("-", "")[:12], 16) == NOW_MS - 5


def test_the_client_clock_is_corrected_by_the_time_of_the_message() -> None:
    """It may have waited in Kafka for hours."""
    hours = 3 * 3600 * 1000
    sent = b'{"name": "x", "at": 1000000000, "sentAt": 1000000060}'
    line = verdict(Message(sent, NOW_MS - hours))
    assert line["at"] == (NOW_MS - hours - 60_000) * 1000
    assert line["received_at"] == NOW_MS * 1000


def test_a_message_without_a_time_happened_when_it_was_read() -> None:
    """Old clients send none."""
    assert verdict(Message(b'{"name": "x"}'))["at"] == NOW_MS * 1000


def test_a_time_of_the_producer_out_of_bounds_is_rejected() -> None:
    """As that of an event."""
    assert verdict(Message(b'{"name": "x"}', 1000))["code"] == "clock"


def test_a_tombstone_and_null_are_dead_letters() -> None:
    """They have no content that could be replayed."""
    for content in (None, b"", b"null"):
        line = verdict(Message(content))
        assert (line["code"], line["event_id"]) == ("unreadable", None)


def test_half_of_a_surrogate_pair_is_rejected_by_its_own_code() -> None:
    """As by HTTP."""
    assert verdict(Message(rb'{"name": "\ud800"}'))["code"] == "text"


def test_a_dead_letter_has_the_same_id_whenever_its_message_is_read() -> None:
    """Also if the event has an id, which cannot be stored."""
    for sent in (rb'{"id": "\ud800", "name": "x"}', b'{"id": 1.5}', b"{"):
        first, again = (verdict(Message(sent))["rejection_id"] for _ in range(2))
        assert first == again


def test_with_a_key_no_undecodable_content_is_stored() -> None:
    """It may hold user ids."""
    secret = verdict(Message(b'{"user_id": "u1"'), USER_ID_KEY="k")
    assert secret["raw"] == ""
    assert verdict(Message(b'{"user_id": "u1"'))["raw"] == '{"user_id": "u1"'


def test_the_traces_of_messages_are_in_their_headers() -> None:
    """Other headers, and messages without any, name none."""
    messages = [
        Message(b"{}"),
        Message(b"{}", sent_headers=[("x", b"1"), ("traceparent", b"00-a-b-01")]),
        Message(b"{}", sent_headers=[("traceparent", None)]),
    ]
    assert traceparents(messages) == ("00-a-b-01",)
