"""Why an event is rejected, as one word."""

from enum import StrEnum


class RejectionCode(StrEnum):
    """The code of a dead letter; every value is documented in docs/events.md."""

    NOT_AN_OBJECT = "not_an_object"
    NAME = "name"
    ID = "id"
    USER_ID = "user_id"
    FIELD = "field"
    TIME = "time"
    CLOCK = "clock"
    PROPERTIES = "properties"
    TOO_LARGE = "too_large"
    TEXT = "text"
    UNKNOWN_NAME = "unknown_name"
    SCHEMA = "schema"
    CONFLICT = "conflict"
    UNREADABLE = "unreadable"
