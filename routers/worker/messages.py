"""Messages between the API and a job, each with its length before it.

They are pickled, since both ends are this program, and what arrives can be trusted. The
reply of a confined job is not: the statement of a caller ran in that process. Its reply
is the outcome as text, a line feed, and bytes.
"""

import pickle
import struct
from typing import Any, BinaryIO, Final

HEADER: Final = struct.Struct("!Q")
"""Length of the message that follows."""

READY: Final = b"r"
"""What a job sends before it starts; its deadline counts from there."""


def encode(message: Any) -> bytes:
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


def parse_plain(body: bytes) -> tuple[str, bytes]:
    """Outcome and value of a confined job's reply without its length."""
    outcome, _, value = body.partition(b"\n")
    return outcome.decode("latin-1"), value


def receive(stream: BinaryIO) -> Any:
    """The next message of *stream*. Raises EOFError if there is none."""
    header = stream.read(HEADER.size)
    if len(header) < HEADER.size:
        raise EOFError
    (length,) = HEADER.unpack(header)
    return parse(stream.read(length))
