"""The spool of a collector on another host, pulled over HTTP.

`pull` talks to the collector, on a thread of its own; a drain uses what has arrived and
waits for nothing. Files are acknowledged only after the drain has stored them. What was
acknowledged, listed or fetched is not written down: after a restart the collector's
listing and the position in the manifest say what is to be done.
"""

import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import batched
from typing import Final, NamedTuple

from events.spool_files import SpoolFile
from events.spool_transfer import (
    MOST_FILES,
    OfferedFile,
    SpoolPage,
    StoredSpoolFile,
)
from readmodel.spool.collector_client import CollectorClient, UnusableAnswer
from readmodel.spool.protocol import SpoolListing
from util.errors import SpoolError

MOST_LISTED: Final = 20 * MOST_FILES
"""Files of which a listing is kept; the others are listed when these are taken."""


BUNDLE_BYTES: Final = 4 * 2**20
"""Of files that are fetched by one request."""

ACKNOWLEDGED_FILES: Final = 200
"""By one request: the collector compares the content of each."""


class WaitingEvents(NamedTuple):
    """What waits in a collector's spool; `oldest_at` in seconds since 1970."""

    files: int
    bytes: int
    oldest_at: float | None


def waiting_in(page: SpoolPage) -> WaitingEvents:
    """What a listing says about the whole spool."""
    return WaitingEvents(page.waiting_files, page.waiting_bytes, page.oldest_at)


class PulledSpool:
    """The files of one collector, until a snapshot contains them."""

    def __init__(self, client: CollectorClient, most_bytes: int) -> None:
        """At most *most_bytes* of files, but at least one, are kept in memory."""
        self._client = client
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._offered: dict[str, OfferedFile] = {}
        self._contents: dict[str, bytes] = {}
        self._stored: dict[str, StoredSpoolFile] = {}
        self._is_complete = False
        self._list_anew = True
        self.waiting: WaitingEvents | None = None
        """As of the last listing."""
        self.pulled_bytes = 0
        """Since the start."""

    @property
    def name(self) -> str:
        """See Spool."""
        return self._client.url

    @property
    def has_backlog(self) -> bool:
        """True if the last `pull` left files, since there was no room for them."""
        with self._lock:
            is_more = not self._is_complete
        return not self._list_anew and (is_more or bool(self._missing()))

    def listing(self) -> SpoolListing:
        """See Spool. What the last listing of the collector had."""
        with self._lock:
            files = [_spool_file(offered) for offered in self._offered.values()]
            return SpoolListing(files, self._is_complete)

    def checksum(self, file: SpoolFile) -> str | None:
        """See Spool."""
        return file.sha256

    def content(self, file: SpoolFile) -> bytes | None:
        """See Spool. None until it is fetched."""
        with self._lock:
            offered = self._offered.get(file.name)
            is_same = offered and offered.sha256 == file.sha256
            return self._contents.get(file.name) if is_same else None

    def remove(self, files: Collection[SpoolFile]) -> None:
        """See Spool. The collector removes them at the next `pull`."""
        with self._lock:
            for name, sha256 in ((file.name, file.sha256) for file in files):
                offered = self._offered.get(name)
                if sha256 and offered and offered.sha256 == sha256:
                    self._contents.pop(name, None)
                    self._stored[name] = StoredSpoolFile(name=name, sha256=sha256)

    def pull(self) -> None:
        """Acknowledge what is stored, list what there is, and fetch it.

        Raises SpoolError; what arrived before is kept, and the next call goes on.
        """
        try:
            self.acknowledge()
            if self._list_anew or not self._missing():
                self._list()
            self._fetch()
        except SpoolError:
            self._doubt()
            raise

    def acknowledge(self) -> None:
        """Have the collector remove what is stored. Raises SpoolError."""
        with self._lock:
            stored = list(self._stored.values())
        for some in batched(stored, ACKNOWLEDGED_FILES):
            result = self._client.acknowledge(some)
            self._forget(file.name for file in some)
            if result.differing:
                self._doubt()

    def close(self) -> None:
        """Disconnect. A `pull` in progress fails."""
        self._client.close()

    def _doubt(self) -> None:
        """Have the files listed again, before an instance can be one without files."""
        with self._lock:
            self._is_complete, self._list_anew = False, True

    def _forget(self, names: Iterable[str]) -> None:
        with self._lock:
            for name in names:
                self._stored.pop(name, None)
                self._offered.pop(name, None)
                self._contents.pop(name, None)

    def _missing(self) -> Sequence[OfferedFile]:
        """The files that are to be fetched, in the order of their names."""
        with self._lock:
            known = self._contents.keys() | self._stored.keys()
            return [it for name, it in self._offered.items() if name not in known]

    def _list(self) -> None:
        """Replace the listing by a new one."""
        page = self._client.page()
        offered = list(page.files)
        while page.more and page.files and len(offered) < MOST_LISTED:
            page = self._client.page(after=page.files[-1].name)
            offered += page.files
        with self._lock:
            self.waiting = waiting_in(page)
            earlier, self._offered = self._offered, {f.name: f for f in offered}
            self._is_complete, self._list_anew = not page.more, False
            for name, file in earlier.items():
                if self._offered.get(name) != file:
                    self._contents.pop(name, None)
                    self._stored.pop(name, None)

    def _fetch(self) -> None:
        """Fetch files while there is room; a failure holds back only its instance."""
        failed: dict[str, SpoolError] = {}
        for bundle in _bundles(self._first_with_room(self._missing())):
            self._fetch_bundle(bundle, failed)
        for first in failed.values():
            raise first

    def _first_with_room(self, files: Iterable[OfferedFile]) -> list[OfferedFile]:
        with self._lock:
            used = sum(map(len, self._contents.values()))
        chosen: list[OfferedFile] = []
        for file in files:
            if used and used + file.bytes > self._most_bytes:
                break
            used += file.bytes
            chosen.append(file)
        return chosen

    def _fetch_bundle(
        self, bundle: Sequence[OfferedFile], failed: dict[str, SpoolError]
    ) -> None:
        """Fetch files at once; if that fails, halves of them until the bad one is alone."""
        wanted = [f for f in bundle if _spool_file(f).instance not in failed]
        if not wanted:
            return
        try:
            self._keep(wanted, self._client.contents(wanted))
        except UnusableAnswer as error:
            if len(wanted) == 1:
                failed[_spool_file(wanted[0]).instance] = error
                return
            middle = len(wanted) // 2
            self._fetch_bundle(wanted[:middle], failed)
            self._fetch_bundle(wanted[middle:], failed)

    def _keep(self, files: Iterable[OfferedFile], contents: Iterable[bytes]) -> None:
        with self._lock:
            for file, content in zip(files, contents, strict=True):
                self._contents[file.name] = content
                self.pulled_bytes += len(content)


def _bundles(files: Iterable[OfferedFile]) -> Iterator[list[OfferedFile]]:
    """Files that are fetched by one request: with BUNDLE_BYTES, or a larger one alone."""
    bundle: list[OfferedFile] = []
    size = 0
    for file in files:
        size += file.bytes
        if bundle and (size > BUNDLE_BYTES or len(bundle) == MOST_FILES):
            yield bundle
            bundle, size = [], file.bytes
        bundle.append(file)
    if bundle:
        yield bundle


def _spool_file(offered: OfferedFile) -> SpoolFile:
    instance = offered.name.partition(".")[0]
    return SpoolFile(
        instance, offered.name, offered.bytes, offered.written_at, offered.sha256
    )
