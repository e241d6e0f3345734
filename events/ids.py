"""Ids of events that clients did not give one, and hashes of ids."""

import hashlib
import secrets
import struct
import uuid
from collections.abc import Iterable
from typing import Final

_48_BITS: Final = (1 << 48) - 1
_NAMESPACE: Final = uuid.UUID("6f1c9d0e-52a4-5d0b-9f0e-2b7f4c1f6a55")


def new_id(received_at: int) -> str:
    """A UUID of version 7: ids sort by *received_at*, in microseconds since 1970."""
    return _version_7(received_at // 1_000, secrets.token_hex(10))


def _version_7(milliseconds: int, random: str) -> str:
    """A UUID of version 7, with 74 of the bits of 20 hexadecimal digits."""
    time = f"{milliseconds & _48_BITS:012x}"
    variant = "89ab"[int(random[3], 16) & 3]
    return f"{time[:8]}-{time[8:]}-7{random[:3]}-{variant}{random[4:7]}-{random[7:19]}"


def message_id(place: str, milliseconds: int) -> str:
    """The id of the message of Kafka at *place*, such as ``topic-id:0:17``.

    A UUID of version 7 of the time *milliseconds* since 1970: the same whenever the
    message is read again.
    """
    digest = hashlib.blake2b(place.encode(), digest_size=10).hexdigest()
    return _version_7(milliseconds, digest)


def repeatable_id(sender: str, idempotency_key: str, index: int) -> str:
    """The id of the event *index* of a request: the same whenever it is repeated."""
    return str(uuid.uuid5(_NAMESPACE, f"{sender}\0{idempotency_key}\0{index}"))


def id_hash(event_id: str) -> int:
    """64 bits, signed, by which stored events with an id are found; never change it."""
    digest = hashlib.blake2b(event_id.encode(), digest_size=8).digest()
    return int.from_bytes(digest, signed=True)


def id_hashes(event_ids: Iterable[str]) -> tuple[int, ...]:
    """`id_hash` of each."""
    return hash_all(hashlib.blake2b(digest_size=8), map(str.encode, event_ids))


def hash_all(fresh: "hashlib.blake2b", contents: Iterable[bytes]) -> tuple[int, ...]:
    """The hash of each content as 64 bits, signed, after what *fresh* has hashed.

    A copy of a hash takes half of the time of a new one.
    """
    digests = []
    for content in contents:
        digest = fresh.copy()
        digest.update(content)
        digests.append(digest.digest())
    return struct.unpack(f">{len(digests)}q", b"".join(digests))
