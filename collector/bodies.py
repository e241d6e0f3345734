"""Bodies of requests: JSON, in the forms that clients send."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from events.json_text import parse_json


class MalformedBody(Exception):
    """The body is not JSON, or not of the form that the route takes."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class SentBatch(NamedTuple):
    """The events of a request, and when the client says that it was sent.

    `is_single` is True for one event that is not in a list.
    """

    events: Sequence[object]
    sent_at: object = None
    is_single: bool = False


def one_or_more(body: bytes) -> SentBatch:
    """An event, or a list of events. Raises MalformedBody."""
    match _parse(body):
        case list() as events:
            return SentBatch(events)
        case dict() as event:
            return SentBatch([event], is_single=True)
    raise MalformedBody(422, "Send an event or a list of events")


def listing(body: bytes) -> SentBatch:
    """A list of events. Raises MalformedBody."""
    match _parse(body):
        case list() as events:
            return SentBatch(events)
    raise MalformedBody(422, "Send a list of events")


def segment(body: bytes) -> SentBatch:
    """``{"batch": [...], "sentAt": ...}``. Raises MalformedBody."""
    match _parse(body):
        case {"batch": list() as events, **rest}:
            return SentBatch(events, rest.get("sentAt"))
    raise MalformedBody(422, 'Send an object with a list of events as "batch"')


def _parse(body: bytes) -> Any:
    try:
        return parse_json(body)
    except ValueError:
        raise MalformedBody(400, "The body is not JSON") from None
