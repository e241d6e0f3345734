"""The operations that a replica needs of a storage."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, Protocol


class ObjectVersion(NamedTuple):
    """By what a storage tells one content of an object from a later one."""

    e_tag: str | None
    version: str | None = None


class StoredObject(NamedTuple):
    """An object's content, and its version."""

    content: bytes
    version: ObjectVersion


class ListedObject(NamedTuple):
    """An object in a listing; `modified` is by the storage's own clock."""

    name: str
    modified: datetime


class ObjectStorage(Protocol):
    """Objects by name. Every method raises ReplicaError if the storage fails.

    Writes are atomic: an object has all of its bytes, or is not there.
    """

    def read(self, name: str, most_bytes: int) -> StoredObject:
        """Read a small object. Raises ObjectMissing."""

    def fetch(self, name: str, write: Callable[[bytes], object]) -> None:
        """Read an object of any size, in pieces. Raises ObjectMissing."""

    def upload(self, name: str, file: Path) -> None:
        """Store the bytes of *file*. Raises OSError if that cannot be read."""

    def put(self, name: str, content: bytes) -> None:
        """Store *content*."""

    def swap(self, name: str, content: bytes, known: ObjectVersion | None) -> bool:
        """Store *content* if the object still has the version *known*; None: no object.

        False if it has another, and then it stays as it is.
        """

    def size(self, name: str) -> int | None:
        """Bytes of an object; None if there is none."""

    def listed(self, prefix: str) -> Iterator[ListedObject]:
        """All objects whose names begin with *prefix*, which ends with a slash or is empty."""

    def delete(self, names: Sequence[str]) -> None:
        """Remove objects; those that are gone are no error."""

    def close(self) -> None:
        """Release connections."""
