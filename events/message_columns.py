"""Messages of Kafka by columns: all that a verdict depends on, and no object of the client."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self


class StreamMessage(Protocol):
    """A message as Kafka's client gives it."""

    def __len__(self) -> int:
        """Bytes of the content."""

    def value(self) -> bytes | None:
        """The content; None for a tombstone."""

    def partition(self) -> int:
        """The number of the partition."""

    def offset(self) -> int:
        """The place in the partition."""

    def timestamp(self) -> tuple[int, int]:
        """Its kind, 0 if there is none, and milliseconds since 1970."""

    def headers(self) -> Sequence[tuple[str, bytes | None]] | None:
        """The headers; None if there are none."""

    def leader_epoch(self) -> int | None:
        """How often the partition had another leader before; None if unknown."""


@dataclass(frozen=True, slots=True)
class MessageColumns:
    """Contents, places and times of messages; they can be pickled.

    `times` are those of the producers, in milliseconds since 1970; None for unknown ones.
    """

    contents: Sequence[bytes | None]
    partitions: Sequence[int]
    offsets: Sequence[int]
    times: Sequence[int | None]

    @classmethod
    def of(cls, messages: Sequence[StreamMessage]) -> Self:
        """The columns of *messages*."""
        return cls(
            contents=[message.value() for message in messages],
            partitions=[message.partition() for message in messages],
            offsets=[message.offset() for message in messages],
            times=[
                milliseconds if kind else None
                for kind, milliseconds in [message.timestamp() for message in messages]
            ],
        )

    def __len__(self) -> int:
        """The number of messages."""
        return len(self.contents)

    def at(self, numbers: Sequence[int]) -> Self:
        """The messages with these *numbers*, counted from 0."""
        return type(self)(
            contents=[self.contents[number] for number in numbers],
            partitions=[self.partitions[number] for number in numbers],
            offsets=[self.offsets[number] for number in numbers],
            times=[self.times[number] for number in numbers],
        )
