"""Accepted events by columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from events.column_lines import encode_columns
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

    def encode(self, traceparent: str | None = None) -> bytes:
        """The lines of the spool, see `column_lines`."""
        common = {"received_at": self.received_at, "sender": self.sender}
        return encode_columns(self.columns, common, traceparent)


COLUMNS: Final = tuple(
    name
    for name in AcceptedEvents.__dataclass_fields__
    if name not in {"received_at", "sender"}
)
