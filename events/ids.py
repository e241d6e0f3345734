"""Ids of events that clients did not give one, and hashes of ids."""

import hashlib
import secrets
import uuid
from typing import Final

_NAMESPACE: Final = uuid.UUID("6f1c9d0e-52a4-5d0b-9f0e-2b7f4c1f6a55")


def new_id(received_at: int) -> str:
    """A UUID of version 7: ids sort by *received_at*, in microseconds since 1970."""
    milliseconds = received_at // 1_000
    random = secrets.randbits(74)
    number = milliseconds << 80 | 7 << 76 | (random >> 62) << 64
    return str(uuid.UUID(int=number | 2 << 62 | random & (1 << 62) - 1))


def message_id(place: str, milliseconds: int) -> str:
    """The id of the message of Kafka at *place*, such as ``topic-id:0:17``.

    A UUID of version 7 of the time *milliseconds* since 1970: the same whenever the
    message is read again.
    """
    digest = hashlib.blake2b(place.encode(), digest_size=10).digest()
    random = int.from_bytes(digest) >> 6
    number = (milliseconds & (1 << 48) - 1) << 80 | 7 << 76 | (random >> 62) << 64
    return str(uuid.UUID(int=number | 2 << 62 | random & (1 << 62) - 1))


def repeatable_id(sender: str, idempotency_key: str, index: int) -> str:
    """The id of the event *index* of a request: the same whenever it is repeated."""
    return str(uuid.uuid5(_NAMESPACE, f"{sender}\0{idempotency_key}\0{index}"))


def id_hash(event_id: str) -> int:
    """64 bits, signed, by which stored events with an id are found; never change it."""
    digest = hashlib.blake2b(event_id.encode(), digest_size=8).digest()
    return int.from_bytes(digest, signed=True)
