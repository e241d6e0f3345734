"""Bodies of requests: JSON, in the forms that clients send."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pydantic_core import from_json


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
        return from_json(body, allow_inf_nan=False)
    except ValueError:
        if rb"\u" not in body:
            raise MalformedBody(400, "The body is not JSON") from None
        # Perhaps half of a surrogate pair, which only lenient parsers take: then that
        # event is rejected, and not its whole batch.
        return _parse_leniently(body)


def _parse_leniently(body: bytes) -> Any:
    try:
        return json.loads(body, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise MalformedBody(400, "The body is not JSON") from None


def _refuse(constant: str) -> Mapping[str, Any]:
    raise ValueError(constant)
