"""Messages between the API and a job, each with its length before it.

They are pickled, since both ends are this program, and what arrives can be trusted. The
reply of a confined job is not: the statement of a caller ran in that process. Its reply
is the outcome as text, a line feed, and bytes.
"""

import pickle
import struct
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO, Final

HEADER: Final = struct.Struct("!Q")
"""Length of the message that follows."""

LONGEST_LINE: Final = 8_192
"""Bytes of a line in a reply, and of the message of an outcome without a result."""

READY: Final = b"r"
"""What a job sends before it starts; its deadline counts from there."""


def encode(message: object) -> bytes:
    """*message* with its length."""
    return _framed(pickle.dumps(message))


def encode_plain(outcome: str, value: bytes) -> bytes:
    """The reply of a confined job with its length."""
    return _framed(outcome.encode() + b"\n" + value)


def _framed(body: bytes) -> bytes:
    return HEADER.pack(len(body)) + body


def parse(body: bytes) -> Any:
    """A message without its length."""
    return pickle.loads(body)  # noqa: S301 - from our own process


class Pieces:
    """The bytes of a reply, as they arrived.

    A reply may have 64 MB, and to copy them once would hold up all other requests.
    """

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = deque(pieces)

    def __len__(self) -> int:
        """Bytes that are left."""
        return sum(map(len, self._pieces))

    def __iter__(self) -> Iterator[bytes]:
        """Take off piece after piece."""
        while self._pieces:
            yield self._pieces.popleft()

    def clear(self) -> None:
        """Drop what is left."""
        self._pieces.clear()

    def take_line(self) -> bytes:
        """Take off the next line, and return it without its end.

        Of one that is longer than LONGEST_LINE, the rest is lost.
        """
        line = bytearray()
        for piece in self:
            head, end, rest = piece.partition(b"\n")
            line += head
            if end and rest:
                self._pieces.appendleft(rest)
            if end or len(line) > LONGEST_LINE:
                break
        return bytes(line[:LONGEST_LINE])

    def take_text(self) -> str:
        """Take off everything, and return its first LONGEST_LINE bytes as text."""
        start = bytearray()
        for piece in self:
            start += piece[: LONGEST_LINE - len(start)]
        return start.decode(errors="replace")


def receive(stream: BinaryIO) -> Any:
    """The next message of *stream*. Raises EOFError if there is none."""
    header = stream.read(HEADER.size)
    if len(header) < HEADER.size:
        raise EOFError
    (length,) = HEADER.unpack(header)
    return parse(stream.read(length))
