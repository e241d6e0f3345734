"""The lines of a spool file with one event each: a JSON object, accepted or rejected.

Instants are microseconds since 1970. A line without ``code`` is an accepted event, with
it a rejected one. A key that is absent is null. Files of the format 2 have rejected
events as such lines, and accepted ones as `column_lines`.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, NotRequired, TypedDict, final

import orjson


@final
class AcceptedLine(TypedDict):
    """An event that was accepted.

    `at` is when it happened, by the server's clock. `properties` is the text of a JSON
    object. `content_hash` is a hash of what the client sent, by which a repetition is
    told from another event with the same id.
    """

    event_id: str
    app_id: str | None
    name: str
    user_id: str | None
    at: int
    source: str | None
    properties: str
    received_at: int
    sender: str
    sent_at: int | None
    content_hash: int
    batch: str


@final
class RejectedLine(TypedDict):
    """An event that was rejected: a dead letter.

    `rejection_id` is the same when the same event is rejected again for the same
    reason. `event_id` is the client's, or None. `raw` is the event as it was sent, cut
    off after RAW_CHARACTERS. `schema` is the file of the schema that it breaks.
    """

    rejection_id: str
    event_id: str | None
    code: str
    message: str
    raw: str
    sender: str
    received_at: int
    batch: str
    schema: NotRequired[str]


TRACEPARENT: Final = "traceparent"
"""Key that the first line of a request may have besides its own: the trace it is of."""

RAW_CHARACTERS: Final = 16_000


def encode_lines(lines: Iterable[Mapping[str, Any]]) -> bytes:
    """The lines of the spool, each with its end."""
    return b"".join(
        orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in lines
    )
