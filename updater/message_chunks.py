"""Messages of Kafka that were read and are not stored yet, in chunks that are judged at once."""

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from typing import Final

from events.message_columns import MessageColumns, StreamMessage
from events.messages import traceparents
from readmodel.store.manifest import TopicPosition
from readmodel.sync.spool_reader import SpooledEvents
from util import telemetry

MAX_MESSAGES: Final = 150_000
"""Of a snapshot, while a backlog is read. More than half of PART_ROWS: no part of so many
rows is merged with the next one, which would write them twice."""

AHEAD_MESSAGES: Final = 80_000
"""Read beyond these, so that processes can judge them while a snapshot is written."""

MAX_BYTES: Final = 64 * 2**20
"""Of the contents of all messages that are not stored: bounds the memory."""

STORED_BYTES: Final = MAX_BYTES * 2 // 3
"""Of a snapshot, while a backlog is read."""

CHUNK_MESSAGES: Final = 10_000
"""At once: bounds the memory; a frame of fewer takes longer per message."""

CHUNK_BYTES: Final = MAX_BYTES // 8
"""The same, of their contents."""


@dataclass(slots=True)
class MessageChunk:
    """Some messages in a row, and the position after them.

    `size` are the bytes of their contents. `answer` are the verdicts of another process,
    if it was given them, at `received_at`.
    """

    messages: MessageColumns
    end: TopicPosition
    size: int
    traceparents: tuple[str, ...]
    received_at: datetime | None = None
    answer: Future[SpooledEvents] | None = None


class PendingMessages:
    """Chunks, and the messages of the next one."""

    def __init__(self) -> None:
        self.chunks: deque[MessageChunk] = deque()
        self._recent: list[StreamMessage] = []
        self._recent_bytes = 0

    def __len__(self) -> int:
        """The number of messages."""
        chunked = sum(len(chunk.messages) for chunk in self.chunks)
        return chunked + len(self._recent)

    @property
    def room(self) -> int:
        """How many messages the next chunk may still get."""
        return CHUNK_MESSAGES - len(self._recent)

    @property
    def is_full(self) -> bool:
        """True if messages should be stored before others are read."""
        size = sum(chunk.size for chunk in self.chunks) + self._recent_bytes
        is_judged = any(chunk.answer for chunk in self.chunks)
        most = MAX_MESSAGES + (AHEAD_MESSAGES if is_judged else 0)
        return len(self) >= most or size >= MAX_BYTES

    def add(
        self, messages: Sequence[StreamMessage], end: TopicPosition
    ) -> MessageChunk | None:
        """Add *messages*, after which the position is *end*.

        Returns the chunk that is whole with them, if one is.
        """
        self._recent += messages
        self._recent_bytes += sum(map(len, messages))
        is_whole = self.room <= 0 or self._recent_bytes >= CHUNK_BYTES
        return self._cut(end) if is_whole else None

    def _cut(self, end: TopicPosition) -> MessageChunk:
        recent, self._recent = self._recent, []
        size, self._recent_bytes = self._recent_bytes, 0
        traces = traceparents(recent) if telemetry.is_enabled() else ()
        self.chunks.append(MessageChunk(MessageColumns.of(recent), end, size, traces))
        return self.chunks[-1]

    def take(self, end: TopicPosition, *, all_of_them: bool) -> list[MessageChunk]:
        """What to store next; *end* is the position after all messages.

        While a backlog is read, these are the first chunks, unless *all_of_them* are
        wanted; they stay here until they are removed.
        """
        is_limited = self.is_full and not all_of_them
        if self._recent:
            self._cut(end)
        return self._first() if is_limited else [*self.chunks]

    def _first(self) -> list[MessageChunk]:
        """As many chunks as one snapshot may have, at least one."""
        counts = accumulate(len(chunk.messages) for chunk in self.chunks)
        sizes = accumulate(chunk.size for chunk in self.chunks)
        fitting = sum(
            count <= MAX_MESSAGES and size <= STORED_BYTES
            for count, size in zip(counts, sizes, strict=True)
        )
        return [*self.chunks][: max(1, fitting)]

    def remove(self, chunks: Sequence[MessageChunk]) -> None:
        """Forget *chunks*, the first ones."""
        for _ in chunks:
            self.chunks.popleft()
