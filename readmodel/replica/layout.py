"""What a replica consists of, in an object storage.

    current                              the pointer: which snapshots there are
    snapshots/<id>/<sha256>.json         the inventory of one: its files
    objects/<sha256>.<token>             a file's bytes

Only `current` is ever replaced, by a write that fails if somebody else wrote it before.
All others are immutable, and whoever reads them compares their SHA-256 with their name.
So the pointer vouches for the inventories, and these for the files. An object is not
shared by writers that do not know of each other: the token belongs to one write of the
pointer.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Annotated, Final

from pydantic import AwareDatetime, Field, StringConstraints, TypeAdapter

from readmodel.store.history import instant_of
from readmodel.store.snapshot import ID_PATTERN
from util.errors import ReplicaDamaged, ReplicaError

POINTER: Final = "current"
OBJECTS: Final = "objects/"
SNAPSHOTS: Final = "snapshots/"
MOST_POINTER_BYTES: Final = 16 * 2**20
MOST_INVENTORY_BYTES: Final = 64 * 2**20

type _Hash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
type _Token = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
type _Id = Annotated[str, StringConstraints(pattern=f"^{ID_PATTERN.pattern}$")]
type _Object = Annotated[
    str, StringConstraints(pattern=r"^objects/[0-9a-f]{64}\.[0-9a-f]{32}$")
]


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file in a replica: the name of its object, and its size in bytes."""

    object: _Object
    bytes: Annotated[int, Field(ge=0)]

    @property
    def sha256(self) -> str:
        """The hash of its bytes, hexadecimal."""
        return hash_of(self.object)


@dataclass(frozen=True, slots=True)
class Inventory:
    """All files of a snapshot by their paths below its folder.

    `logs` are files of DATA_DIR beside the snapshots, as they were then.
    """

    snapshot: _Id
    files: Mapping[str, StoredFile]
    logs: Mapping[str, StoredFile] = field(default_factory=dict)
    version: int = 1

    def objects(self) -> Iterator[str]:
        """The names of all its objects."""
        for stored in (*self.files.values(), *self.logs.values()):
            yield stored.object


@dataclass(frozen=True, slots=True)
class Pointer:
    """Which snapshots a replica has: the hash of the inventory of each, by id.

    `token` belongs to the write that made it.
    """

    token: _Token
    current: _Id
    snapshots: Mapping[_Id, _Hash]
    written_at: AwareDatetime
    version: int = 1

    def inventory(self, snapshot: str) -> str:
        """The object with the inventory of *snapshot*."""
        return inventory_object(snapshot, self.snapshots[snapshot])


def inventory_object(snapshot: str, digest: str) -> str:
    """The object with the inventory of *snapshot*, whose bytes have the hash *digest*."""
    return f"{SNAPSHOTS}{snapshot}/{digest}.json"


def file_object(digest: str, token: str) -> str:
    """The object of a file whose bytes have the hash *digest*."""
    return f"{OBJECTS}{digest}.{token}"


def hash_of(name: str) -> str:
    """The hash in the name of an object: ``objects/ab12.cd34`` -> ``ab12``."""
    return name.rpartition("/")[2].partition(".")[0]


def encode_pointer(pointer: Pointer) -> bytes:
    """The content of `current`."""
    return _POINTER.dump_json(pointer, indent=1)


def decode_pointer(content: bytes) -> Pointer:
    """Parse `current`. Raises ReplicaError for content that no updater wrote."""
    try:
        pointer = _POINTER.validate_json(content)
        for name in pointer.snapshots:
            instant_of(name)
        if pointer.version != 1 or pointer.current not in pointer.snapshots:
            raise ValueError("an unknown version, or a snapshot that is not listed")
    except ValueError as error:
        raise ReplicaError(
            f"{POINTER} in the replica is damaged or of a later version: name another "
            "REPLICA_URL, or remove it"
        ) from error
    return pointer


def encode_inventory(inventory: Inventory) -> bytes:
    """The content of an inventory."""
    return _INVENTORY.dump_json(inventory, indent=1)


def decode_inventory(content: bytes, snapshot: str, digest: str) -> Inventory:
    """Parse the inventory of *snapshot*. Raises ReplicaError if it cannot be used."""
    name = inventory_object(snapshot, digest)
    if sha256(content).hexdigest() != digest:
        raise ReplicaDamaged(f"{name} in the replica is damaged: its checksum differs")
    try:
        inventory = _INVENTORY.validate_json(content)
        if inventory.version != 1 or inventory.snapshot != snapshot:
            raise ValueError("an unknown version, or another snapshot's")
    except ValueError as error:
        raise ReplicaError(
            f"{name} in the replica was written by a later version: upgrade this host"
        ) from error
    return inventory


_POINTER: Final = TypeAdapter(Pointer)
_INVENTORY: Final = TypeAdapter(Inventory)
