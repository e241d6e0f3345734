"""Remove the objects of a replica that none of its snapshots needs.

A snapshot is needed until the pointer no longer lists it: at least an hour, in which a
follower can finish what it began, or begin again with a newer one. Young objects stay in
any case, since another writer may be about to list them. The age is by the storage's
clock.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Final, NamedTuple

from readmodel.replica.layout import OBJECTS, POINTER, SNAPSHOTS, Inventory, Pointer
from readmodel.replica.storage import ObjectStorage
from readmodel.replica.transfer import read_inventory, read_pointer

GRACE: Final = timedelta(hours=1)
"""Age from which on an object can be removed."""

SHORTEST_RETENTION: Final = timedelta(hours=1)

EVERY: Final = timedelta(hours=1)
"""How often a writer looks for objects to remove."""


class CollectReport(NamedTuple):
    """Objects that were removed, and those of the current snapshot that are missing."""

    removed: int
    missing: int


class ReplicaCollector:
    """Removes objects. It remembers the inventories that it has read."""

    def __init__(self, storage: ObjectStorage) -> None:
        self._storage = storage
        self._inventories: dict[str, Inventory] = {}

    def collect(self, token: str, grace: timedelta = GRACE) -> CollectReport:
        """Remove objects that were not needed when the pointer *token* was written.

        Removes nothing if a newer pointer is there, or if an inventory cannot be read.
        Raises ReplicaError.
        """
        pointer, _ = read_pointer(self._storage)
        if pointer is None or pointer.token != token:
            return CollectReport(0, 0)
        needed = set(self._needed(pointer))
        listed = {it.name: it.modified for it in self._storage.listed("")}
        garbage = [
            name
            for name, modified in listed.items()
            if name.startswith((OBJECTS, SNAPSHOTS))
            and name not in needed
            and listed[POINTER] - modified > grace
        ]
        self._storage.delete(garbage)
        current = self._inventories[pointer.inventory(pointer.current)]
        missing = set(current.objects()) - listed.keys()
        return CollectReport(len(garbage), len(missing))

    def _needed(self, pointer: Pointer) -> Iterator[str]:
        """The names of all objects that the snapshots of *pointer* need."""
        found = {}
        for snapshot in pointer.snapshots:
            name = pointer.inventory(snapshot)
            inventory = self._inventories.get(name) or read_inventory(
                self._storage, pointer, snapshot
            )
            found[name] = inventory
            yield name
            yield from inventory.objects()
        self._inventories = found
