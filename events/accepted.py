"""Accepted events by columns, and as lines of the spool."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from events.lines import AcceptedLine


@dataclass(slots=True)
class AcceptedEvents:
    """Accepted events of one request, or of one read of a topic.

    Each list has the values of one key of AcceptedLine; `received_at` and `sender` are
    those of all events.
    """

    received_at: int
    sender: str
    event_id: list[str] = field(default_factory=list)
    app_id: list[str | None] = field(default_factory=list)
    name: list[str] = field(default_factory=list)
    user_id: list[str | None] = field(default_factory=list)
    at: list[int] = field(default_factory=list)
    source: list[str | None] = field(default_factory=list)
    properties: list[str] = field(default_factory=list)
    sent_at: list[int | None] = field(default_factory=list)
    content_hash: list[int] = field(default_factory=list)
    batch: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        """The number of events."""
        return len(self.event_id)

    @property
    def columns(self) -> dict[str, list[Any]]:
        """The lists, by key."""
        return {name: getattr(self, name) for name in COLUMNS}

    def extend(self, columns: Mapping[str, Sequence[Any]]) -> None:
        """Add events; *columns* has a sequence for each list."""
        for name, values in columns.items():
            getattr(self, name).extend(values)

    def append(self, line: AcceptedLine) -> None:
        """Add one event."""
        values: Mapping[str, Any] = line
        for name in COLUMNS:
            getattr(self, name).append(values[name])

    def lines(self) -> list[AcceptedLine]:
        """The events one by one."""
        received, sender = self.received_at, self.sender
        columns = zip(*self.columns.values(), strict=True)
        return [
            {
                "event_id": event_id,
                "app_id": app_id,
                "name": name,
                "user_id": user_id,
                "at": at,
                "source": source,
                "properties": properties,
                "received_at": received,
                "sender": sender,
                "sent_at": sent_at,
                "content_hash": content_hash,
                "batch": batch,
            }
            for event_id, app_id, name, user_id, at, source, properties, sent_at, content_hash, batch in columns
        ]

    def encode(self) -> bytes:
        """The lines of the spool. What all events have in common is encoded once."""
        common: dict[str, Any] = {
            "received_at": self.received_at,
            "sender": self.sender,
        }
        for name in _OFTEN_EQUAL:
            column: list[Any] = getattr(self, name)
            if not column or column.count(column[0]) < len(column):
                return encode_lines(self.lines())
            common[name] = column[0]
        rows = [
            {
                "event_id": event_id,
                "name": name,
                "user_id": user_id,
                "at": at,
                "properties": properties,
                "content_hash": content_hash,
            }
            for event_id, name, user_id, at, properties, content_hash in zip(
                *(getattr(self, name) for name in _DIFFERENT), strict=True
            )
        ]
        return _separated(rows, b"," + orjson.dumps(common)[1:])


COLUMNS: Final = tuple(
    name
    for name in AcceptedEvents.__dataclass_fields__
    if name not in {"received_at", "sender"}
)


_OFTEN_EQUAL: Final = ("app_id", "source", "sent_at", "batch")
_DIFFERENT: Final = tuple(name for name in COLUMNS if name not in _OFTEN_EQUAL)


def encode_lines(lines: Sequence[Mapping[str, Any]]) -> bytes:
    """The lines of the spool, each with its end; no value is an object or a list."""
    return _separated(lines, b"}") if lines else b""


def _separated(lines: Sequence[Mapping[str, Any]], ending: bytes) -> bytes:
    """JSON of each line, which ends with *ending* instead of a brace.

    They are written as one list, a third of the work of one by one. In it ``},{"`` is
    between two lines, or at the end of a text: then there are more than there should be.
    """
    end = ending + b"\n"
    parts = orjson.dumps(lines)[1:-2].split(b'},{"')
    if len(parts) != len(lines):
        return b"".join(orjson.dumps(line)[:-1] + end for line in lines)
    return (end + b'{"').join(parts) + end
