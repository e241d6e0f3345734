"""Object storages of Amazon (and what speaks its protocol), Google and Azure.

Every operation runs on an event loop of its own, so that a signal interrupts it, and ends
after a time, whatever the network does.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from functools import partial
from importlib.util import find_spec
from itertools import batched
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from readmodel.replica.storage import ListedObject, ObjectVersion, StoredObject
from util.errors import ObjectMissing, ReplicaError, SettingsError

if TYPE_CHECKING:
    from obstore.store import ObjectStore

MISSING_PACKAGE: Final = (
    "REPLICA_URL needs obstore, which is not installed: run uv sync --extra replica"
)

PATIENCE: Final = timedelta(seconds=30)
"""For one answer, or the next piece of one."""

SLOWEST_BYTES_PER_SECOND: Final = 64 * 1024
"""An upload that is slower is given up."""

RETRIES: Final = 3
FIRST_PAUSE: Final = timedelta(milliseconds=200)
"""Before the first retry; each further one waits twice as long."""

CHUNK_BYTES: Final = 5 * 2**20
LONGEST_DETAIL: Final = 200


class BucketStorage:
    """Objects in a bucket or a container. See `ObjectStorage`."""

    def __init__(self, url: str) -> None:
        """Credentials come from the environment, or from the machine.

        Raises SettingsError.
        """
        if find_spec("obstore") is None:
            raise SettingsError(MISSING_PACKAGE)
        self._url = url.rstrip("/")
        self._store = _open(self._url)
        self._loop = asyncio.Runner()

    def read(self, name: str, most_bytes: int) -> StoredObject:
        """Read an object."""
        import obstore

        async def read() -> StoredObject:
            found = await obstore.get_async(self._store, name)
            if found.meta["size"] > most_bytes:
                raise ReplicaError(f"{self._url}/{name} is larger than it can be")
            content = bytes(await found.bytes_async())
            version = ObjectVersion(found.meta["e_tag"], found.meta["version"])
            return StoredObject(content, version)

        return self._run(name, read, PATIENCE)

    def fetch(self, name: str, write: Callable[[bytes], object]) -> None:
        """Read an object in pieces; each must arrive in time."""
        import obstore

        async def fetch() -> None:
            found = await asyncio.wait_for(
                obstore.get_async(self._store, name), PATIENCE.total_seconds()
            )
            pieces = aiter(found.stream(min_chunk_size=CHUNK_BYTES))
            while True:
                try:
                    piece = await asyncio.wait_for(
                        anext(pieces), PATIENCE.total_seconds()
                    )
                except StopAsyncIteration:
                    return
                write(bytes(piece))

        self._run(name, fetch, None)

    def upload(self, name: str, file: Path) -> None:
        """Send a file, a large one in pieces."""
        import obstore

        patience = _patience(file.stat().st_size)
        self._run(name, lambda: obstore.put_async(self._store, name, file), patience)

    def put(self, name: str, content: bytes) -> None:
        """Send *content*."""
        import obstore

        patience = _patience(len(content))
        self._run(name, lambda: obstore.put_async(self._store, name, content), patience)

    def swap(self, name: str, content: bytes, known: ObjectVersion | None) -> bool:
        """Send *content* under the condition If-Match, or If-None-Match."""
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        mode: Any = "create"
        if known is not None:
            mode = {key: it for key, it in known._asdict().items() if it is not None}
        try:
            self._run(
                name,
                lambda: obstore.put_async(self._store, name, content, mode=mode),
                PATIENCE,
            )
        except (AlreadyExistsError, PreconditionError):
            return False
        except ObjectMissing:
            if known is None:
                raise
            return False
        return True

    def size(self, name: str) -> int | None:
        """Ask for the size of an object."""
        import obstore

        try:
            found = self._run(
                name, lambda: obstore.head_async(self._store, name), PATIENCE
            )
        except ObjectMissing:
            return None
        return found["size"]

    def listed(self, prefix: str) -> Iterator[ListedObject]:
        """List objects, page by page."""
        import obstore

        async def pages() -> list[ListedObject]:
            found = obstore.list(self._store, prefix or None, chunk_size=1000)
            return [
                ListedObject(it["path"], it["last_modified"])
                async for page in found
                for it in page
            ]

        yield from self._run(prefix, pages, 10 * PATIENCE)

    def delete(self, names: Sequence[str]) -> None:
        """Remove objects, many at a time."""
        for some in batched(names, 1000):
            with suppress(ObjectMissing):
                self._delete(list(some))

    def _delete(self, names: list[str]) -> None:
        import obstore

        self._run(
            "objects", lambda: obstore.delete_async(self._store, names), 2 * PATIENCE
        )

    def close(self) -> None:
        """Close the event loop."""
        self._loop.close()

    def _run[T](
        self, name: str, work: Callable[[], Awaitable[T]], patience: timedelta | None
    ) -> T:
        """Wait for *work*. Raises ReplicaError after *patience*, and for its failures."""

        async def bounded() -> T:
            seconds = patience.total_seconds() if patience else None
            return await asyncio.wait_for(work(), seconds)

        with _errors(f"{self._url}/{name}"):
            return self._loop.run(bounded())


def _patience(size: int) -> timedelta:
    """How long sending *size* bytes may take."""
    return PATIENCE + timedelta(seconds=size / SLOWEST_BYTES_PER_SECOND)


def _open(url: str) -> "ObjectStore":
    from obstore.exceptions import BaseError
    from obstore.store import from_url

    try:
        return from_url(
            url,
            client_options={
                "connect_timeout": timedelta(seconds=5),
                # Of one request; larger files are sent in several.
                "timeout": timedelta(seconds=CHUNK_BYTES / SLOWEST_BYTES_PER_SECOND),
                "allow_http": _is_http_allowed(),
            },
            retry_config={
                "max_retries": RETRIES,
                "retry_timeout": PATIENCE,
                "backoff": {
                    "init_backoff": FIRST_PAUSE,
                    "max_backoff": timedelta(seconds=5),
                    "base": 2,
                },
            },
        )
    except (BaseError, ValueError) as error:
        raise SettingsError(f"REPLICA_URL cannot be used: {_detail(error)}") from error


def _is_http_allowed() -> bool:
    """True if the environment names a storage without TLS, as in a private network."""
    allowed = (os.environ.get(name, "").lower() for name in _ALLOWING_HTTP)
    endpoints = (os.environ.get(name, "") for name in _ENDPOINTS)
    is_named = any(address.startswith("http://") for address in endpoints)
    return is_named or any(value in ("1", "true") for value in allowed)


_ALLOWING_HTTP: Final = ("AWS_ALLOW_HTTP", "AZURE_ALLOW_HTTP")
_ENDPOINTS: Final = ("AWS_ENDPOINT", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3")


@contextmanager
def _errors(name: str) -> Iterator[None]:
    """Turn the errors of the storage into ReplicaError, but for failed conditions."""
    from obstore import exceptions

    conditions = (exceptions.AlreadyExistsError, exceptions.PreconditionError)
    try:
        with ExitStack() as stack:
            stack.push(partial(_raise_for_panic, name))
            yield
    except conditions:
        raise
    except FileNotFoundError as error:
        reason = ": there is no such bucket" if "NoSuchBucket" in str(error) else ""
        raise ObjectMissing(f"{name} does not exist{reason}") from error
    except TimeoutError as error:
        raise ReplicaError(f"{name}: the storage did not answer in time") from error
    except (
        exceptions.PermissionDeniedError,
        exceptions.UnauthenticatedError,
    ) as error:
        raise ReplicaError(
            f"{name}: the storage refuses the credentials: check them, and their rights"
        ) from error
    except (exceptions.BaseError, OSError) as error:
        raise ReplicaError(f"{name}: {_detail(error)}") from error


def _raise_for_panic(
    name: str, _: object, error: BaseException | None, __: object
) -> None:
    """Turn a panic of the client, which would end the updater, into ReplicaError.

    It is no Exception, and its class has no module from which it could be imported.
    """
    if error is not None and type(error).__name__ == "PanicException":
        raise ReplicaError(f"{name}: the client failed: {_detail(error)}") from error


def _detail(error: BaseException) -> str:
    """The first line of a message, without queries, which may have signatures."""
    lines = str(error).splitlines() or [type(error).__name__]
    words = (word.partition("?")[0] for word in lines[0].split())
    return " ".join(words)[:LONGEST_DETAIL]
