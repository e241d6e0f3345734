"""Messages between the API and a job: pickled, with their length before them.

Both ends are this program, so what arrives can be trusted.
"""

import pickle
import struct
from typing import Any, BinaryIO, Final

HEADER: Final = struct.Struct("!Q")
"""Length of the message that follows."""


def encode(message: Any) -> bytes:
    """*message* with its length."""
    body = pickle.dumps(message)
    return HEADER.pack(len(body)) + body


def parse(body: bytes) -> Any:
    """A message without its length."""
    return pickle.loads(body)  # noqa: S301 - from our own process


def receive(stream: BinaryIO) -> Any:
    """The next message of *stream*. Raises EOFError if there is none."""
    header = stream.read(HEADER.size)
    if len(header) < HEADER.size:
        raise EOFError
    (length,) = HEADER.unpack(header)
    return parse(stream.read(length))
