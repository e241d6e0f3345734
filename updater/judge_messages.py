"""What the updater and a process that judges messages send each other, over a socket.

A request is its length and a pickled object, which comes from the updater itself. A reply
is not believed before it is checked: lengths, a checksum, and two tables in Arrow's format.
"""

import io
import pickle
import socket
import struct
import zlib
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final, NamedTuple

import polars as pl

from events.message_columns import MessageColumns
from events.messages import TopicName
from readmodel.store.event_tables import EVENT_SCHEMA, REJECTED_SCHEMA
from readmodel.sync.spool_reader import SpooledEvents

MOST_REPLY_BYTES: Final = 256 * 2**20
"""More than a reply to messages of some megabytes can have."""

_REQUEST: Final = struct.Struct("!Q")
"""Length of the pickled object."""

_REPLY: Final = struct.Struct("!4sQQI")
"""Magic, lengths of both tables, CRC-32 of both."""

_MAGIC: Final = b"FPPJ"
_PIECE_BYTES: Final = 2**20


class JudgeRequest(NamedTuple):
    """Messages of a topic, which were read at `received_at`."""

    topic: TopicName
    received_at: datetime
    messages: MessageColumns


def encode_request(request: object) -> list[bytes]:
    """The rules, which are the first request, or a JudgeRequest."""
    body = pickle.dumps(request, pickle.HIGHEST_PROTOCOL)
    return [_REQUEST.pack(len(body)), body]


def encode_reply(events: SpooledEvents) -> list[bytes]:
    """The verdicts as two tables."""
    tables = [_table(events.accepted), _table(events.rejected)]
    checksum = zlib.crc32(tables[1], zlib.crc32(tables[0]))
    return [_REPLY.pack(_MAGIC, *map(len, tables), checksum), *tables]


def _table(rows: pl.DataFrame) -> bytes:
    content = io.BytesIO()
    rows.write_ipc(content, compression="uncompressed")
    return content.getvalue()


def send(connection: socket.socket, pieces: Iterable[bytes]) -> None:
    """Send *pieces*. Raises OSError."""
    for piece in pieces:
        connection.sendall(piece)


def receive_request(connection: socket.socket) -> Any:
    """The next request. Raises OSError, and EOFError if there is none any more."""
    (length,) = _REQUEST.unpack(_receive(connection, _REQUEST.size))
    return pickle.loads(_receive(connection, length))  # noqa: S301 - from the updater


def receive_reply(connection: socket.socket, messages: int) -> SpooledEvents:
    """The verdicts on as many *messages*.

    Raises OSError, EOFError, ValueError and PARSE_ERRORS if it is no valid reply.
    """
    header = _receive(connection, _REPLY.size)
    magic, accepted, rejected, checksum = _REPLY.unpack(header)
    if magic != _MAGIC or accepted + rejected > MOST_REPLY_BYTES:
        raise ValueError("the reply does not begin as one")
    body = _receive(connection, accepted + rejected)
    if zlib.crc32(body) != checksum:
        raise ValueError("the reply is damaged")
    events = SpooledEvents(
        pl.read_ipc(io.BytesIO(body[:accepted])),
        pl.read_ipc(io.BytesIO(body[accepted:])),
    )
    schemas = (events.accepted.schema, events.rejected.schema)
    rows = events.accepted.height + events.rejected.height
    if schemas != (EVENT_SCHEMA, REJECTED_SCHEMA) or rows != messages:
        raise ValueError("the reply is not about these messages")
    return events


def _receive(connection: socket.socket, count: int) -> memoryview:
    """The next *count* bytes. Raises OSError, and EOFError if there are fewer."""
    content = memoryview(bytearray(count))
    received = 0
    while received < count:
        got = connection.recv_into(
            content[received:], min(count - received, _PIECE_BYTES)
        )
        if not got:
            raise EOFError("the other end is gone")
        received += got
    return content
