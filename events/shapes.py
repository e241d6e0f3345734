"""Which fields are which, for many events that have the same fields.

What holds for a column of values is checked at once, in C. An event that is not as usual
is looked at by itself, see `verdicts`.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Any, Final, Self

from pydantic_core import to_json

from events import clock, fields
from events.fields import LONGEST_TEXT, SentEvent
from events.instants import EPOCH, SECOND
from events.instants import LONGEST_TEXT as LONGEST_INSTANT
from events.joined_json import encode_objects

LONGEST_CHARACTER: Final = 4
"""Bytes in UTF-8."""


class Unusual(Exception):
    """One of the events has to be looked at more closely: it may be rejected."""


@dataclass(frozen=True, slots=True)
class EventShape:
    """The names of the fields; None if there is no such field.

    `ambiguous` are fields that another one replaces if they are null. `properties` is
    the name of the object, or else `others` are the fields that become the properties.
    """

    id: str | None
    name: str | None
    user_id: str | None
    app_id: str | None
    source: str | None
    at: str | None
    sent_at: str | None
    properties: str | None
    others: tuple[str, ...]
    ambiguous: frozenset[str | None]

    @classmethod
    def of(cls, names: Collection[str]) -> Self:
        """The shape of events whose fields have these *names*."""

        def first(group: Collection[str]) -> str | None:
            return next((name for name in group if name in names), None)

        groups = (
            *(fields.ID, fields.NAME, fields.USER_ID, fields.APP_ID, fields.SOURCE),
            *(fields.AT, fields.SENT_AT, fields.PROPERTIES),
        )
        return cls(
            id=first(fields.ID),
            name=first(fields.NAME),
            user_id=first(fields.USER_ID),
            app_id=first(fields.APP_ID),
            source=first(fields.SOURCE),
            at=first(fields.AT),
            sent_at=first(fields.SENT_AT),
            properties=first(fields.PROPERTIES),
            others=tuple(name for name in names if name not in fields.KNOWN),
            ambiguous=frozenset(
                first(group)
                for group in groups
                if sum(name in names for name in group) > 1
            ),
        )

    def texts(self, events: Sequence[SentEvent], name: str | None) -> list[str | None]:
        """The texts of a field. Raises Unusual or ValueError unless all are valid or null."""
        if name is None:
            return [None] * len(events)
        column = [event[name] for event in events]
        # Often all are the same, such as the application.
        checked = column[:1] if are_equal(column) else column
        try:
            present, joined = checked, "".join(checked)
        except TypeError:  # not all are text
            column, present = self._mixed_texts(column, name)
            joined = "".join(present)
        # Ids have one length, so there is little to compare.
        lengths = {*map(len, present)}
        if 0 in lengths or max(lengths, default=0) > LONGEST_TEXT:
            raise Unusual
        if not joined.isascii():
            joined.encode()  # fails for half of a surrogate pair
        return column

    def _mixed_texts(
        self, column: list[Any], name: str
    ) -> tuple[list[str | None], list[str]]:
        """The texts of a field, numbers as text, and those that are not null."""
        kinds = set(map(type, column))
        if int in kinds:  # ids often are numbers
            column = [str(each) if type(each) is int else each for each in column]
            kinds = kinds - {int} | {str}
        if type(None) in kinds and name not in self.ambiguous:
            kinds.remove(type(None))
        if kinds - {str}:
            raise Unusual
        return column, [value for value in column if value is not None]

    def instants(
        self, events: Sequence[SentEvent], name: str | None
    ) -> list[int | None]:
        """The instants of a field. Raises Unusual, EventRejected and ValueError."""
        if name is None:
            return [None] * len(events)
        column = list(map(itemgetter(name), events))
        kinds = set(map(type, column))
        if kinds == {str}:
            if are_equal(column):
                return _parse_texts(column[:1]) * len(column)
            return _parse_texts(column)
        if type(None) in kinds and name in self.ambiguous:
            raise Unusual
        return [None if each is None else clock.parse(each, name) for each in column]

    def properties_of(self, events: Sequence[SentEvent]) -> list[Any]:
        """The properties of each event. Raises Unusual unless they are objects."""
        if self.properties is None:
            return [{name: event[name] for name in self.others} for event in events]
        column = list(map(itemgetter(self.properties), events))
        if set(map(type, column)) != {dict}:
            raise Unusual
        return column


def are_equal(column: Sequence[object]) -> bool:
    """True if all values are of one type and equal; 1 and True are not."""
    first = column[0]
    # Most columns differ in their second value already.
    return (
        column[-1] == first
        and column.count(first) == len(column)
        and len(set(map(type, column))) == 1
    )


def encode_all(properties: Sequence[Any], most_bytes: int) -> list[str]:
    """JSON of each, as `to_json` writes it.

    Raises TypeError if that is impossible, and Unusual if one is longer than *most_bytes*.
    """
    texts = encode_objects(properties)
    if "null" in "".join(texts):  # perhaps infinite, which to_json writes as text
        texts = [
            to_json(each, inf_nan_mode="strings").decode() if "null" in text else text
            for each, text in zip(properties, texts, strict=True)
        ]
    if max(map(len, texts)) > most_bytes // LONGEST_CHARACTER and any(
        len(text.encode()) > most_bytes for text in texts
    ):
        raise Unusual
    return texts


def _parse_texts(texts: Sequence[str]) -> list[int | None]:
    """The instants of texts. Raises Unusual, ValueError, and TypeError without an offset."""
    if max(map(len, texts)) > LONGEST_INSTANT:
        raise Unusual
    since = [moment - EPOCH for moment in map(datetime.fromisoformat, texts)]
    return [(s.days * 86_400 + s.seconds) * SECOND + s.microseconds for s in since]
