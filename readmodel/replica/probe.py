"""Check that a storage can hold a replica."""

from typing import Final
from uuid import uuid4

from readmodel.replica.connect import open_storage
from readmodel.replica.storage import ObjectStorage
from readmodel.replica.transfer import read_pointer
from util.errors import ReplicaError

PROBES: Final = "probes/"


def examine_storage(url: str) -> str:
    """Try what an upload needs of the storage at *url*; say what is there.

    Raises SettingsError and ReplicaError.
    """
    storage = open_storage(url)
    try:
        _require_conditional_writes(storage, url)
        pointer, _ = read_pointer(storage)
    finally:
        storage.close()
    if pointer is None:
        return f"{url} can be written and has no snapshot yet"
    return f"{url} can be written; its last snapshot is {pointer.current}"


def _require_conditional_writes(storage: ObjectStorage, url: str) -> None:
    name = f"{PROBES}{uuid4().hex}"
    try:
        first = storage.swap(name, b"1", None)
        version = storage.read(name, 1).version
        again = storage.swap(name, b"2", None)
        later = storage.swap(name, b"2", version)
        stale = storage.swap(name, b"3", version)
    finally:
        storage.delete([name])
    if (first, again, later, stale) != (True, False, True, False):
        raise ReplicaError(
            f"{url} ignores the conditions of writes (If-Match, If-None-Match), so two "
            "updaters could overwrite each other: use another storage"
        )
