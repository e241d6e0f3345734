"""The fields of an event, under all names by which clients send them."""

from collections.abc import Collection, Mapping
from typing import Any, Final

from events.codes import RejectionCode
from events.rejection import EventRejected

type SentEvent = Mapping[str, Any]

ID: Final = ("event_id", "id", "messageId", "message_id")
NAME: Final = ("name", "event_name", "event", "type")
SIGNED_IN: Final = ("user_id", "userId")
USER_ID: Final = (*SIGNED_IN, "anonymous_id", "anonymousId")
AT: Final = ("at", "timestamp", "ts", "originalTimestamp")
APP_ID: Final = ("app_id", "appId")
SOURCE: Final = ("source", "src")
SENT_AT: Final = ("sent_at", "sentAt")
PROPERTIES: Final = ("properties", "payload", "metadata", "traits")
KNOWN: Final = frozenset(
    (*ID, *NAME, *USER_ID, *AT, *APP_ID, *SOURCE, *SENT_AT, *PROPERTIES)
)

LONGEST_TEXT: Final = 200
"""Characters of a name, an id or a source."""

SURROGATE: Final = "a text contains half of a surrogate pair"


def first(event: SentEvent, names: Collection[str]) -> Any:
    """The first of the fields *names* that is neither absent nor null."""
    for name in names:
        value = event.get(name)
        if value is not None:
            return value
    return None


def text(event: SentEvent, names: Collection[str], code: RejectionCode) -> str | None:
    """A field with text; whole numbers become text, since ids often are numbers.

    Raises EventRejected with *code* for anything else, and for text that is empty or
    longer than LONGEST_TEXT.
    """
    value = first(event, names)
    if value is None:
        return None
    if type(value) is int:
        value = str(value)
    if type(value) is not str:
        raise EventRejected(code, f"{_listed(names)} must be text")
    if not 0 < len(value) <= LONGEST_TEXT:
        raise EventRejected(
            code, f"{_listed(names)} must have 1 to {LONGEST_TEXT} characters"
        )
    if not _is_encodable(value):
        raise EventRejected(RejectionCode.TEXT, SURROGATE)
    return value


def _is_encodable(value: str) -> bool:
    try:
        return value.isascii() or bool(value.encode())
    except UnicodeEncodeError:
        return False


def name(event: SentEvent) -> str:
    """The name of the event. Raises EventRejected if it has none.

    Segment's ``{"type": "track", "event": "Signed up"}`` is called Signed up, and its
    ``{"type": "page"}`` is called page.
    """
    found = text(event, NAME, RejectionCode.NAME)
    if found is None:
        raise EventRejected(RejectionCode.NAME, f"{_listed(NAME)} is missing")
    return found


def properties(event: SentEvent) -> Mapping[str, Any]:
    """The properties; without such a field, all fields that have no other meaning.

    Raises EventRejected unless they are an object.
    """
    if not any(field in event for field in PROPERTIES):
        return {field: value for field, value in event.items() if field not in KNOWN}
    value = first(event, PROPERTIES)
    if value is None:
        return {}
    if type(value) is not dict:
        raise EventRejected(
            RejectionCode.PROPERTIES, f"{_listed(PROPERTIES)} must be an object"
        )
    return value


def _listed(names: Collection[str]) -> str:
    """``("ts", "at")`` becomes ``ts or at``."""
    return " or ".join(names)
